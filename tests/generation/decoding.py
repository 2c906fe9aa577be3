"""Models to decode with: random ones, and one that says what a table says."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import parity
from tx_utils import LayerNorm, Transformer, TransformerConfig, beam_search

ALPHABET = ">ab_.cd"  # the target's tokens: ">" starts, "." ends, "_" is padding
START, PAD, END = (ALPHABET.index(sign) for sign in ">_.")
SOURCE_VOCAB, MAX_LEN = 11, 7
CONFIG = TransformerConfig(
    SOURCE_VOCAB,
    len(ALPHABET),
    d_model=12,
    num_heads=3,
    num_layers=2,
    d_ff=17,
    max_len=MAX_LEN,
    dropout=0.0,
    norm_first=True,
    pad_id=PAD,
    tie_weights=False,
)
IDS: dict[str, Any] = {"start_id": START, "end_id": END}

Sequence = tuple[int, ...]


class Watched(Transformer):
    """Counts how often it reads and writes, and notes its state meanwhile."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.encoded, self.decoded = 0, 0
        self.states: set[tuple[bool, bool]] = set()

    def encode(self, source: Tensor) -> Tensor:
        self.encoded += 1
        self.states.add((self.training, torch.is_grad_enabled()))
        return super().encode(source)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        self.decoded += 1
        self.states.add((self.training, torch.is_grad_enabled()))
        return super().decode(target, memory, source)


class Scripted(Watched):
    """Gives each beginning the probabilities that a table names; where it has none, "." is sure."""

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__(CONFIG)
        self.double()
        self.table = table

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        super().decode(target, memory, source)
        logits = torch.full((*target.shape, len(ALPHABET)), -math.inf, dtype=torch.float64)
        for row, beginning in enumerate(target.tolist()):
            assert beginning[0] == START
            said = self.table.get(text(beginning[1:]), {".": 1.0})
            assert math.isclose(sum(said.values()), 1.0)
            for sign, probability in said.items():
                logits[row, -1, ALPHABET.index(sign)] = math.log(probability)
        return logits


def text(ids: list[int]) -> str:
    return "".join(ALPHABET[number] for number in ids)


def random_model(seed: int, **changes: Any) -> Watched:
    """In float64. Tied tables or random norms would make it repeat one token for all sources."""
    model = parity.randomize(Watched(replace(CONFIG, **changes)), seed=seed)
    for part in model.modules():
        if isinstance(part, LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return model


def sources(batch: int, *, seed: int = 0) -> Tensor:
    """Sources of all lengths from 1 to 5, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(PAD + 1, SOURCE_VOCAB, (batch, 5), generator=generator)
    lengths = torch.arange(batch) % 5 + 1
    return ids.masked_fill(torch.arange(5) >= lengths.unsqueeze(-1), PAD)


def alone(source: Tensor) -> Tensor:
    """One source of a batch as a batch of its own, without padding.  (T,) -> (1, T')."""
    return source[source != PAD].unsqueeze(0)


def sequences(written: Tensor) -> list[Sequence]:
    """What was written, without padding: that fills up to the longest row, stands nowhere else."""
    rows = []
    for row in written.tolist():
        length = len(row)
        while length and row[length - 1] == PAD:
            length -= 1
        assert PAD not in row[:length]
        assert END not in row[: length - 1]
        rows.append(tuple(row[:length]))
    assert max(map(len, rows)) == written.size(1)
    return rows


@torch.no_grad()
def following(model: Transformer, source: Tensor, beginning: Sequence) -> list[float]:
    """The model's own log-probabilities of the next token, the source read anew."""
    target = torch.tensor([[START, *beginning]])
    return F.log_softmax(model(alone(source), target)[0, -1], dim=-1).tolist()


@torch.no_grad()
def log_probs(model: Transformer, source: Tensor, written: list[Sequence]) -> list[float]:
    """The model's own log-probability of each sequence, by teacher forcing."""
    found: dict[Sequence, float] = {}
    for length in sorted({len(sequence) for sequence in written}):
        labels = torch.tensor([sequence for sequence in written if len(sequence) == length])
        target = F.pad(labels[:, :-1], (1, 0), value=START)
        logits = model(alone(source).expand(len(labels), -1), target)
        sums = F.log_softmax(logits, dim=-1).gather(-1, labels.unsqueeze(-1)).sum(dim=(1, 2))
        found |= zip(map(tuple, labels.tolist()), sums.tolist(), strict=True)
    return [found[sequence] for sequence in written]


def search(
    model: Transformer, source: Tensor, max_new_tokens: int = MAX_LEN, **choices: Any
) -> tuple[Tensor, Tensor]:
    return beam_search(model, source, **IDS, max_new_tokens=max_new_tokens, **choices)


def score(log_prob: float, length: int, length_penalty: float) -> float:
    return log_prob / math.pow((5 + length) / 6, length_penalty)

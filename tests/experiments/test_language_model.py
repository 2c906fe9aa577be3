"""Language model: what is cut out of a text, what a run does, and that its bits are the text's."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import GPT, sinusoidal_encoding
from tx_utils.bits import token_nats
from tx_utils.experiments.language_model import Corpus, LanguageModel, trained_tokenizer
from tx_utils.tasks import fresh_loader
from tx_utils.tokenizer import BPETokenizer

TEXTS = Corpus(
    "the cat sat on the mat and the dog sat on the log; " * 7,
    "the dog sat on the mat, größer. " * 3,
)
TINY = LanguageModel(
    vocab_size=263,
    epochs=2,
    context=5,
    max_len=11,
    d_model=6,
    num_heads=2,
    num_layers=2,
    d_ff=7,
    batch_size=3,
    steps_per_epoch=4,
    warmup_steps=2,
)


def ids(text: str) -> Tensor:
    return torch.tensor(BPETokenizer.train(TEXTS.train, 263).encode(text))


# Oracle


def test_a_run_is_the_plain_loop_over_pieces_of_the_text() -> None:
    torch.manual_seed(4)
    model, optimizer, schedule = TINY.build()
    history = TINY.fit(model, TEXTS, 4, optimizer=optimizer, schedule=schedule, progress=False)

    torch.manual_seed(4)
    plain = GPT(TINY.config)
    plain.positions.weight.data = sinusoidal_encoding(11, 6)
    tables = [p for p in plain.parameters() if p.dim() > 1]
    vectors = [p for p in plain.parameters() if p.dim() == 1]
    groups: list[dict[str, Any]] = [{"params": tables}, {"params": vectors, "weight_decay": 0.0}]
    updates = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99), weight_decay=0.1)
    text = ids(TEXTS.train)
    losses: list[float] = []
    for epoch in range(2):
        loader = fresh_loader(
            lambda size, generator: TINY.batch(text, size, generator),
            batch_size=3,
            batches=4,
            seed=4,
        )
        loader.dataset.set_epoch(epoch)  # type: ignore[attr-defined]
        for tokens, target in loader:
            step = len(losses) + 1
            progress = (step - 2) / (8 - 2)
            rate = 6e-3 * (step / 2 if step <= 2 else 0.5 * (1 + math.cos(math.pi * progress)))
            for group in updates.param_groups:
                group["lr"] = rate
            updates.zero_grad()
            loss = F.cross_entropy(plain(tokens).mT, target)
            loss.backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            updates.step()
            losses.append(loss.item())
    assert history.step_loss == pytest.approx(losses, rel=1e-4)
    assert history.epoch_end == [4, 8]
    assert len(history.validation_loss) == 2


def test_multiplications_are_those_of_all_matrix_products() -> None:
    calls: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        calls.append(inputs[0][..., 0].numel() * layer.weight.numel())

    torch.manual_seed(0)
    model, _, _ = TINY.build()
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(count)
    tokens, _ = TINY.batch(ids(TEXTS.train), 3, torch.Generator())
    model(tokens)
    pairs = sum(query + 1 for query in range(5))  # each position reads itself and those before
    attention = 2 * 2 * 3 * pairs * 6  # layers, scores and sums, sequences, pairs, d_model
    assert TINY.multiplications == sum(calls) + attention


def test_bits_are_all_tokens_nats_over_ln_2_and_characters() -> None:
    torch.manual_seed(0)
    model, _, _ = TINY.build()
    for part in ("train", "validation"):
        text = getattr(TEXTS, part)
        nats = token_nats(model, ids(text), context=5).sum().item()
        expected = nats / math.log(2) / len(text)
        assert TINY.bits(model, TEXTS, part=part) == pytest.approx(expected, rel=1e-5)
        rate = TINY.bits_per_nat(TEXTS, part=part)
        assert rate == pytest.approx(len(ids(text)) / math.log(2) / len(text))
    assert TINY.bits(model, TEXTS) == TINY.bits(model, TEXTS, part="validation")
    assert TINY.bits_per_nat(TEXTS) == TINY.bits_per_nat(TEXTS, part="validation")


# Property


def test_batches_are_pieces_of_the_text_from_anywhere() -> None:
    text = torch.arange(13)
    tokens, target = TINY.batch(text, 500, torch.Generator().manual_seed(0))
    assert tokens.shape == target.shape == (500, 5)
    assert torch.equal(target, tokens + 1)
    assert torch.equal(tokens.diff(dim=1), torch.ones(500, 4, dtype=torch.long))
    assert {*tokens[:, 0].tolist()} == set(range(8))  # the last one's target is the text's end


def test_pieces_side_by_side_are_the_text_but_for_what_is_left_over() -> None:
    text = ids(TEXTS.validation)
    for length in (1, 5, 11):
        pieces = TINY.side_by_side(TEXTS, length)
        read, target = (torch.cat(part) for part in zip(*pieces, strict=True))
        kept = read.numel()
        assert read.shape == target.shape == ((len(text) - 1) // length, length)
        assert torch.equal(read.flatten(), text[:kept])
        assert torch.equal(target.flatten(), text[1 : kept + 1])
        assert max(len(tokens) for tokens, _ in pieces) <= 32


def test_a_seed_settles_the_pieces() -> None:
    def losses(seed: int) -> list[float]:
        torch.manual_seed(0)
        model, optimizer, schedule = TINY.build()
        parts: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule}
        return TINY.fit(model, TEXTS, seed, **parts, progress=False).step_loss

    assert losses(1) == losses(1) != losses(2)


def test_the_tokenizer_knows_the_training_text_only_and_is_trained_once() -> None:
    assert TINY.tokenizer(TEXTS) == BPETokenizer.train(TEXTS.train, 263)
    assert TINY.tokenizer(replace(TEXTS, validation="zz" * 99)) is TINY.tokenizer(TEXTS)
    assert trained_tokenizer(TEXTS.train, 256).merges == ()


# Border


def test_a_corpus_is_made_of_paragraphs() -> None:
    assert Corpus.of(["a", "b"], ["c"]) == Corpus("a\n\nb\n\n", "c\n\n")


# Learning


def test_a_tiny_model_learns_a_sentence_that_repeats() -> None:
    torch.manual_seed(0)
    small = replace(TINY, d_model=16, d_ff=32, num_layers=1, epochs=8, steps_per_epoch=25)
    model, optimizer, schedule = small.build()
    before = small.bits(model, TEXTS, part="train")
    small.fit(model, TEXTS, 0, optimizer=optimizer, schedule=schedule, progress=False)
    assert small.bits(model, TEXTS, part="train") < before / 3

"""Lesson 03's second experiment: does what was learned at one length hold at a longer one?

Everybody in a queue names the one three places ahead. Models are trained at one length and asked,
in longer queues, at the positions that training never had. Beside them stands the same model
with weights that were written down by hand.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tx_utils.experiments import positions
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.positions import (
    Positions,
    QueueModel,
    fit_queue,
    learned,
    sinusoidal,
)
from tx_utils.experiments.recipe import measure
from tx_utils.positional import PositionalEncoding, sinusoidal_encoding
from tx_utils.tasks import LookBack
from tx_utils.training import History, seed_everything

SETTINGS = positions.SETTINGS  # as in lesson 03's first experiment
LONGEST = LookBack(length=64)  # the whole vocabulary in one queue


class ShiftedPositions(PositionalEncoding):
    """Sinusoids that start, in training, at a place drawn anew for every batch."""

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        """As in `PositionalEncoding`, but in training any `offset` that fits is drawn instead."""
        if self.training:
            room = self.encoding.size(0) - x.size(1)
            offset = int(torch.randint(room + 1, ()))
        return super().forward(x, offset)


def shifted(d_model: int, max_len: int) -> ShiftedPositions:
    """Sinusoids that let training see every place, in short queues."""
    return ShiftedPositions(d_model, max_len=max_len)


@dataclass(frozen=True)
class Variant:
    """What is trained.

    Attributes:
        positions: Makes the layer that adds positions.
        length: Of the training sequences.
    """

    positions: Positions
    length: int

    @property
    def task(self) -> LookBack:
        """What it is trained on."""
        return replace(LONGEST, length=self.length)

    @property
    def longer(self) -> tuple[LookBack, ...]:
        """Longer queues, in which only those are asked who stand where training had nobody."""
        lengths = (self.length + 2, self.length + 5, self.length + 10, 2 * self.length)
        return tuple(replace(LONGEST, length=n, first_asked=self.length) for n in lengths)


VARIANTS = {
    "sinusoidal, 12": Variant(sinusoidal, 12),
    "learned, 12": Variant(learned, 12),
    "shifted, 12": Variant(shifted, 12),
    "sinusoidal, 32": Variant(sinusoidal, 32),
    "learned, 32": Variant(learned, 32),
}


@torch.no_grad()
def accuracy_by_position(model: QueueModel, task: LookBack) -> list[float]:
    """Share of right answers at each position that is asked; leaves the model in `eval()`."""
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    tokens, target = task.sample(SETTINGS.test_size, generator)
    right = model.eval()(tokens).argmax(dim=-1) == target
    return right.double().mean(dim=0)[task.first_asked :].tolist()


def run(name: str, seed: int) -> tuple[QueueModel, History, Result]:
    """Train one variant from one seed, and ask it at its own and at longer lengths."""
    variant = VARIANTS[name]
    seed_everything(seed)
    model = QueueModel(LONGEST.vocab_size, SETTINGS.d_model, torch.nn.Identity())
    model.positions = variant.positions(SETTINGS.d_model, LONGEST.length)  # last: it may draw
    history = fit_queue(model, variant.task.sample, SETTINGS, seed, name)
    beyond = [measure(model, task.sample, SETTINGS, history) for task in variant.longer]
    measures: dict[str, Any] = {
        "new_accuracy": [result.accuracy for result in beyond],
        "new_loss": [result.loss for result in beyond],
        "by_position": accuracy_by_position(model, LONGEST),
    }
    return model, history, measure(model, variant.task.sample, SETTINGS, history, measures=measures)


def rotation(steps: int, d_model: int) -> Tensor:
    """The matrix that takes the pattern of position p to that of p + steps, for every p.

    Block i turns the pair (sin, cos) of frequency i by `steps` times that frequency.

    Args:
        steps: How many places forward; backward if negative.
        d_model: Width of a pattern; even.

    Returns:
        A block-diagonal, orthogonal matrix R with R @ p_t = p_(t + steps).  (d_model, d_model)

    Example:
        >>> patterns = sinusoidal_encoding(8, 4)
        >>> torch.allclose(rotation(3, 4) @ patterns[2], patterns[5], atol=1e-6)
        True
    """
    sin, cos = sinusoidal_encoding(abs(steps) + 1, d_model)[-1].view(-1, 2).unbind(dim=-1)
    sin = sin if steps >= 0 else -sin
    blocks = torch.stack([cos, sin, -sin, cos], dim=-1).view(-1, 2, 2)
    return torch.block_diag(*blocks)


@torch.no_grad()
def built_by_hand(d_model: int = SETTINGS.d_model, max_len: int = LONGEST.length) -> QueueModel:
    """The model of this experiment with weights that solve it at every length up to `max_len`.

    The fast half of the dimensions says where: the query is the own position turned back by
    three places, stretched so that one key wins. The slow half, in which positions hardly move,
    says who: the token's number in binary, as plus and minus ones.
    """
    vocab_size, half = LONGEST.vocab_size, d_model // 2
    model = QueueModel(vocab_size, d_model, sinusoidal(d_model, max_len))
    bits = (torch.arange(vocab_size)[:, None] >> torch.arange(half)) % 2
    fast, slow = slice(half), slice(half, None)
    for parameter in model.parameters():
        parameter.zero_()
    model.embedding.weight[:, slow] = 2.0 * bits - 1.0
    turn_back = rotation(-LONGEST.back, d_model)
    model.attention.query_proj.weight[fast, fast] = 100 * turn_back[fast, fast]
    model.attention.key_proj.weight[fast, fast] = torch.eye(half)
    model.attention.value_proj.weight[slow, slow] = torch.eye(half)
    model.attention.out_proj.weight.copy_(torch.eye(d_model))
    model.readout.weight.copy_(model.embedding.weight)
    return model


EXPERIMENT = Experiment(
    name="extrapolation",
    settings={
        **asdict(SETTINGS),
        "longest": asdict(LONGEST),
        "variants": {
            name: {
                "positions": variant.positions.__name__,
                "length": variant.length,
                "longer": [task.length for task in variant.longer],
            }
            for name, variant in VARIANTS.items()
        },
    },
    floors={"chance": LONGEST.chance},
    variants=tuple(VARIANTS),
    run=lambda name, seed: run(name, seed)[2],
)

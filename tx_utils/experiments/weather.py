"""Lesson 00's experiment: a forecast that sees today, one that does not, and one from few days.

The first two get fresh days in every batch and differ only in what they see of them. The third is
the first model, given the same few days again and again. A sweep over rates compares SGD and Adam.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim

from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.tasks import WEATHER, Weather, sample_floor
from tx_utils.training import History, seed_everything

TASK = Weather()
RATES = {
    "SGD": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    "Adam": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
}
SWEEP = {
    f"{optimizer} {rate:g}": (optimizer, rate) for optimizer in RATES for rate in RATES[optimizer]
}


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 00's training runs have in common.

    Attributes:
        d_model: Width of a token's vector.
        few: Sequences that the variant "few" sees, all of them in every step.
    """

    d_model: int = 32
    few: int = 4


# The test set is every possible case: 64 of them.
SETTINGS = Settings(
    batch_size=32, batches_per_epoch=20, epochs=20, learning_rate=1e-2, test_size=64
)


class Sees(nn.Module):
    """The smallest language model: a vector for each token, a score for each possible next one.

    Args:
        d_model: Width of a token's vector.
        vocab_size: Number of tokens, V.
    """

    def __init__(self, d_model: int, vocab_size: int = len(WEATHER)) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.readout = nn.Linear(d_model, vocab_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, vocab_size)."""
        return self.readout(self.embedding(tokens))


class Blind(Sees):
    """The same network, shown the same token whatever the weather."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, vocab_size)."""
        return super().forward(torch.zeros_like(tokens))


def few_days(seed: int) -> tuple[Tensor, Tensor]:
    """The small training set of a seed: all days that the variant "few" ever sees."""
    return TASK.sample(SETTINGS.few, torch.Generator().manual_seed(seed))


def every_case(*_: object) -> tuple[Tensor, Tensor]:
    """Every case there is, whatever sample is asked for: its mean loss is the expected loss."""
    return TASK.every_case()


def run(variant: str, seed: int) -> tuple[Sees, History, Result]:
    """Train one variant from one seed; the validation loss is the expected loss, exactly."""
    seed_everything(seed)
    optimizer_name, rate = SWEEP.get(variant, ("Adam", SETTINGS.learning_rate))
    model = (Blind if variant == "blind" else Sees)(SETTINGS.d_model)
    days = few_days(seed)
    history = fit(
        model,
        (lambda *_: days) if variant == "few" else TASK.sample,
        SETTINGS,
        seed,
        optimizer=getattr(optim, optimizer_name)(model.parameters(), lr=rate),
        validation=[TASK.every_case()],
        on_divergence="stop",
        label=variant,
    )
    measures: dict[str, Any] = {"expected": history.validation_loss}
    if variant == "few":
        measures["floor"] = sample_floor(*days)
    result = measure(model, every_case, SETTINGS, history, measures=measures)
    if variant in SWEEP:  # so many curves nobody would look at
        diverged = history.diverged_at is not None
        result = Result(math.nan if diverged else result.loss, result.accuracy)
    return model, history, result


EXPERIMENT = Experiment(
    name="weather",
    settings={
        **asdict(SETTINGS),
        "task": asdict(TASK),
        "rates": {optimizer: list(rates) for optimizer, rates in RATES.items()},
    },
    floors={"sees": TASK.floor, "blind": TASK.blind_floor},
    variants=("sees", "blind", "few", *SWEEP),
    run=lambda variant, seed: run(variant, seed)[2],
)

"""Lesson 08's experiment: what the craft around the training loop is worth, piece by piece.

The job is lesson 07's on numbers below ten thousand. Variants change the schedule and the depth,
the smoothing of the labels, and the dropout where there are few numbers to learn from. Every run
also tells what its averaged weights and its best epoch were worth.
"""

import copy
from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.translator import SCHEDULES, Translator
from tx_utils.models import Transformer
from tx_utils.tasks.translation import collate
from tx_utils.tasks.vocabulary import PAD
from tx_utils.training import (
    EarlyStopping,
    History,
    TokenCrossEntropy,
    evaluate,
    seed_everything,
    train_step,
)

SETTINGS = Translator(
    limit=10_000,
    train_size=960,
    epochs=30,
    learning_rate=3e-3,
    warmup_steps=100,
    num_layers=2,
    label_smoothing=0.0,
)
BASE = "inverse sqrt, 2 layers"
FEW: dict[str, Any] = {"train_size": 96, "epochs": 225}  # as many steps
CLIP_NORM = 0.3  # more than half of the gradients in the last third of a run are shorter
STEPS_AFTER = 40  # steps watched after a bad batch

VARIANTS: dict[str, Translator] = {
    f"{schedule}, {num_layers} layers": replace(SETTINGS, schedule=schedule, num_layers=num_layers)
    for num_layers in (2, 4)
    for schedule in SCHEDULES
} | {
    "constant, 4 layers, twice as long": replace(
        SETTINGS, schedule="constant", num_layers=4, epochs=60
    ),
    "label smoothing": replace(SETTINGS, label_smoothing=0.1),
    **{f"few numbers, dropout {p:g}": replace(SETTINGS, dropout=p, **FEW) for p in (0.0, 0.1, 0.3)},
}


class BestEpoch(EarlyStopping):
    """Keeps the weights of the best epoch, but neither stops a run nor gives them back."""

    def __init__(self, epochs: int) -> None:
        super().__init__(patience=epochs)

    def restore(self, model: nn.Module) -> None:
        """Leave the model as it is."""


def after_bad_batch(
    settings: Translator,
    model: Transformer,
    optimizer: Optimizer,
    schedule: LRScheduler,
    seed: int,
    *,
    bad: bool = True,
    clip_norm: float | None = None,
) -> list[float]:
    """Learn from one batch whose answers belong to other questions, then from good ones.

    Args:
        settings: How the model was trained.
        model: The trained model; it stays as it is.
        optimizer: The one that trained it; it stays as it is.
        schedule: Its schedule.
        seed: That of the run.
        bad: False leaves the first batch as it is, for comparison.
        clip_norm: Longest gradient allowed, or None.

    Returns:
        The validation loss before the first batch, and after each.
    """
    model, optimizer, schedule = copy.deepcopy((model, optimizer, schedule))
    model.train()
    numbers = settings.split(seed)
    loss_fn = TokenCrossEntropy(ignore_index=PAD)
    validation = [collate(settings.task.pairs(numbers.validation))]
    losses = [evaluate(model, validation, loss_fn)["loss"]]
    with torch.random.fork_rng(devices=[]):  # so that every call drops out the same
        for batch in batches_after(settings, numbers.train, seed, bad=bad):
            train_step(model, batch, optimizer, loss_fn, clip_norm)
            schedule.step()
            losses.append(evaluate(model, validation, loss_fn)["loss"])
    return losses


def batches_after(
    settings: Translator, numbers: list[int], seed: int, *, bad: bool
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """One batch, its sources moved down a row if it is to be bad, and `STEPS_AFTER` good ones."""
    loader = settings.loader(numbers, seed)
    batches: list[Any] = []
    while len(batches) <= STEPS_AFTER:
        batches += loader
    source, decoder_input, labels = batches[0]
    first = source.roll(1, dims=0) if bad else source, decoder_input, labels
    return [first, *batches[1 : STEPS_AFTER + 1]]


def run(variant: str, seed: int) -> tuple[Transformer, History, Result]:
    """Train one variant from one seed; measure it at its end, averaged, and at its best epoch."""
    settings = VARIANTS[variant]
    seed_everything(seed)
    model = Transformer(settings.config)
    averaged, best = settings.average(model), BestEpoch(settings.epochs)
    optimizer, schedule = settings.optimizer(model)
    history = settings.fit(
        model,
        seed,
        optimizer=optimizer,
        schedule=schedule,
        averaged=averaged,
        early_stopping=best,
        label=variant,
    )
    pairs = settings.task.pairs(settings.split(seed).test)
    at_best = copy.deepcopy(model)
    at_best.load_state_dict(best.best_weights or {})
    measures: dict[str, Any] = {
        "exact match, averaged": settings.exact_match(cast(Transformer, averaged.module), pairs),
        "exact match, best epoch": settings.exact_match(at_best, pairs),
    }
    if variant == BASE:
        run_of = (settings, model, optimizer, schedule, seed)
        measures["no bad batch"] = after_bad_batch(*run_of, bad=False)
        measures["bad batch"] = after_bad_batch(*run_of)
        measures["bad batch, clipped"] = after_bad_batch(*run_of, clip_norm=CLIP_NORM)
    return model, history, settings.measure(model, seed, history, measures)


EXPERIMENT = Experiment(
    name="craft",
    settings={
        "variants": {name: asdict(settings) for name, settings in VARIANTS.items()},
        "clip_norm": CLIP_NORM,
        "steps_after": STEPS_AFTER,
    },
    floors={},
    variants=tuple(VARIANTS),
    run=lambda variant, seed: run(variant, seed)[2],
)

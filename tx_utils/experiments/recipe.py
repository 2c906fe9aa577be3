"""Recipe: how an ablation's models are trained and measured, all variants alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn, optim

from tx_utils.experiments.evidence import Result
from tx_utils.tasks.sampling import Sample, fixed_loader, fresh_loader
from tx_utils.training import History, TokenAccuracy, TokenCrossEntropy, evaluate, train
from tx_utils.training.evaluation import Loss


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the training runs of an experiment have in common.

    Attributes:
        batch_size: Sequences per batch, each of them fresh.
        batches_per_epoch: Batches per epoch.
        epochs: Epochs per run.
        learning_rate: Adam's.
        test_size: Sequences in the test set.
        test_seed: Names the test set; no run's own seed.
    """

    batch_size: int
    batches_per_epoch: int
    epochs: int
    learning_rate: float
    test_size: int = 2048
    test_seed: int = 1_000_000


def fit(
    model: nn.Module,
    sample: Sample,
    recipe: Recipe,
    seed: int,
    *,
    loss_fn: Loss | None = None,
    optimizer: optim.Optimizer | None = None,
    **options: Any,
) -> History:
    """Train a model on fresh batches.

    Args:
        model: Trained in place.
        sample: Draws a batch, as in `FreshSamples`.
        recipe: Sizes and rate.
        seed: Names the stream of batches.
        loss_fn: Token-wise cross-entropy if None.
        optimizer: Adam at the recipe's rate if None.
        **options: More of `train`'s: a schedule, a label, ...
    """
    loader = fresh_loader(
        sample, batch_size=recipe.batch_size, batches=recipe.batches_per_epoch, seed=seed
    )
    optimizer = optimizer or optim.Adam(model.parameters(), lr=recipe.learning_rate)
    loss_fn = loss_fn or TokenCrossEntropy()
    return train(model, loader, optimizer, loss_fn, epochs=recipe.epochs, **options)


def measure(
    model: nn.Module,
    sample: Sample,
    recipe: Recipe,
    history: History,
    *,
    loss_fn: Loss | None = None,
    accuracy: Loss | None = None,
    measures: Mapping[str, Any] | None = None,
) -> Result:
    """Measure a trained model on the recipe's fixed test set.

    Args:
        model: Evaluated without gradients.
        sample: Draws the test set.
        recipe: Says how large it is, and its seed.
        history: The training run's, for its curve.
        loss_fn: Token-wise cross-entropy if None.
        accuracy: The share of right answers; token-wise if None.
        measures: What else was measured, to be kept with the result.
    """
    loader = fixed_loader(sample, size=recipe.test_size, batch_size=1024, seed=recipe.test_seed)
    metrics = {"accuracy": accuracy or TokenAccuracy()}
    scores = evaluate(model, loader, loss_fn or TokenCrossEntropy(), metrics)
    curve, ends = history.train_loss, history.epoch_end
    return Result(scores["loss"], scores["accuracy"], curve, ends, dict(measures or {}))

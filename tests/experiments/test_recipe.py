"""The recipe: what it trains is what `train` trains, what it measures is a mean over one set."""

from dataclasses import FrozenInstanceError, asdict

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from tx_utils import History, TokenCrossEntropy, seed_everything, train
from tx_utils.experiments.evidence import Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.tasks import fixed_loader, fresh_loader

RECIPE = Recipe(
    batch_size=3, batches_per_epoch=5, epochs=2, learning_rate=0.01, test_size=1030, test_seed=7
)


def sample(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Name the larger of two numbers."""
    x = torch.randn(size, 2, generator=generator)
    return x, x.argmax(dim=-1)


def linear() -> nn.Linear:
    seed_everything(0)
    return nn.Linear(2, 2)


# Oracle


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_fit_is_adam_on_the_seeds_stream(rate: float) -> None:
    recipe = Recipe(**asdict(RECIPE) | {"learning_rate": rate})
    model, again = linear(), linear()
    history = fit(model, sample, recipe, 11, label="tiny")
    loader = fresh_loader(sample, batch_size=3, batches=5, seed=11)
    optimizer = optim.Adam(again.parameters(), lr=rate)
    expected = train(again, loader, optimizer, TokenCrossEntropy(), epochs=2, progress=False)
    assert history.step_loss == expected.step_loss
    assert len(history.step_loss) == 10
    assert torch.equal(model.weight, again.weight)


def test_fit_takes_another_optimizer_loss_and_schedule() -> None:
    model, again = linear(), linear()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.2)
    history = fit(
        model, sample, RECIPE, 11, loss_fn=loss_fn, optimizer=optimizer, schedule=schedule
    )
    again_optimizer = optim.SGD(again.parameters(), lr=0.5)
    expected = train(
        again,
        fresh_loader(sample, batch_size=3, batches=5, seed=11),
        again_optimizer,
        loss_fn,
        epochs=2,
        schedule=optim.lr_scheduler.StepLR(again_optimizer, step_size=2),
        progress=False,
    )
    assert history.step_loss == expected.step_loss
    assert history.learning_rate == expected.learning_rate
    assert torch.equal(model.weight, again.weight)


def test_measure_is_a_mean_over_the_whole_test_set() -> None:
    model, history = linear(), History(train_loss=[5.0], epoch_end=[7])
    ((x, target),) = fixed_loader(sample, size=1030, batch_size=1030, seed=7)
    logits = model(x)
    result = measure(model, sample, RECIPE, history)
    assert result.loss == pytest.approx(F.cross_entropy(logits, target).item(), rel=1e-5)
    right = (logits.argmax(dim=-1) == target).double().mean().item()
    assert result.accuracy == pytest.approx(right, rel=1e-5)
    assert (result.curve, result.epoch_end, result.measures) == ([5.0], [7], {})


def test_measure_takes_another_loss_another_accuracy_and_further_measures() -> None:
    def ones(logits: Tensor, target: Tensor) -> Tensor:
        return (target == 1).float().mean()

    def constant(logits: Tensor, target: Tensor) -> Tensor:
        return torch.tensor(2.5)

    measures = {"mass": [0.25, 0.5]}
    history = History(train_loss=[5.0], epoch_end=[7])
    result = measure(
        linear(), sample, RECIPE, history, loss_fn=constant, accuracy=ones, measures=measures
    )
    ((_, target),) = fixed_loader(sample, size=1030, batch_size=1030, seed=7)
    share = target.double().mean().item()
    assert result == Result(2.5, result.accuracy, [5.0], [7], measures)
    assert result.accuracy == pytest.approx(share, rel=1e-5)
    assert result.measures is not measures


# Border


def test_a_recipe_is_frozen_and_named_throughout() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPE.epochs = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Recipe(3, 5, 2, 0.01)  # type: ignore[call-arg]

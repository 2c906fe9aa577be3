"""Early stopping: when it stops, and what it gives back."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_runs import toy_run

from tx_utils import EarlyStopping, evaluate

losses_seen = st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.25, 2.0, math.nan]), min_size=1)


def weight_of(model: nn.Module) -> float:
    return next(model.parameters()).item()


def watch(stopping: EarlyStopping, losses: list[float]) -> nn.Linear:
    """Show it a loss after each epoch; the epoch's number is the model's only weight."""
    model = nn.Linear(1, 1, bias=False)
    for epoch, loss in enumerate(losses):
        nn.init.constant_(model.weight, epoch)
        stopping.update(loss, model)
    return model


@settings(deadline=None, max_examples=60)
@given(losses_seen, st.integers(1, 4))
def test_the_best_epoch_is_the_first_with_the_lowest_loss(
    losses: list[float], patience: int
) -> None:
    stopping = EarlyStopping(patience)
    model = watch(stopping, losses)
    finite = [loss for loss in losses if not math.isnan(loss)]
    best = losses.index(min(finite)) if finite else None
    since = len(losses) - (0 if best is None else best + 1)
    assert stopping.epochs_without_improvement == since
    assert stopping.stopped == (since >= patience)
    stopping.restore(model)
    assert weight_of(model) == (len(losses) - 1 if best is None else best)
    assert stopping.best_loss == (math.inf if best is None else min(finite))


@settings(deadline=None, max_examples=60)
@given(losses_seen)
def test_a_step_down_counts_only_beyond_min_delta(losses: list[float]) -> None:
    stopping = EarlyStopping(1, min_delta=0.5)
    kept = [math.inf]
    for loss in losses:
        watch(stopping, [loss])
        if stopping.epochs_without_improvement == 0:
            kept.append(stopping.best_loss)
            assert stopping.best_loss == loss
        else:
            assert not loss < kept[-1] - 0.5
    assert all(later < earlier - 0.5 for earlier, later in pairwise(kept))


def test_a_loss_that_is_no_number_is_no_improvement() -> None:
    stopping = EarlyStopping(2)
    model = watch(stopping, [math.nan, math.nan])
    assert stopping.stopped
    assert stopping.best_weights is None
    stopping.restore(model)  # there is nothing to go back to
    assert weight_of(model) == 1.0


def test_the_best_weights_are_a_copy_also_of_buffers() -> None:
    model, stopping = nn.BatchNorm1d(3), EarlyStopping(1)
    stopping.update(1.0, model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.randn(5, 3))
    nn.init.zeros_(model.weight)
    assert stopping.best_weights is not None
    assert not any(tensor.requires_grad for tensor in stopping.best_weights.values())
    stopping.restore(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    nn.init.zeros_(model.weight)  # restoring makes no alias either
    assert torch.equal(stopping.best_weights["weight"], before["weight"])


def test_progress_comes_back_from_its_state() -> None:
    stopping = EarlyStopping(3)
    model = watch(stopping, [1.0, 0.5, 0.75])
    loaded = EarlyStopping(3)
    loaded.load_state_dict(stopping.state_dict())
    assert (loaded.best_loss, loaded.epochs_without_improvement) == (0.5, 1)
    loaded.restore(model)
    assert weight_of(model) == 1.0
    for _ in range(2):
        assert not loaded.stopped
        loaded.update(0.5, model)
    assert loaded.stopped


@pytest.mark.parametrize("patience", [0, -1, 1.5, True])
def test_patience_is_a_positive_number_of_epochs(patience: Any) -> None:
    with pytest.raises(ValueError, match=f"patience must be .* got {patience!r}"):
        EarlyStopping(patience)


@pytest.mark.parametrize("min_delta", [-0.1, math.nan])
def test_min_delta_is_not_negative(min_delta: float) -> None:
    with pytest.raises(ValueError, match=f"min_delta must not be negative, got {min_delta}"):
        EarlyStopping(1, min_delta=min_delta)


def test_a_run_stops_itself_goes_back_to_its_best_epoch_and_stays_there() -> None:
    run = toy_run(
        "own", seed=1, patience=2
    )  # eleven samples with random labels: it learns them by heart
    history = run.train(50)
    best = min(history.validation_loss)
    assert history.epochs == history.validation_loss.index(best) + 1 + 2 < 50
    assert evaluate(run.model, run.validation, run.loss_fn)["loss"] == best
    state = run.state()
    assert run.train(50) is history
    assert run.state() == state

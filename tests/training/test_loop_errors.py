"""What the training loop refuses, and what it does when the loss diverges."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, IterableDataset
from toy_runs import Alarm, ToyRun, toy_run

from tx_utils import (
    EarlyStopping,
    History,
    NonFiniteLossError,
    TokenAccuracy,
    evaluate,
    train,
    train_step,
)

NOT_FINITE = [math.nan, math.inf, -math.inf]


class Spoilt(nn.CrossEntropyLoss):
    """Gives the wrong value in one training step, counted from 1."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value, self.calls = step, value, 0

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        loss = super().forward(output, target)
        self.calls += output.requires_grad
        return loss * self.value if self.calls == self.step and output.requires_grad else loss


def spoilt_run(step: int, value: float) -> ToyRun:
    run = toy_run("fresh")
    run.loss_fn = Spoilt(step, value)
    return run


def stopped_before(step: int) -> dict[str, Any]:
    """The state of the same run, broken off by hand just before that step's update."""
    run = toy_run("fresh", Alarm("update", step))
    with pytest.raises(KeyboardInterrupt):
        run.train(3)
    run.history.diverged_at = step
    return run.state()


@pytest.mark.parametrize("step", range(1, 10))
def test_a_loss_that_is_not_finite_ends_training_before_it_can_do_harm(step: int) -> None:
    for value in NOT_FINITE:
        run = spoilt_run(step, value)
        with pytest.raises(NonFiniteLossError) as caught:
            run.train(3)
        assert str(caught.value) == (
            f"the loss is {value} in step {step}; the history before it is kept. "
            "A lower learning rate, a warm-up or gradient clipping may help"
        )
        assert caught.value.__suppress_context__  # it is told once
        assert run.state() == stopped_before(step)
        assert run.history.steps == step - 1


def test_a_diverged_run_may_end_quietly() -> None:
    run = spoilt_run(step=5, value=math.nan)
    assert run.train(3, on_divergence="stop", early_stopping=None) is run.history
    assert (run.history.diverged_at, run.history.steps, run.history.epochs) == (5, 4, 1)
    assert all(map(math.isfinite, run.history.step_loss))
    assert math.isfinite(evaluate(run.model, run.validation, run.loss_fn)["loss"])


def test_a_run_that_ended_quietly_has_its_best_weights() -> None:
    run = spoilt_run(step=8, value=math.inf)
    run.train(3, on_divergence="stop")
    best = min(run.history.validation_loss)
    assert evaluate(run.model, run.validation, run.loss_fn)["loss"] == best


def test_a_run_whose_cause_was_mended_goes_on() -> None:
    whole = toy_run("fresh")
    whole.train(3)
    run = spoilt_run(step=5, value=math.nan)
    with pytest.raises(NonFiniteLossError):
        run.train(3)
    run.loss_fn = nn.CrossEntropyLoss()
    assert run.train(3).diverged_at is None
    assert run.state() == whole.state()


def test_one_step_alone_refuses_such_a_loss_too() -> None:
    run = toy_run()
    before = run.state()
    batch = (torch.full((4, 3), math.inf), torch.zeros(4, dtype=torch.long))
    with pytest.raises(NonFiniteLossError, match="the loss is nan"):
        train_step(run.model, batch, run.optimizer, run.loss_fn, None)
    assert run.state() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"epochs": -1}, "epochs must be a positive integer, got -1"),
        ({"epochs": 1.5}, "epochs must be a positive integer, got 1.5"),
        ({"clip_norm": 0.0}, "clip_norm must be positive, got 0.0"),
        ({"clip_norm": -1.0}, "clip_norm must be positive, got -1.0"),
        ({"clip_norm": math.nan}, "clip_norm must be positive, got nan"),
        ({"on_divergence": "ignore"}, "on_divergence must be 'raise' or 'stop', got 'ignore'"),
        ({"validation": None}, "metrics and early_stopping need validation data, got None"),
        (
            {"validation": None, "early_stopping": None, "metrics": {"a": TokenAccuracy()}},
            "metrics and early_stopping need validation data, got None",
        ),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_happens(
    arguments: dict[str, Any], words: str
) -> None:
    run = toy_run()
    before = run.state()
    with pytest.raises(ValueError, match=f"^{words}$"):
        run.train(**{"epochs": 2, **arguments})
    assert run.state() == before


def test_a_history_goes_on_as_it_began() -> None:
    validated, other = toy_run(), toy_run()
    validated.train(1)
    with pytest.raises(ValueError, match="the history's 1 epochs were validated"):
        validated.train(2, validation=None, early_stopping=None)
    other.train(1, validation=None, early_stopping=None)
    with pytest.raises(ValueError, match="the history's 1 epochs were not validated"):
        other.train(2)
    assert (validated.history.epochs, other.history.epochs) == (1, 1)


def test_an_empty_loader_is_refused() -> None:
    run = toy_run()
    before = run.state()
    run.loader = []  # type: ignore[assignment]
    message = "the data loader is empty: expected at least one batch"
    with pytest.raises(ValueError, match=f"^{message} an epoch$"):
        run.train()
    assert run.state() == before
    with pytest.raises(ValueError, match=f"^{message} with a target that counts$"):
        evaluate(run.model, [], run.loss_fn)


def test_a_loader_that_can_be_read_only_once_lasts_one_epoch() -> None:
    run = toy_run()
    run.loader = iter(list(run.loader))  # type: ignore[assignment]
    with pytest.raises(ValueError, match="must start again every epoch, got a list_iterator"):
        run.train(2)
    run.train(1)
    assert run.history.epochs == 1


@pytest.mark.parametrize("early_stopping", [None, EarlyStopping(1)])
def test_empty_validation_data_are_refused(early_stopping: EarlyStopping | None) -> None:
    with pytest.raises(ValueError, match="empty"):
        toy_run().train(validation=[], early_stopping=early_stopping)


class Unsized(IterableDataset[tuple[Tensor, Tensor]]):
    """Samples whose number is not known before they were seen."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(torch.ones(6, 3), torch.zeros(6, dtype=torch.long), strict=True)


def test_data_of_unknown_length_are_trained_and_validated_on() -> None:
    run = toy_run()
    run.loader = DataLoader(Unsized(), batch_size=4)
    history = run.train(2, validation=run.loader)
    assert history.step_targets == [4, 2, 4, 2]
    assert len(history.validation_loss) == 2


def test_a_finished_run_is_left_alone() -> None:
    run = toy_run()
    run.train(2)
    state = run.state()
    for epochs in (1, 2):
        assert run.train(epochs) is run.history
        assert run.state() == state


def test_a_history_is_made_if_none_is_given() -> None:
    model = nn.Linear(1, 1)
    data = [(torch.ones(4, 1), torch.ones(4, 1))] * 3
    optimizer = SGD(model.parameters(), lr=0.1)
    first, second = (train(model, data, optimizer, nn.MSELoss(), epochs=2) for _ in range(2))
    assert (first.steps, second.steps) == (6, 6)
    assert first is not second
    assert isinstance(first, History)

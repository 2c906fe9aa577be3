"""A history adds up what it is told."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils import History

Steps = list[tuple[float, int]]
an_epoch = st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(1, 100)), min_size=1, max_size=5)


def history_of(*epochs: Steps) -> History:
    history = History()
    for epoch in epochs:
        add(history, epoch)
        history.close_epoch({})
    return history


def add(history: History, steps: Steps) -> None:
    for loss, targets in steps:
        history.add_step(loss, targets, learning_rate=0.1, grad_norm=loss + 1.0, seconds=0.5)


@settings(deadline=None, max_examples=50)
@given(st.lists(an_epoch, min_size=1, max_size=4))
def test_an_epochs_loss_is_the_mean_over_all_of_its_targets(epochs: list[Steps]) -> None:
    history = history_of(*epochs)
    for epoch, loss in zip(epochs, history.train_loss, strict=True):
        every_target = [loss for loss, targets in epoch for _ in range(targets)]
        assert math.isclose(loss, math.fsum(every_target) / len(every_target), abs_tol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(an_epoch, max_size=4), an_epoch)
def test_steps_and_epochs_are_counted(epochs: list[Steps], unfinished: Steps) -> None:
    history = history_of(*epochs)
    assert history.steps_into_epoch == 0
    add(history, unfinished)
    assert history.epochs == len(epochs)
    assert history.steps_into_epoch == len(unfinished)
    assert history.steps == sum(map(len, epochs)) + len(unfinished)
    assert history.epoch_end == [sum(map(len, epochs[: n + 1])) for n in range(len(epochs))]


def test_a_new_history_holds_nothing() -> None:
    history = History()
    assert (history.steps, history.epochs, history.steps_into_epoch) == (0, 0, 0)
    assert history.diverged_at is None


def test_every_number_of_a_step_is_kept() -> None:
    history = History()
    history.add_step(2.0, targets=3, learning_rate=0.5, grad_norm=7.0, seconds=0.25)
    assert (history.step_loss, history.step_targets) == ([2.0], [3])
    assert (history.learning_rate, history.grad_norm, history.seconds) == ([0.5], [7.0], [0.25])


def test_validation_results_are_kept_by_name() -> None:
    history = History()
    for value in (1.0, 2.0):
        add(history, [(1.0, 1)])
        history.close_epoch({"loss": value, "accuracy": value / 4.0})
    assert history.validation_loss == [1.0, 2.0]
    assert history.metrics == {"accuracy": [0.25, 0.5]}


def test_a_finished_epoch_needs_no_random_state() -> None:
    history = History(random_state={"step_end": 1})
    assert "random_state" not in repr(history)
    add(history, [(1.0, 1)])
    history.close_epoch({})
    assert history.random_state == {}


def test_a_saved_history_comes_back_and_does_not_change_with_the_run() -> None:
    history = history_of([(1.0, 2)], [(3.0, 4), (5.0, 6)])
    history.metrics["accuracy"], history.diverged_at = [0.5, 0.75], 4
    state = history.state_dict()
    loaded = History()
    loaded.load_state_dict(state)
    assert loaded == history
    add(history, [(7.0, 8)])
    history.metrics["accuracy"].append(1.0)
    assert (loaded.steps, loaded.metrics) == (3, {"accuracy": [0.5, 0.75]})
    assert state["step_loss"] == [1.0, 3.0, 5.0]


def test_two_histories_share_nothing() -> None:
    first, second = History(), History()
    add(first, [(1.0, 1)])
    first.metrics["accuracy"] = [1.0]
    first.random_state["step_end"] = 1
    assert second == History()


def test_losses_without_their_targets_are_not_averaged() -> None:
    with pytest.raises(ValueError, match="shorter"):
        History(step_loss=[1.0, 2.0], step_targets=[3]).close_epoch({})


def test_an_epoch_without_a_step_cannot_be_closed() -> None:
    with pytest.raises(ZeroDivisionError):
        History().close_epoch({})


def test_it_is_shown_in_one_line_however_long_it_is() -> None:
    history = History()
    assert repr(history) == "<History: 0 epochs, 0 steps>"
    for _ in range(1000):
        history.add_step(0.123456, targets=1, learning_rate=0.1, grad_norm=1.0, seconds=0.1)
    history.close_epoch({"loss": 2.0})
    assert repr(history) == "<History: 1 epochs, 1000 steps, loss 0.1235, validation 2>"

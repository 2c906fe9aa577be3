"""Ctrl-C, wherever it falls: the same call goes on, and the result is the same to the last bit."""

import functools
import io
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from toy_runs import KINDS, PLACES, Alarm, ToyRun, plain, toy_run

from tx_utils import EarlyStopping, seed_everything


@functools.cache
def uninterrupted(kind: str, epochs: int = 2) -> dict[str, Any]:
    run = toy_run(kind)
    run.train(epochs)
    return run.state()


def calls_in(kind: str, place: str) -> int:
    alarm = Alarm(place)
    toy_run(kind, alarm).train()
    return alarm.calls


def interrupt(run: ToyRun, **arguments: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.train(**arguments)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_interrupted_anywhere_ends_as_if_nothing_had_happened(kind: str, place: str) -> None:
    calls = calls_in(kind, place)
    assert calls >= 4
    for call in range(1, calls + 1):
        run = toy_run(kind, Alarm(place, call))
        interrupt(run)
        run.train()
        assert run.state() == uninterrupted(kind), f"interrupted in {place} number {call}"


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_caller_draws_meanwhile_changes_nothing(kind: str) -> None:
    next_epoch = len(toy_run(kind).loader) + 1
    for place, call in (("loader", 1), ("forward", 2), ("validation", 1), ("loader", next_epoch)):
        run = toy_run(kind, Alarm(place, call))
        interrupt(run)
        seed_everything(99)
        if run.loader.generator is not None:
            run.loader.generator.manual_seed(99)
        run.train()
        assert run.state() == uninterrupted(kind), f"interrupted in {place} number {call}"


def test_a_run_may_be_interrupted_at_every_step() -> None:
    alarm = Alarm("forward", 1)
    run = toy_run("own", alarm)
    for steps in range(6):
        interrupt(run)
        assert run.history.steps == steps
        alarm.at = alarm.calls + 2  # the repeated call, and one more
    alarm.at = 0
    run.train()
    assert run.state() == uninterrupted("own")


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_after_the_end_equals_one_long_run(kind: str) -> None:
    run = toy_run(kind)
    for epochs in (1, 2, 4):
        run.train(epochs, early_stopping=None)
    long = toy_run(kind)
    long.train(4, early_stopping=None)
    assert run.state() == long.state()


def test_an_interruption_keeps_what_was_measured_and_the_last_weights() -> None:
    run = toy_run(alarm=Alarm("forward", 6))
    interrupt(run, epochs=3)
    assert (run.history.steps, run.history.epochs, run.history.steps_into_epoch) == (5, 2, 1)
    assert len(run.history.grad_norm) == len(run.history.learning_rate) == 5
    best = run.early_stopping.best_weights
    assert best is not None
    assert not torch.equal(best["0.weight"], next(run.model.parameters()))


class ImpatientTerminal(io.StringIO):
    """A terminal in which Ctrl-C is pressed while the progress line is written."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__()
        self.alarm = alarm

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.alarm()
        return super().write(text)


def test_an_interruption_while_the_progress_line_is_written_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = Alarm()
    monkeypatch.setattr("sys.stdout", ImpatientTerminal(counting))
    toy_run().train()
    assert counting.calls >= 4
    for call in range(1, counting.calls + 1):
        run = toy_run()
        monkeypatch.setattr("sys.stdout", ImpatientTerminal(Alarm(at=call)))
        interrupt(run)
        run.train()
        assert run.state() == uninterrupted("global"), f"interrupted in write number {call}"


@pytest.fixture
def press_ctrl_c() -> Iterator[Callable[..., None]]:
    """The real key: a signal, and not an exception raised by hand."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    yield lambda *_: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_pressed_during_the_update_does_not_make_a_step_count_twice(
    kind: str, press_ctrl_c: Callable[..., None]
) -> None:
    run = toy_run(kind)
    pressed = run.optimizer.register_step_post_hook(press_ctrl_c)
    interrupt(run)
    pressed.remove()
    run.train()
    assert run.state() == uninterrupted(kind)


def test_a_key_pressed_at_the_end_of_an_epoch_does_not_hide_it_from_early_stopping(
    monkeypatch: pytest.MonkeyPatch, press_ctrl_c: Callable[..., None]
) -> None:
    run, update = toy_run(), EarlyStopping.update

    def pressed(self: EarlyStopping, *arguments: Any) -> None:
        press_ctrl_c()
        update(self, *arguments)

    monkeypatch.setattr(EarlyStopping, "update", pressed)
    interrupt(run)
    monkeypatch.setattr(EarlyStopping, "update", update)
    run.train()
    assert run.state() == uninterrupted("global")


@pytest.mark.parametrize("moment", ["step", "average"])
def test_a_key_pressed_during_the_update_does_not_keep_a_step_from_the_average(
    moment: str, monkeypatch: pytest.MonkeyPatch, press_ctrl_c: Callable[..., None]
) -> None:
    def new() -> tuple[ToyRun, AveragedModel]:
        run = toy_run()
        return run, AveragedModel(run.model, multi_avg_fn=get_ema_multi_avg_fn(0.75))

    run, averaged = new()
    if moment == "step":
        keyboard = run.optimizer.register_step_post_hook(press_ctrl_c)
    else:
        update = AveragedModel.update_parameters

        def pressed(*arguments: Any) -> None:
            press_ctrl_c()
            update(*arguments)

        monkeypatch.setattr(AveragedModel, "update_parameters", pressed)
    for steps in (1, 2, 3):
        interrupt(run, averaged=averaged)
        assert (run.history.steps, int(averaged.n_averaged)) == (steps, steps)
    monkeypatch.undo()
    if moment == "step":
        keyboard.remove()
    run.train(averaged=averaged)
    whole, other = new()
    whole.train(averaged=other)
    assert run.state() == whole.state()
    assert plain(averaged.state_dict()) == plain(other.state_dict())

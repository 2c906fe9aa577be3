"""The progress line, as a terminal, a notebook and a log would see it."""

import io
import re
from contextlib import redirect_stdout
from typing import Any, cast

import pytest
from torch import nn
from toy_runs import Alarm, ToyRun, toy_run

from tx_utils import History, TokenAccuracy
from tx_utils.training.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class KernelStream(io.StringIO):
    """What `sys.stdout` is inside a notebook."""


KernelStream.__module__ = "ipykernel.iostream"


@pytest.fixture(params=[Terminal, KernelStream])
def watched(request: pytest.FixtureRequest) -> io.StringIO:
    return cast(io.StringIO, request.param())


def train_before(stream: io.StringIO, run: ToyRun, epochs: int, **more: Any) -> History:
    with redirect_stdout(stream):
        return run.train(epochs, **more)


def states(stream: io.StringIO) -> list[str]:
    """Everything that stood on the line, one after the other."""
    return [state for state in stream.getvalue().split("\r") if state.strip()]


def test_the_last_state_says_what_ran_how_far_and_how_well(watched: io.StringIO) -> None:
    metrics = {"accuracy": TokenAccuracy(), "again": nn.CrossEntropyLoss()}
    history = train_before(watched, toy_run(), 3, label="post-norm", metrics=metrics)
    assert re.fullmatch(
        rf"post-norm: \|.{{24}}\| 6/6 steps, loss {history.train_loss[-1]:.4f}, "
        rf"validation {history.validation_loss[-1]:.4f}, "
        rf"accuracy {history.metrics['accuracy'][-1]:.3f}, "
        rf"again {history.validation_loss[-1]:.3f} \[\d\d:\d\d\]\n",
        states(watched)[-1],
    )


def test_without_validation_the_line_is_shorter(watched: io.StringIO) -> None:
    history = train_before(watched, toy_run(), 1, validation=None, early_stopping=None)
    assert re.fullmatch(
        rf"training: \|.{{24}}\| 2/2 steps, loss {history.train_loss[-1]:.4f} \[\d\d:\d\d\]\n",
        states(watched)[-1],
    )


def test_it_is_one_line(watched: io.StringIO) -> None:
    train_before(watched, toy_run(), 4)
    text = watched.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_it_is_rewritten_about_four_times_a_second(
    watched: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("tqdm.std.time", lambda: now)
    with redirect_stdout(watched), progress_bar("training", 500, 0, enabled=True) as bar:
        for _ in range(500):
            now += 0.01
            bar.update()
    assert len(states(watched)) == pytest.approx(4 * now, abs=3)


def test_a_second_call_goes_on_counting(watched: io.StringIO) -> None:
    run = toy_run(alarm=Alarm("forward", 4))
    with pytest.raises(KeyboardInterrupt):
        train_before(watched, run, 4)
    assert "3/8 steps" in states(watched)[-1]
    watched.seek(0)
    watched.truncate()
    train_before(watched, run, 4)
    assert "3/8 steps" in states(watched)[0]
    assert "8/8 steps" in states(watched)[-1]


def test_an_unknown_length_is_a_question_mark(watched: io.StringIO) -> None:
    run = toy_run()
    run.loader = iter(list(run.loader))  # type: ignore[assignment]
    train_before(watched, run, 1)
    assert "2/? steps" in states(watched)[-1]


def test_it_can_be_switched_off(watched: io.StringIO) -> None:
    train_before(watched, toy_run(), 2, progress=False)
    assert watched.getvalue() == ""


def test_a_log_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    toy_run().train(metrics={"accuracy": TokenAccuracy()})
    with progress_bar("training", total=None, done=0, enabled=True) as bar:
        bar.update()
    assert capsys.readouterr() == ("", "")

"""Interrupts are held back in the main thread, once, and change nothing anywhere else."""

import signal
import threading
from types import FrameType

import pytest

from tx_utils.training.interrupts import uninterrupted


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done.append("the rest")
    assert done == ["the rest"]


def test_a_second_interrupt_takes_effect_at_once() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done.append("one")
        signal.raise_signal(signal.SIGINT)
        done.append("two")
    assert done == ["one"]


def test_a_handler_of_the_callers_own_hears_each_interrupt_and_where_it_fell() -> None:
    heard = []

    def note(number: int, frame: FrameType | None) -> None:
        heard.append((number, frame and frame.f_code.co_name))

    def first() -> None:
        signal.raise_signal(signal.SIGINT)

    def second() -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, note)
    try:
        with uninterrupted():
            first()
            second()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [(signal.SIGINT, "second"), (signal.SIGINT, "first")]


def test_the_handler_that_was_there_comes_back_even_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), uninterrupted():  # noqa: PT012
        assert signal.getsignal(signal.SIGINT) is not before
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_handler_nothing_is_held() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_train_too() -> None:
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]

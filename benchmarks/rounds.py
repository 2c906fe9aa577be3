"""Rounds: every contender is called once in each, so that a disturbance hits all alike."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Contender:
    """Something to be timed.

    Attributes:
        name: What the table calls it.
        call: Does the work once.
        parameters: Numbers that it could learn; 0 if it is no model.
        every: It is timed at the end of each `every` rounds only and never warmed up: for what
            takes long. With fewer rounds it is left out.
    """

    name: str
    call: Callable[[], object]
    parameters: int = 0
    every: int = 1


def order(count: int, number: int) -> list[int]:
    """Who comes when in a round: everybody comes first in turn, and every other round is reversed.

    Example:
        >>> order(3, 0), order(3, 1), order(3, 2)
        ([0, 1, 2], [0, 2, 1], [2, 0, 1])
    """
    places = [(place + number) % count for place in range(count)]
    return places[::-1] if number % 2 else places


def interleave(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[int, float]]:
    """Time the contenders in turn.

    Args:
        contenders: With names of their own.
        rounds: How often.
        warm_up: Untimed rounds before them, in which caches fill and memory is reserved.
        clock: Tells the time in seconds.

    Returns:
        Seconds by round, by the names of those that were timed.

    Raises:
        ValueError: if two contenders share a name.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise ValueError(f"contenders must have different names, got {', '.join(names)}")
    times: dict[str, dict[int, float]] = {name: {} for name in names}
    with _quiet_memory():
        for number in range(-warm_up, rounds):
            gc.collect()
            for place in order(len(contenders), number):
                contender = contenders[place]
                if number < 0 and contender.every == 1:
                    contender.call()
                elif number >= 0 and (number + 1) % contender.every == 0:
                    start = clock()
                    contender.call()
                    times[contender.name][number] = clock() - start
    return {name: taken for name, taken in times.items() if taken}


@contextmanager
def _quiet_memory() -> Iterator[None]:
    """Collect garbage between rounds only, and look no more at what was there before."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()

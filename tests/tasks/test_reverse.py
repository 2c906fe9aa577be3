"""Reverse: mirrored by slow loops, drawn uniformly, its floor found by counting every case."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import FrozenInstanceError
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tx_utils.tasks import Reverse

Queue = tuple[int, ...]


def queues(task: Reverse, size: int, seed: int = 0) -> list[tuple[Queue, Queue]]:
    tokens, target = task.sample(size, torch.Generator().manual_seed(seed))
    assert tokens.shape == target.shape == (size, task.length)
    assert tokens.dtype == target.dtype == torch.int64
    rows = zip(tokens.tolist(), target.tolist(), strict=True)
    return [(tuple(queue), tuple(answers)) for queue, answers in rows]


def assert_uniform(counts: Counter[Any], cells: int) -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    Laurent and Massart (2000), lemma 1: P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t); t = 20.
    """
    expected = sum(counts.values()) / cells
    assert expected >= 50
    assert len(counts) == cells
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    assert statistic < (cells - 1) + 2 * math.sqrt(20 * (cells - 1)) + 40


# Oracle

some_tasks = st.integers(1, 6).flatmap(
    lambda half: st.builds(Reverse, st.just(2 * half), st.integers(2 * half, 17))
)


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_everybody_names_who_stands_as_far_from_the_end(task: Reverse, seed: int) -> None:
    for queue, answers in queues(task, 5, seed):
        assert len(set(queue)) == task.length
        assert set(queue) <= set(range(task.vocab_size))
        assert list(answers) == [queue[task.length - 1 - place] for place in range(task.length)]
        assert all(token != answer for token, answer in zip(queue, answers, strict=True))


# Property


def test_all_queues_of_a_small_task_are_equally_likely() -> None:
    drawn = queues(Reverse(length=4, vocab_size=5), 12_000)
    possible = set(permutations(range(5), 4))
    assert {queue for queue, _ in drawn} == possible
    assert_uniform(Counter(queue for queue, _ in drawn), cells=120)


@pytest.mark.parametrize("place", range(10))
def test_every_token_is_equally_frequent_in_every_place(place: int) -> None:
    assert_uniform(Counter(queue[place] for queue, _ in queues(Reverse(), 3_000)), cells=16)


def test_the_generator_alone_decides() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = queues(Reverse(), 7, seed=3)
    torch.manual_seed(99)
    assert queues(Reverse(), 7, seed=3) == first
    assert queues(Reverse(), 7, seed=4) != first
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(Reverse().sample(7, generator)[0], Reverse().sample(7, generator)[0])
    torch.set_rng_state(torch_state)
    queues(Reverse(), 7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


# Property: the floors


@pytest.mark.parametrize(("length", "vocab_size"), [(2, 4), (4, 4), (4, 6), (6, 7)])
def test_the_best_answer_from_the_set_costs_exactly_the_orderless_floor(
    length: int, vocab_size: int
) -> None:
    task = Reverse(length, vocab_size)
    answers: defaultdict[tuple[int, frozenset[int]], Counter[int]] = defaultdict(Counter)
    for queue in permutations(range(vocab_size), length):  # each of them once
        for token, answer in zip(queue, queue[::-1], strict=True):
            answers[token, frozenset(queue)][answer] += 1
    # The best prediction from what is known is the distribution of the answers given it, and
    # costs its entropy.
    for (token, seen), counts in answers.items():
        assert counts.keys() == seen - {token}
        shares = [count / counts.total() for count in counts.values()]
        entropy = -math.fsum(share * math.log(share) for share in shares)
        assert math.isclose(entropy, task.orderless_floor, rel_tol=1e-12)
        assert max(shares) == 1 / (length - 1)  # the largest expected share of right answers


@settings(deadline=None, max_examples=100)
@given(weights=st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
def test_no_guess_from_the_set_beats_the_floor_over_all_orders_of_any_set(
    weights: list[float],
) -> None:
    assume(min(weights) > 1e-9)
    p = [weight / math.fsum(weights) for weight in weights]
    task = Reverse(length=4, vocab_size=6)
    for first in range(3):  # three sets of four
        people = range(first, first + 4)
        losses = [
            -math.log(p[answer])
            for queue in permutations(people)
            for token, answer in zip(queue, queue[::-1], strict=True)
            if token == first
        ]
        assert math.fsum(losses) / len(losses) >= task.orderless_floor - 1e-12


def test_floors_follow_the_sizes() -> None:
    for length, vocab_size in ((2, 3), (4, 7), (10, 16)):
        task = Reverse(length, vocab_size)
        assert math.isclose(task.orderless_floor, math.log(length - 1), abs_tol=1e-15)
        assert math.isclose(task.chance, math.log(vocab_size))


# Border


def test_a_task_is_frozen_and_has_the_sizes_of_the_lesson() -> None:
    assert (Reverse().length, Reverse().vocab_size) == (10, 16)
    with pytest.raises(FrozenInstanceError):
        Reverse().length = 4  # type: ignore[misc]


def test_a_queue_may_use_every_token() -> None:
    for queue, answers in queues(Reverse(length=6, vocab_size=6), 7):
        assert sorted(queue) == sorted(answers) == list(range(6))


@pytest.mark.parametrize(("length", "vocab_size"), [(9, 16), (1, 4), (6, 5)])
def test_lengths_without_the_floor_are_refused(length: int, vocab_size: int) -> None:
    message = f"length ({length}) must be even and at most vocab_size ({vocab_size})"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Reverse(length, vocab_size)


@pytest.mark.parametrize("value", [0, -2, 4.0, True])
@pytest.mark.parametrize("name", ["length", "vocab_size"])
def test_what_is_no_size_is_refused(name: str, value: Any) -> None:
    message = f"{name} must be a positive integer, got {value!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Reverse(**{name: value})

"""Sorting digits: its structure by slow loops, its chances by counting, its floor by force."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils.tasks import SortDigits

Sequence = tuple[int, ...]


def sequences(task: SortDigits, size: int, seed: int = 0) -> list[Sequence]:
    """What was drawn, inputs and targets put together again."""
    tokens, target = task.sample(size, torch.Generator().manual_seed(seed))
    assert tokens.dtype == target.dtype == torch.int64
    assert tokens.shape == target.shape == (size, 2 * task.length)
    assert torch.equal(tokens[:, 1:], target[:, :-1])
    pairs = zip(tokens[:, 0].tolist(), target.tolist(), strict=True)
    return [(first, *rest) for first, rest in pairs]


def all_sequences(task: SortDigits) -> Iterator[Sequence]:
    """Every possible sequence once, found without chance: all are equally likely."""
    for digits in product(range(task.num_digits), repeat=task.length):
        yield (*digits, task.num_digits, *sorted(digits))


# Oracle

some_tasks = st.builds(SortDigits, st.integers(1, 7), st.integers(1, 11))


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_digits_a_separator_and_the_digits_in_order(task: SortDigits, seed: int) -> None:
    for sequence in sequences(task, 5, seed):
        digits, separator, answer = (
            sequence[: task.length],
            sequence[task.length],
            sequence[task.length + 1 :],
        )
        assert set(digits) <= set(range(task.num_digits))
        assert separator == task.separator == task.num_digits
        assert answer == tuple(sorted(digits))
        assert max(sequence) < task.vocab_size == task.num_digits + 1


# Property


def test_all_sequences_are_equally_likely() -> None:
    task = SortDigits(length=3, num_digits=5)
    counts = Counter(sequences(task, 25_000))
    possible = set(all_sequences(task))
    assert len(possible) == 125
    assert set(counts) == possible  # one is missing with probability 125 (124/125)^25000 < 1e-80
    # Of chi-square with k degrees of freedom, P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) (Laurent
    # and Massart, 2000, lemma 1); t = 20.
    statistic = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert statistic < 124 + 2 * math.sqrt(124 * 20) + 2 * 20


def test_the_generator_alone_decides() -> None:
    task = SortDigits()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = sequences(task, 7, seed=3)
    torch.manual_seed(99)
    assert sequences(task, 7, seed=3) == first
    assert sequences(task, 7, seed=4) != first
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(task.sample(7, generator)[0], task.sample(7, generator)[0])
    torch.set_rng_state(torch_state)
    sequences(task, 7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


@pytest.mark.parametrize(("length", "num_digits"), [(1, 5), (2, 3), (3, 2), (4, 3), (3, 7), (5, 1)])
def test_the_best_causal_model_costs_exactly_the_floor(length: int, num_digits: int) -> None:
    task = SortDigits(length, num_digits)
    following: defaultdict[Sequence, Counter[int]] = defaultdict(Counter)
    for sequence in all_sequences(task):
        for end in range(1, len(sequence)):
            following[sequence[:end]][sequence[end]] += 1
    # The best prediction from what stands before is the distribution of what follows; it costs
    # the entropy.
    total = sum(counts.total() for counts in following.values())
    losses = (
        -count * math.log(count / counts.total())
        for counts in following.values()
        for count in counts.values()
    )
    assert math.isclose(math.fsum(losses) / total, task.entropy_floor, rel_tol=1e-12, abs_tol=1e-12)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), sharpness=st.sampled_from([0.1, 1.0, 5.0]))
def test_no_causal_model_beats_the_floor_in_expectation(seed: int, sharpness: float) -> None:
    task = SortDigits(length=3, num_digits=3)
    generator = torch.Generator().manual_seed(seed)
    predictions: dict[Sequence, list[float]] = {}
    losses = []
    for sequence in all_sequences(task):
        for end in range(1, len(sequence)):
            prefix = sequence[:end]
            if prefix not in predictions:
                scores = sharpness * torch.randn(task.vocab_size, generator=generator).double()
                predictions[prefix] = scores.log_softmax(dim=-1).tolist()
            losses.append(-predictions[prefix][sequence[end]])
    assert math.fsum(losses) / len(losses) >= task.entropy_floor


def test_floor_of_the_lesson() -> None:
    assert math.isclose(SortDigits().entropy_floor, 5 * math.log(10) / 12)
    assert round(SortDigits().entropy_floor, 4) == 0.9594


# Border


def test_a_task_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SortDigits().length = 5  # type: ignore[misc]


def test_a_single_digit_is_its_own_answer() -> None:
    for sequence in sequences(SortDigits(length=1, num_digits=7), 5):
        assert sequence == (sequence[0], 7, sequence[0])
    assert SortDigits(length=1).entropy_floor == 0.0


@pytest.mark.parametrize("name", ["length", "num_digits"])
@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_sizes_must_be_positive_integers(name: str, size: int) -> None:
    message = f"{name} must be a positive integer, got {size!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SortDigits(**{name: size})

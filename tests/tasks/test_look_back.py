"""Look back: answers found by slow loops, queues drawn uniformly, what is not asked left out."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import FrozenInstanceError
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils import TokenAccuracy, TokenCrossEntropy
from tx_utils.tasks import NOT_ASKED, LookBack

Queue = tuple[int, ...]


def queues(task: LookBack, size: int, seed: int = 0) -> list[tuple[Queue, Queue]]:
    tokens, target = task.sample(size, torch.Generator().manual_seed(seed))
    assert tokens.shape == target.shape == (size, task.length)
    assert tokens.dtype == target.dtype == torch.int64
    rows = zip(tokens.tolist(), target.tolist(), strict=True)
    return [(tuple(queue), tuple(answers)) for queue, answers in rows]


# Oracle


@st.composite
def some_tasks(draw: st.DrawFn) -> LookBack:
    length = draw(st.integers(2, 13))
    back = draw(st.integers(1, length - 1))
    return LookBack(
        length,
        vocab_size=draw(st.integers(length, 17)),
        back=back,
        first_asked=draw(st.integers(back, length - 1)),
    )


@settings(deadline=None, max_examples=50)
@given(task=some_tasks(), seed=st.integers(0, 2**31))
def test_everybody_who_is_asked_names_the_one_so_many_places_ahead(
    task: LookBack, seed: int
) -> None:
    for queue, answers in queues(task, 5, seed):
        assert len(set(queue)) == task.length
        assert set(queue) <= set(range(task.vocab_size))
        for place, answer in enumerate(answers):
            asked = place >= task.first_asked
            assert answer == (queue[place - task.back] if asked else NOT_ASKED)


# Property


def test_all_queues_of_a_small_task_are_equally_likely() -> None:
    drawn = Counter(queue for queue, _ in queues(LookBack(3, 4, back=1, first_asked=1), 4_000))
    assert set(drawn) == set(permutations(range(4), 3))
    expected = 4_000 / 24
    statistic = sum((count - expected) ** 2 / expected for count in drawn.values())
    assert statistic < 23 + 2 * math.sqrt(20 * 23) + 40  # exceeded with probability < exp(-20)


def test_loss_and_accuracy_leave_out_who_is_not_asked() -> None:
    task = LookBack(length=7, vocab_size=11, first_asked=5)
    _tokens, target = task.sample(3, torch.Generator().manual_seed(0))
    logits = torch.zeros(3, 7, 11)
    logits[:, 5:].scatter_(-1, target[:, 5:, None], 50.0)  # right where asked
    assert TokenAccuracy()(logits, target).item() == 1.0
    assert TokenCrossEntropy()(logits, target).item() < 1e-6


def test_the_generator_alone_decides() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = queues(LookBack(), 7, seed=3)
    torch.manual_seed(99)
    assert queues(LookBack(), 7, seed=3) == first
    assert queues(LookBack(), 7, seed=4) != first
    torch.set_rng_state(torch_state)
    queues(LookBack(), 7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


@pytest.mark.parametrize("first_asked", [1, 3])
def test_the_best_guess_from_the_set_is_right_as_often_as_stated(first_asked: int) -> None:
    task = LookBack(length=4, vocab_size=5, back=1, first_asked=first_asked)
    answers: defaultdict[tuple[int, frozenset[int]], Counter[int]] = defaultdict(Counter)
    for queue in permutations(range(5), 4):
        for place in range(first_asked, 4):
            answers[queue[place], frozenset(queue)][queue[place - 1]] += 1
    right = sum(max(counts.values()) for counts in answers.values())
    assert math.isclose(
        right / sum(counts.total() for counts in answers.values()), task.orderless_accuracy
    )


def test_chance_is_the_logarithm_of_the_vocabulary() -> None:
    assert math.isclose(math.exp(LookBack(vocab_size=17).chance), 17)
    assert LookBack().orderless_accuracy == 1 / 11


# Border


def test_a_task_is_frozen_and_asks_all_who_have_an_answer() -> None:
    task = LookBack()
    assert (task.length, task.vocab_size, task.back, task.first_asked) == (12, 64, 3, 3)
    assert torch.nn.CrossEntropyLoss().ignore_index == NOT_ASKED
    with pytest.raises(FrozenInstanceError):
        task.length = 5  # type: ignore[misc]


def test_a_single_place_may_be_asked() -> None:
    for queue, answers in queues(LookBack(length=2, vocab_size=2, back=1, first_asked=1), 7):
        assert answers == (NOT_ASKED, queue[0])


def test_queues_longer_than_the_vocabulary_are_refused() -> None:
    message = re.escape("length (13) must be at most vocab_size (12)")
    with pytest.raises(ValueError, match=f"^{message}$"):
        LookBack(length=13, vocab_size=12)


@pytest.mark.parametrize(("back", "first_asked"), [(3, 2), (3, 5), (5, 5)])
def test_queues_in_which_the_first_who_is_asked_has_no_answer_are_refused(
    back: int, first_asked: int
) -> None:
    message = re.escape(
        f"first_asked ({first_asked}) must be at least back ({back}) and less than length (5)"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        LookBack(length=5, back=back, first_asked=first_asked)


@pytest.mark.parametrize("value", [0, -1, 2.0, True])
@pytest.mark.parametrize("name", ["length", "vocab_size", "back", "first_asked"])
def test_what_is_no_size_is_refused(name: str, value: Any) -> None:
    message = re.escape(f"{name} must be a positive integer, got {value!r}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        LookBack(**{name: value})

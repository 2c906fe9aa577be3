"""Translating number words: batches by slow loops, draws as likely as they should be."""

import math
import re
from collections import Counter
from dataclasses import FrozenInstanceError
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from sampling_checks import assert_uniform
from tx_utils.tasks import END, PAD, START, NumberTranslation, collate
from tx_utils.tasks.number_words import LANGUAGES

TASKS = [NumberTranslation(*languages) for languages in permutations(LANGUAGES, 2)]
SIZES = {"English": 34, "German": 35, "French": 30}  # the special tokens included

every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.source}-{task.target}")


# Oracle


@given(numbers=st.lists(st.integers(0, 999_999), min_size=1, max_size=7))
def test_a_batch_is_filled_up_on_the_right_and_its_target_shifted_by_one(
    numbers: list[int],
) -> None:
    task = NumberTranslation()
    pairs = task.pairs(numbers)
    source, decoder_input, label = (batch.tolist() for batch in collate(pairs))
    source_length = max(len(task.source_words(number)) + 1 for number in numbers)
    target_length = max(len(task.target_words(number)) + 1 for number in numbers)
    assert len(source) == len(decoder_input) == len(label) == len(numbers)
    for row, number in enumerate(numbers):
        read = [task.source_vocabulary.tokens.index(word) for word in task.source_words(number)]
        write = [task.target_vocabulary.tokens.index(word) for word in task.target_words(number)]
        pads = [PAD] * (target_length - len(write) - 1)
        assert source[row] == [*read, END, *[PAD] * (source_length - len(read) - 1)]
        assert decoder_input[row] == [START, *write, *pads]
        assert label[row] == [*write, END, *pads]


@pytest.mark.parametrize(("limit", "zeros"), [(1000, 0.37), (250, 0.4), (7, 0.9), (1, 0.5)])
def test_a_number_is_as_likely_as_its_digits_leading_zeros_included(
    limit: int, zeros: float
) -> None:
    probabilities = NumberTranslation(limit=limit, zeros=zeros).probabilities()
    digits = [str(number).zfill(len(str(limit - 1))) for number in range(limit)]
    likely = [
        math.prod(zeros if digit == "0" else (1 - zeros) / 9 for digit in word) for word in digits
    ]
    expected = torch.tensor(likely, dtype=torch.float64) / math.fsum(likely)
    assert torch.allclose(probabilities, expected, rtol=1e-12, atol=0.0)
    assert math.isclose(math.fsum(probabilities.tolist()), 1.0)


# Property


@every_task
def test_the_vocabularies_hold_every_word_and_no_other(task: NumberTranslation) -> None:
    numbers = [*range(20_000), *range(20_000, 1_000_000, 997)]
    for words, language, vocabulary in (
        (task.source_words, task.source, task.source_vocabulary),
        (task.target_words, task.target, task.target_vocabulary),
    ):
        spoken = {word for number in numbers for word in words(number)}
        assert set(vocabulary.tokens[3:]) == spoken
        assert len(vocabulary) == SIZES[language]


@every_task
@pytest.mark.parametrize("number", [0, 1, 45, 271, 80_080, 101_000, 999_999])
def test_a_pair_reads_back_as_its_words(task: NumberTranslation, number: int) -> None:
    source, target = task.pair(number)
    assert source.dtype == target.dtype == torch.int64
    assert task.source_vocabulary.decode(source.tolist()) == LANGUAGES[task.source](number)
    assert task.target_vocabulary.decode(target.tolist()) == LANGUAGES[task.target](number)
    assert (source == END).tolist() == [False] * (len(source) - 1) + [True]
    assert (target[1:] == END).tolist() == [False] * (len(target) - 2) + [True]
    assert (target == START).tolist() == [True] + [False] * (len(target) - 1)
    assert START not in source


def test_a_data_loader_takes_pairs_and_collate() -> None:
    pairs: Any = NumberTranslation().pairs(range(7))
    sizes = [len(source) for source, _, _ in DataLoader(pairs, batch_size=3, collate_fn=collate)]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("zeros", [None, 0.4])
def test_a_split_has_three_sizes_and_no_number_twice(zeros: float | None) -> None:
    split = NumberTranslation(limit=97, zeros=zeros).split(train=31, validation=13, test=53, seed=0)
    assert (len(split.train), len(split.validation), len(split.test)) == (31, 13, 53)
    assert all(type(number) is int for numbers in split for number in numbers)
    assert sorted([*split.train, *split.validation, *split.test]) == list(range(97))


def test_without_a_share_of_zeros_every_number_is_equally_likely_in_every_list() -> None:
    task = NumberTranslation(limit=7)
    splits = [task.split(train=1, validation=2, test=3, seed=seed) for seed in range(700)]
    assert task.probabilities().tolist() == pytest.approx([1 / 7] * 7, rel=1e-12)
    for part in zip(*splits, strict=True):
        assert_uniform(Counter(number for numbers in part for number in numbers), cells=7)


def test_numbers_are_drawn_one_after_the_other_as_likely_as_they_are() -> None:
    task = NumberTranslation(limit=4, zeros=2 / 11)  # a zero is twice as likely as a one
    p = task.probabilities().tolist()
    assert [round(share, 6) for share in p] == [0.4, 0.2, 0.2, 0.2]
    splits = (task.split(train=1, validation=1, test=1, seed=seed) for seed in range(3_000))
    counts = Counter(tuple(numbers[0] for numbers in split) for split in splits)
    statistic = 0.0
    for i, j, k in permutations(range(4), 3):
        expected = 3_000 * p[i] * p[j] / (1 - p[i]) * p[k] / (1 - p[i] - p[j])
        statistic += (counts[i, j, k] - expected) ** 2 / expected
    assert counts.total() == sum(counts[triple] for triple in permutations(range(4), 3))
    # P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) as in `assert_uniform`, with k = 23 and t = 20.
    assert statistic < 23 + 2 * math.sqrt(23 * 20) + 2 * 20


@pytest.mark.parametrize("zeros", [None, 0.4])
def test_the_seed_alone_decides_a_split(zeros: float | None) -> None:
    def drawn(seed: int) -> list[list[int]]:
        task = NumberTranslation(limit=9_973, zeros=zeros)
        return list(task.split(train=5, validation=3, test=2, seed=seed))

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = drawn(seed=3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)
    torch.manual_seed(99)
    assert drawn(seed=3) == first
    assert drawn(seed=4) != first


# Border


def test_a_task_is_frozen_and_has_the_languages_of_the_lesson() -> None:
    task = NumberTranslation()
    assert (task.source, task.target, task.limit) == ("English", "German", 1_000_000)
    assert task.zeros is None
    with pytest.raises(FrozenInstanceError):
        task.limit = 5  # type: ignore[misc]


@pytest.mark.parametrize("name", ["source", "target"])
def test_unknown_languages_are_refused(name: str) -> None:
    message = f"{name} must be one of English, German, French, got 'english'"
    unknown: dict[str, Any] = {name: "english"}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NumberTranslation(**unknown)


@pytest.mark.parametrize("limit", [0, -2, 7.0, True])
def test_limits_that_are_no_size_are_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match=f"^limit must be a positive integer, got {limit!r}$"):
        NumberTranslation(limit=limit)


def test_limits_above_a_million_are_refused() -> None:
    assert NumberTranslation(limit=1_000_000).pair(999_999)
    with pytest.raises(ValueError, match=r"^limit must be at most 1000000, got 1000001$"):
        NumberTranslation(limit=1_000_001)


@pytest.mark.parametrize("zeros", [0.0, 1.0, -0.1, 1, True, math.nan])
def test_zeros_that_leave_no_choice_are_refused(zeros: float) -> None:
    message = f"zeros must lie in (0, 1) or be None, got {zeros!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NumberTranslation(zeros=zeros)


@pytest.mark.parametrize("number", [-1, 97, 1.5, True, "7"])
def test_numbers_outside_the_limit_are_refused(number: Any) -> None:
    message = f"number must be an integer in [0, 97), got {number!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NumberTranslation(limit=97).pair(number)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_empty_lists_are_refused(name: str) -> None:
    sizes = {"train": 5, "validation": 3, "test": 2, name: 0}
    with pytest.raises(ValueError, match=f"^{name} must be a positive integer, got 0$"):
        NumberTranslation().split(**sizes, seed=0)


def test_more_numbers_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^98 different numbers are wanted, there are 97$"):
        NumberTranslation(limit=97).split(train=31, validation=13, test=54, seed=0)

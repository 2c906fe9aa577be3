"""The difference of two numbers: answers by slow loops, chances by counting, floors by force."""

import math
from collections import Counter, defaultdict
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils.tasks import Difference

# what is asked for, the directory by name in the order of the entries, and the answer
Question = tuple[tuple[int, int], dict[int, float], float]


def questions(task: Difference, size: int, seed: int = 0) -> list[Question]:
    asked, names, numbers, answer = task.sample(size, torch.Generator().manual_seed(seed))
    assert asked.shape == (size, 2)
    assert names.shape == numbers.shape == (size, task.people)
    assert answer.shape == (size, 1)
    rows = zip(asked.tolist(), names.tolist(), numbers.tolist(), answer.tolist(), strict=True)
    return [((a, b), dict(zip(n, v, strict=True)), y) for (a, b), n, v, (y,) in rows]


def assert_uniform(counts: Counter[int], cells: int) -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    Of chi-square with k degrees of freedom, P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) (Laurent and
    Massart, 2000, lemma 1); t = 20. The statistic is near chi-square at some 50 counts per cell.
    """
    total = sum(counts.values())
    expected = total / cells
    assert expected >= 50
    assert len(counts) == cells
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    k, t = cells - 1, 20
    assert statistic < k + 2 * math.sqrt(k * t) + 2 * t


# Oracle


@settings(deadline=None, max_examples=50)
@given(people=st.integers(2, 11), seed=st.integers(0, 2**31))
def test_the_answer_is_the_first_persons_number_minus_the_seconds(people: int, seed: int) -> None:
    for (first, second), directory, answer in questions(Difference(people), 5, seed):
        assert first != second
        assert sorted(directory) == list(range(people))  # everybody is in it, once
        assert answer == pytest.approx(directory[first] - directory[second], abs=1e-5)


# Property


def test_every_question_about_every_order_of_entries_is_equally_likely() -> None:
    drawn = questions(Difference(people=3), 5_000)
    codes = Counter(hash((asked, tuple(directory))) for asked, directory, _ in drawn)
    assert_uniform(codes, cells=6 * 6)


@pytest.mark.parametrize("seat", range(8))
def test_names_and_the_places_asked_for_are_equally_frequent(seat: int) -> None:
    drawn = questions(Difference(), 4_000)
    assert_uniform(Counter(list(directory)[seat] for _, directory, _ in drawn), cells=8)
    for which in (0, 1):
        places = Counter(list(directory).index(asked[which]) for asked, directory, _ in drawn)
        assert_uniform(places, cells=8)
    pairs = Counter(8 * asked[0] + asked[1] for asked, _, _ in drawn)
    assert_uniform(pairs, cells=8 * 7)


def test_numbers_are_standard_normal_whatever_the_name_the_place_and_the_question() -> None:
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for asked, directory, _ in questions(Difference(people=5), 20_000):
        for place, (name, number) in enumerate(directory.items()):
            role = "first" if name == asked[0] else "second" if name == asked[1] else "other"
            for key in (f"name {name}", f"place {place}", role):
                groups[key].append(number)
    assert len(groups) == 5 + 5 + 3
    for numbers in groups.values():
        sample = np.array(numbers)
        root = math.sqrt(len(sample))
        assert len(sample) >= 20_000
        assert abs(sample.mean()) < 6 / root  # six standard deviations of each estimate
        assert abs(sample.var() - 1) < 6 * math.sqrt(2) / root
        assert abs((sample < -1).mean() - 0.158655) < 6 * 0.3654 / root
        assert abs((sample > 2).mean() - 0.022750) < 6 * 0.1491 / root


def test_the_numbers_of_a_directory_are_independent_of_each_other() -> None:
    _, _, numbers, _ = Difference(people=3).sample(20_000, torch.Generator().manual_seed(0))
    products = numbers.T @ numbers / 20_000
    assert (products - torch.eye(3)).abs().max() < 6 * math.sqrt(2 / 20_000)


def test_the_generator_alone_decides() -> None:
    task = Difference()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = questions(task, 7, seed=3)
    torch.manual_seed(99)
    assert questions(task, 7, seed=3) == first
    assert questions(task, 7, seed=4) != first
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(task.sample(7, generator)[2], task.sample(7, generator)[2])
    torch.set_rng_state(torch_state)
    questions(task, 7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


# Property: the floors


def expected_error(weights: torch.Tensor, w: float, c: float) -> float:
    """One head's, by integrating over all numbers, where the first two people are asked for.

    The sum over three points with weights 1/6, 2/3, 1/6 at -sqrt 3, 0, sqrt 3 is exact for
    polynomials in normal numbers up to degree five (Gauss and Hermite).
    """
    points = torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)], dtype=torch.float64)
    chances = torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=torch.float64)
    numbers = torch.cartesian_prod(*[points] * len(weights))
    chance = torch.cartesian_prod(*[chances] * len(weights)).prod(dim=-1)
    error = w * numbers @ weights + c - (numbers[:, 0] - numbers[:, 1])
    return (chance @ error.square()).item()


scores = st.lists(st.floats(-20.0, 20.0), min_size=2, max_size=5)


@settings(deadline=None, max_examples=100)
@given(scores=scores, w=st.floats(-3.0, 3.0), c=st.floats(-1.0, 1.0))
def test_no_weights_and_no_factor_bring_one_head_below_its_floor(
    scores: list[float], w: float, c: float
) -> None:
    weights = torch.tensor(scores, dtype=torch.float64).softmax(dim=-1)
    assert expected_error(weights, w, c) >= Difference().one_head_floor - 1e-9


def test_a_head_that_looks_at_one_of_the_two_alone_reaches_the_floor() -> None:
    for weights, w in (([1.0, 0.0, 0.0], 1.0), ([0.0, 1.0, 0.0], -1.0)):
        error = expected_error(torch.tensor(weights, dtype=torch.float64), w, 0.0)
        assert error == pytest.approx(Difference().one_head_floor, rel=1e-12)


def test_always_answering_nothing_costs_the_chance_level() -> None:
    weights = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    assert expected_error(weights, 0.0, 0.0) == pytest.approx(Difference().chance, rel=1e-12)
    _, _, _, answer = Difference().sample(100_000, torch.Generator().manual_seed(0))
    assert answer.square().mean().item() == pytest.approx(Difference().chance, rel=0.03)


def test_one_head_is_right_about_the_sign_in_three_of_four_cases_at_most() -> None:
    """By force: two numbers from all directions alike, all weights, both signs, constants."""
    floor = Difference().one_head_signs
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 40_000, generator=generator, dtype=torch.float64)
    shares = {}
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        for w in (1.0, -1.0):
            for c in (0.0, 0.5, -2.0):
                answer = w * (share * first + (1 - share) * second) + c
                right = (answer > 0) == (first > second)
                shares[share, w, c] = right.double().mean().item()
    noise = 6 * math.sqrt(0.25 / 40_000)
    assert max(shares.values()) < floor + noise
    assert abs(shares[1.0, 1.0, 0.0] - floor) < noise
    assert abs(shares[0.0, -1.0, 0.0] - floor) < noise
    assert all(shares[1.0, 1.0, c] < floor - noise for c in (0.5, -2.0))
    assert floor == pytest.approx(1 - math.acos(1 / math.sqrt(2)) / math.pi, rel=1e-12)


# Border


def test_a_task_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Difference().people = 5  # type: ignore[misc]


def test_two_people_are_both_asked_for() -> None:
    for (first, second), directory, _ in questions(Difference(people=2), 7):
        assert {first, second} == set(directory) == {0, 1}


def test_nobody_can_be_compared_with_nobody() -> None:
    with pytest.raises(ValueError, match=r"^people must be at least 2, got 1$"):
        Difference(people=1)
    with pytest.raises(ValueError, match=r"^people must be a positive integer, got 0$"):
        Difference(people=0)

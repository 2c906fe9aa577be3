"""The weather: its days by slow loops over the rules, its floors by enumeration and by force."""

import math
import re
from collections import Counter, defaultdict
from dataclasses import FrozenInstanceError
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tx_utils.tasks import WEATHER, Weather, sample_floor
from tx_utils.tasks.weather import DAYS_OF_16, FACES, RULES

Row = tuple[int, ...]


def diaries(task: Weather, size: int, seed: int = 0) -> list[Row]:
    """The days of each sequence, the target's last one included."""
    tokens, target = task.sample(size, torch.Generator().manual_seed(seed))
    assert tokens.shape == target.shape == (size, task.days)
    assert tokens.dtype == target.dtype == torch.int64
    assert torch.equal(tokens[:, 1:], target[:, :-1])
    return [(*row, last) for row, last in zip(tokens.tolist(), target[:, -1].tolist(), strict=True)]


def likelihood(days: Row) -> float:
    """How likely a diary is, straight from the rules."""
    names = [WEATHER[day] for day in days]
    result = DAYS_OF_16[names[0]] / 16
    for today, tomorrow in pairwise(names):
        result *= RULES[today].count(tomorrow) / FACES
    return result


def entropy(probabilities: Any) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)


def assert_frequencies(counts: Counter[Row], likely: dict[Row, float]) -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    Of chi-square with k degrees of freedom, P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) (Laurent and
    Massart, 2000, lemma 1); t = 20. The statistic is near chi-square at some 50 counts per cell.
    """
    total = counts.total()
    assert counts.keys() == likely.keys()
    assert min(likely.values()) * total >= 50
    statistic = sum((counts[row] - p * total) ** 2 / (p * total) for row, p in likely.items())
    k, t = len(likely) - 1, 20
    assert statistic < k + 2 * math.sqrt(k * t) + 2 * t


# Oracle


@pytest.mark.parametrize("days", [1, 2])
def test_exactly_the_possible_diaries_are_drawn_as_often_as_the_rules_say(days: int) -> None:
    rows = product(range(len(WEATHER)), repeat=days + 1)
    likely = {row: p for row in rows if (p := likelihood(row)) > 0}
    assert len(likely) == 8 * 3**days
    assert math.isclose(math.fsum(likely.values()), 1.0)
    assert_frequencies(Counter(diaries(Weather(days), 20_000)), likely)


def test_the_last_days_of_a_long_diary_follow_the_rules_as_the_first_do() -> None:
    likely = {row: p for row in product(range(8), repeat=2) if (p := likelihood(row)) > 0}
    assert_frequencies(Counter(row[-2:] for row in diaries(Weather(37), 10_000)), likely)


def test_every_case_is_as_frequent_as_it_is_likely() -> None:
    tokens, target = Weather().every_case()
    assert tokens.shape == target.shape == (64, 1)
    counts = Counter(zip(tokens.flatten().tolist(), target.flatten().tolist(), strict=True))
    expected = {row: 64 * likelihood(row) for row in product(range(8), repeat=2)}
    assert counts == {row: int(n) for row, n in expected.items() if n}
    assert all(n == int(n) for n in expected.values())


def test_probabilities_are_the_shares_of_the_faces() -> None:
    table = Weather().probabilities
    for (i, today), (j, tomorrow) in product(enumerate(WEATHER), repeat=2):
        assert table[i, j].item() == RULES[today].count(tomorrow) / FACES


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), min_size=1, max_size=60),
    st.booleans(),
)
def test_the_floor_of_a_sample_is_its_entropy_by_slow_counting(
    pairs: list[tuple[int, int]], as_column: bool
) -> None:
    after: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for today, tomorrow in pairs:
        after[today][tomorrow] += 1
    expected = math.fsum(
        counts.total() / len(pairs) * entropy(n / counts.total() for n in counts.values())
        for counts in after.values()
    )
    tokens, target = torch.tensor(pairs).T
    if as_column:
        tokens, target = tokens[:, None], target[:, None]
    assert math.isclose(sample_floor(tokens, target), expected, rel_tol=1e-9, abs_tol=1e-12)


# Property


def test_the_shares_of_the_weather_stay_as_they_are_and_none_other_does() -> None:
    table = Weather().probabilities.double()
    shares = torch.tensor([DAYS_OF_16[name] / 16 for name in WEATHER], dtype=torch.float64)
    assert torch.equal(shares @ table, shares)
    assert shares.sum() == 1
    # From any day on, the far future is the same: no other shares could stay as they are.
    torch.testing.assert_close(torch.linalg.matrix_power(table, 256), shares.expand(8, 8))


def test_the_die_says_one_half_a_quarter_and_a_quarter_after_every_weather() -> None:
    assert tuple(RULES) == tuple(DAYS_OF_16) == WEATHER
    assert len(set(WEATHER)) == 8
    for faces in RULES.values():
        assert sorted(Counter(faces).values()) == [1, 1, 2]


def test_the_generator_alone_decides() -> None:
    task = Weather()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = diaries(task, 7, seed=3)
    torch.manual_seed(99)
    assert diaries(task, 7, seed=3) == first
    assert diaries(task, 7, seed=4) != first
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(task.sample(7, generator)[0], task.sample(7, generator)[0])
    torch.set_rng_state(torch_state)
    diaries(task, 7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


# Property: the floors


def test_the_floors_are_the_entropies_of_the_rules_and_of_the_shares() -> None:
    task = Weather()
    row_entropies = [entropy(Counter(faces)[n] / 4 for n in set(faces)) for faces in RULES.values()]
    assert row_entropies == pytest.approx([task.floor] * 8, rel=1e-12)
    assert entropy(n / 16 for n in DAYS_OF_16.values()) == pytest.approx(task.blind_floor)
    assert math.exp(task.chance) == pytest.approx(8)
    assert sample_floor(*task.every_case()) == pytest.approx(task.floor)
    everything_alike = torch.zeros(64, 1, dtype=torch.long), task.every_case()[1]
    assert sample_floor(*everything_alike) == pytest.approx(task.blind_floor)


def test_to_know_more_days_brings_nothing() -> None:
    """The floor holds whatever the model remembers: by enumeration of all diaries of 4 days."""
    diaries_of_4 = {row: p for row in product(range(8), repeat=4) if (p := likelihood(row)) > 0}
    pasts: Counter[Row] = Counter()
    for row, p in diaries_of_4.items():
        pasts[row[:-1]] += p  # type: ignore[assignment]
    losses = (-p * math.log(p / pasts[row[:-1]]) for row, p in diaries_of_4.items())
    assert math.fsum(losses) == pytest.approx(Weather().floor, rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.01, 1.0, 10.0]))
def test_no_forecast_beats_its_floor_over_every_case(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    task = Weather()
    noise = spread * torch.randn(8, 8, generator=generator, dtype=torch.float64)
    for scores in (noise, task.probabilities.double().log() + noise):
        assert expected_cost(scores) > task.floor - 1e-12
    for score in (noise[0], torch.tensor(list(DAYS_OF_16.values())).double().log() + noise[0]):
        assert expected_cost(score.expand(8, 8)) > task.blind_floor - 1e-12


def expected_cost(scores: Tensor) -> float:
    tokens, target = (x.flatten() for x in Weather().every_case())
    return -scores.log_softmax(dim=-1)[tokens, target].mean().item()


def test_the_true_probabilities_reach_the_floors() -> None:
    task = Weather()
    assert expected_cost(task.probabilities.double().log()) == pytest.approx(task.floor)
    shares = torch.tensor(list(DAYS_OF_16.values())).double()
    assert expected_cost(shares.log().expand(8, 8)) == pytest.approx(task.blind_floor)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 5))
def test_no_forecast_from_one_day_beats_the_floor_of_a_sample(seed: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tokens, target = Weather(days=3).sample(size, generator)
    floor = sample_floor(tokens, target)
    scores = 3 * torch.randn(8, 8, generator=generator, dtype=torch.float64)
    assert -scores.log_softmax(dim=-1)[tokens, target].mean().item() >= floor - 1e-12
    counts = torch.zeros(8, 8, dtype=torch.float64).index_put_(
        (tokens.flatten(), target.flatten()), torch.ones(3 * size).double(), accumulate=True
    )
    best = -(counts / counts.sum(dim=1, keepdim=True)).log()[tokens, target].mean().item()
    assert math.isclose(best, floor, rel_tol=1e-9, abs_tol=1e-12)


# Border


def test_a_task_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Weather().days = 5  # type: ignore[misc]


@pytest.mark.parametrize("days", [0, -1, 1.5])
def test_a_diary_has_at_least_one_day(days: Any) -> None:
    with pytest.raises(ValueError, match=f"^days must be a positive integer, got {days}$"):
        Weather(days)


@pytest.mark.parametrize(
    ("tokens", "target"), [((3,), (2,)), ((2, 3), (6,)), ((0,), (0,)), ((2, 3), (3, 2))]
)
def test_a_sample_without_pairs_has_no_floor(tokens: Row, target: Row) -> None:
    message = f"tokens and target must be of one shape and not empty, got {tokens} and {target}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sample_floor(torch.zeros(tokens).long(), torch.zeros(target).long())

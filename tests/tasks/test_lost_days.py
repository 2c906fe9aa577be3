"""Lost days: diaries by their rules, Bayes' answer by enumeration, and the floors by both."""

import math
import re
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sampling_checks import assert_the_generator_alone_decides
from tx_utils.tasks.lost_days import LOST, NO_DAY, NOT_LOST, VOCAB_SIZE, LostDays, messages
from tx_utils.tasks.weather import DAYS_OF_16, RULES, WEATHER

Row = tuple[int, ...]
V = len(WEATHER)
BERTS: dict[str, Any] = {"shown_wrong": 0.1, "shown_right": 0.2}  # unequal, so that a mix-up shows


@cache
def likely_diaries(days: int) -> tuple[tuple[Row, float], ...]:
    """Every possible diary and how likely it is, straight from the rules."""
    rows: list[tuple[Row, float]] = [
        ((day,), DAYS_OF_16[name] / 16) for day, name in enumerate(WEATHER)
    ]
    for _ in range(days - 1):
        rows = [
            ((*row, WEATHER.index(face)), p / 4)
            for row, p in rows
            for face in RULES[WEATHER[row[-1]]]
        ]
    merged: defaultdict[Row, float] = defaultdict(float)
    for row, p in rows:
        merged[row] += p
    return tuple(merged.items())


def shows(task: LostDays, token: int, weather: int, chosen: bool) -> float:
    """How likely a day shows a token, by the words of the task."""
    hidden = 1 - task.shown_wrong - task.shown_right
    if not chosen:
        return float(token == weather)
    if token == LOST:
        return hidden
    return task.shown_right * (token == weather) + task.shown_wrong / V


def shown_anyhow(task: LostDays, token: int, weather: int) -> float:
    """The same, if nobody knows whether the day was chosen; where there is no day, all is 1."""
    if token == NO_DAY:
        return 1.0
    chosen, not_chosen = (shows(task, token, weather, chosen=c) for c in (True, False))
    return task.share * chosen + (1 - task.share) * not_chosen


def believed(task: LostDays, tokens: Row, day: int, last: int) -> list[float]:
    """A chosen day's weather, given all tokens up to the last: by summing over all diaries."""
    totals = [0.0] * V
    for row, p in likely_diaries(last + 1):
        for n in range(last + 1):
            if n == day:
                p *= shows(task, tokens[n], row[n], chosen=True)
            else:
                p *= shown_anyhow(task, tokens[n], row[n])
        totals[row[day]] += p
    return [total / sum(totals) for total in totals]


def drawn(task: LostDays, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    return task.sample(size, torch.Generator().manual_seed(seed))


def entropy(probabilities: Any) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)


# Oracle


@pytest.mark.parametrize("options", [{}, BERTS], ids=["hidden", "shown"])
@pytest.mark.parametrize("both_sides", [True, False])
def test_beliefs_are_the_sums_over_all_diaries(options: dict[str, Any], both_sides: bool) -> None:
    task = LostDays(days=5, fewest=3, share=0.4, **options)
    tokens, target = drawn(task, 40)
    beliefs = task.beliefs(tokens, both_sides=both_sides)
    for row, day in (target != NOT_LOST).nonzero().tolist():
        seen = tuple(tokens[row].tolist())
        expected = believed(task, seen, day, last=4 if both_sides else day)
        assert beliefs[row, day].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("both_sides", [True, False])
def test_the_floor_is_the_expected_entropy_over_every_diary_and_every_loss(
    both_sides: bool,
) -> None:
    """By force: all lengths, all diaries, all ways to lose days; Bayes' answer for each."""
    task = LostDays(days=3, fewest=1, share=0.3)
    cost, asked = 0.0, 0.0
    for length in (1, 2, 3):
        lost_or_not = list(product((False, True), repeat=length))
        rows = [(row, p, lost) for row, p in likely_diaries(length) for lost in lost_or_not]
        shown = torch.tensor(
            [
                [LOST if hidden else day for day, hidden in zip(row, lost, strict=True)]
                for row, _, lost in rows
            ]
        )
        beliefs = task.beliefs(shown, both_sides=both_sides)
        for (row, p, lost), belief in zip(rows, beliefs, strict=True):
            p *= math.prod(0.3 if hidden else 0.7 for hidden in lost)
            asked += p * sum(lost)
            cost += p * sum(-math.log(belief[n, row[n]]) for n in range(length) if lost[n])
    assert task.floor(both_sides=both_sides) == pytest.approx(cost / asked, rel=1e-12)


def test_messages_are_bayes_with_one_neighbour() -> None:
    sun, hail = WEATHER.index("sun"), WEATHER.index("hail")
    seen = torch.ones(1, 3, V, dtype=torch.float64)
    seen[0, 0] = torch.eye(V)[sun]
    seen[0, 2] = torch.eye(V)[hail]
    before, after = messages(seen)
    assert before[0, 1].tolist() == [RULES["sun"].count(name) / 4 for name in WEATHER]
    onward = [RULES[name].count("hail") for name in WEATHER]
    assert after[0, 1].tolist() == pytest.approx([n / sum(onward) for n in onward])
    assert before[0, 0].tolist() == [DAYS_OF_16[name] / 16 for name in WEATHER]
    assert after[0, 2].tolist() == [1 / V] * V


# Property


def test_a_day_is_hidden_exactly_where_it_is_asked_for() -> None:
    tokens, target = drawn(LostDays(), 500)
    assert tokens.shape == target.shape == (500, 16)
    assert torch.equal(tokens == LOST, target != NOT_LOST)
    assert ((target == NOT_LOST) | ((target >= 0) & (target < V))).all()
    assert set(tokens.unique().tolist()) == set(range(VOCAB_SIZE))


def test_diaries_are_weather_from_their_first_day_to_their_last() -> None:
    task = LostDays(days=9, fewest=4)
    tokens, target = drawn(task, 3000)
    lengths = (tokens != NO_DAY).sum(dim=1)
    assert torch.equal(tokens == NO_DAY, torch.arange(9) >= lengths[:, None])
    counts = Counter(lengths.tolist())
    assert set(counts) == set(range(4, 10))
    assert all(abs(n - 500) < 5 * math.sqrt(3000 / 6 * 5 / 6) for n in counts.values())
    weather = torch.where(target == NOT_LOST, tokens, target)
    for row, length in zip(weather.tolist(), lengths.tolist(), strict=True):
        for today, tomorrow in pairwise(row[:length]):
            assert WEATHER[tomorrow] in RULES[WEATHER[today]]


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_days_are_chosen_with_their_share_each_by_itself(share: float) -> None:
    task = LostDays(days=4, fewest=4, share=share)
    _, target = drawn(task, 20_000)
    chosen = (target != NOT_LOST).float()
    scatter = 5 * math.sqrt(share * (1 - share) / 20_000)
    assert (chosen.mean(dim=0) - share).abs().max() < scatter
    pairs = (chosen[:, :-1] * chosen[:, 1:]).mean(dim=0)
    assert (pairs - share**2).abs().max() < 5 * math.sqrt(share**2 / 20_000)


def test_chosen_days_are_hidden_or_wrong_or_right_with_their_shares() -> None:
    task = LostDays(share=0.5, shown_wrong=0.2, shown_right=0.1)
    tokens, target = drawn(task, 4000)
    asked = target != NOT_LOST
    shown, true = tokens[asked], target[asked]
    count = len(true)
    hidden, same = (shown == LOST).float().mean(), (shown == true).float().mean()
    assert abs(hidden - 0.7) < 5 * math.sqrt(0.7 * 0.3 / count)
    right = 0.1 + 0.2 / V  # a weather drawn at random may be the right one
    assert abs(same - right) < 5 * math.sqrt(right * (1 - right) / count)
    others = Counter(shown[(shown != LOST) & (shown != true)].tolist())
    assert set(others) == set(range(V))
    frequent = true.bincount(minlength=V) / count
    for weather, number in others.items():
        expected = count * 0.2 / V * (1 - frequent[weather].item())
        assert abs(number - expected) < 5 * math.sqrt(expected)
    assert torch.equal(tokens[~asked] == NO_DAY, tokens[~asked] >= V)


def test_the_generator_alone_decides() -> None:
    options: dict[str, Any]
    for options in ({}, BERTS):
        assert_the_generator_alone_decides(LostDays(**options).sample)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_beliefs_are_probabilities_and_never_exclude_what_was(
    seed: int, both_sides: bool, shown: bool
) -> None:
    task = LostDays(days=11, fewest=1, share=0.4, **(BERTS if shown else {}))
    tokens, target = drawn(task, 7, seed)
    beliefs = task.beliefs(tokens, both_sides=both_sides)
    assert beliefs.dtype == torch.float64
    torch.testing.assert_close(beliefs.sum(dim=-1), torch.ones(7, 11).double())
    asked = target != NOT_LOST
    assert (beliefs[asked].gather(1, target[asked][:, None]) > 0).all()


def test_a_day_that_can_be_read_is_certain_if_chosen_days_are_hidden() -> None:
    tokens, _ = drawn(LostDays(), 50)
    can_be_read = tokens < LOST
    for both_sides in (True, False):
        beliefs = LostDays().beliefs(tokens, both_sides=both_sides)
        named = beliefs[can_be_read].gather(1, tokens[can_be_read][:, None])
        assert (named == 1).all()


def test_padding_and_the_future_say_nothing_to_the_past() -> None:
    task = LostDays(days=7, fewest=7, share=0.4)
    tokens, _ = drawn(task, 30)
    longer = torch.nn.functional.pad(tokens, (0, 4), value=NO_DAY)
    for both_sides in (True, False):
        belief = task.beliefs(tokens, both_sides=both_sides)
        torch.testing.assert_close(task.beliefs(longer, both_sides=both_sides)[:, :7], belief)
    other_end = torch.cat([tokens[:, :4], drawn(task, 30, 1)[0][:, 4:]], dim=1)
    left = [task.beliefs(days, both_sides=False)[:, :4] for days in (tokens, other_end)]
    torch.testing.assert_close(left[0], left[1])
    assert not torch.allclose(
        task.beliefs(tokens[:, :4]), task.beliefs(tokens)[:, :4]
    )  # but the future says much to who reads it


def test_beliefs_are_calibrated() -> None:
    """Of the days to which Bayes gives a probability near p, a share near p is so."""
    task = LostDays(days=12, fewest=4, share=0.3, **BERTS)
    tokens, target = drawn(task, 6000)
    asked = target != NOT_LOST
    for both_sides in (True, False):
        belief = task.beliefs(tokens, both_sides=both_sides)[asked]
        came = torch.nn.functional.one_hot(target[asked], V).bool()
        for low in torch.arange(10) / 10:
            near = (belief >= low) & (belief < low + 0.1)
            expected, share = belief[near].mean(), came[near].double().mean()
            scatter = 5 * (expected * (1 - expected) / near.sum()).sqrt() + 1e-9
            assert near.sum() < 50 or abs(expected - share) < scatter


def test_who_reads_both_sides_has_the_lower_floor_by_more_than_half_a_nat() -> None:
    task = LostDays()
    assert (
        task.floor() + 0.5
        < task.floor(both_sides=False)
        < entropy(n / 16 for n in DAYS_OF_16.values())
    )
    lone = LostDays(days=1, fewest=1)
    assert lone.floor() == pytest.approx(entropy(n / 16 for n in DAYS_OF_16.values()))
    assert lone.floor() == pytest.approx(lone.floor(both_sides=False))


@pytest.mark.parametrize("both_sides", [True, False])
def test_the_floor_is_the_mean_cost_of_beliefs_on_many_diaries(both_sides: bool) -> None:
    task = LostDays()
    tokens, target = drawn(task, 20_000)
    asked = target != NOT_LOST
    belief = task.beliefs(tokens, both_sides=both_sides)[asked]
    cost = -belief.gather(1, target[asked][:, None]).log()
    assert abs(cost.mean() - task.floor(both_sides=both_sides)) < 5 * cost.std() / len(cost) ** 0.5


# Border


@pytest.mark.parametrize("options", [{"shown_wrong": 0.1}, {"shown_right": 0.1}])
def test_no_floor_is_claimed_where_it_is_not_known(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^the floor is known only if every chosen day is hidden"):
        LostDays(**options).floor()


@pytest.mark.parametrize("token", [-1, VOCAB_SIZE])
def test_foreign_tokens_are_refused(token: int) -> None:
    message = re.escape(f"tokens must lie in [0, {VOCAB_SIZE}), got [{token}]")
    with pytest.raises(ValueError, match=f"^{message}$"):
        LostDays().beliefs(torch.tensor([[token]]))


def test_lengths_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^fewest \(6\) must be at most days \(5\)$"):
        LostDays(days=5, fewest=6)
    with pytest.raises(ValueError, match=r"^fewest must be a positive integer, got 0$"):
        LostDays(fewest=0)


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.0},
        {"share": 1.1},
        {"shown_wrong": -0.1},
        {"shown_right": 1.5},
        {"shown_wrong": 0.6, "shown_right": 0.6},
    ],
)
def test_shares_that_are_no_probabilities_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"probabilities, the first above 0, got"):
        LostDays(**options)

"""Paired comparisons: the sign test by counting coins, the interval by its coverage."""

import math
import re
from itertools import product
from statistics import NormalDist

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tx_utils.paired import Z_95, compare_paired, sign_test


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[Tensor, Tensor]:
    counts = torch.tensor([both, only_first, only_second, neither])
    first = torch.tensor([True, True, False, False]).repeat_interleave(counts)
    second = torch.tensor([True, False, True, False]).repeat_interleave(counts)
    return first, second


# Oracle


@pytest.mark.parametrize("pairs", [0, 1, 2, 5, 8])
def test_the_p_value_is_the_share_of_all_tosses_that_are_as_uneven(pairs: int) -> None:
    tosses = [sum(coins) for coins in product((0, 1), repeat=pairs)]
    for wins in range(pairs + 1):
        unevenness = abs(2 * wins - pairs)
        as_uneven = sum(abs(2 * heads - pairs) >= unevenness for heads in tosses)
        assert sign_test(wins, pairs - wins) == pytest.approx(as_uneven / 2**pairs, rel=1e-12)


def test_the_interval_is_walds_with_half_an_answer_more_in_each_cell() -> None:
    """By the textbook's variance of a mean of +1, 0 and -1, on the enlarged table."""
    first, second = answers(31, 7, 2, 3)
    compared = compare_paired(first, second)
    values = [1.0] * 15 + [-1.0] * 5 + [0.0] * 70  # twice the table 31.5, 7.5, 2.5, 3.5
    mean = sum(values) / 90
    variance = sum((value - mean) ** 2 for value in values) / 90
    reach = NormalDist().inv_cdf(0.975) * math.sqrt(variance / 45)
    assert compared.interval == pytest.approx((mean - reach, mean + reach), rel=1e-6)
    assert compared[:2] == (7, 2)
    assert compared.difference == pytest.approx(5 / 43)
    assert compared.p_value == sign_test(7, 2)


def test_z_is_the_normal_distributions() -> None:
    assert NormalDist().inv_cdf(0.975) == pytest.approx(Z_95, abs=1e-6)


# Property


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_to_change_places_turns_the_sign_and_nothing_else(pairs: list[tuple[bool, bool]]) -> None:
    first, second = torch.tensor(pairs).T
    one, other = compare_paired(first, second), compare_paired(second, first)
    assert (one.only_first, one.only_second) == (other.only_second, other.only_first)
    assert one.difference == -other.difference
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-12)
    assert one.p_value == other.p_value
    accuracy = [right.float().mean().item() for right in (first, second)]
    assert one.difference == pytest.approx(accuracy[0] - accuracy[1], abs=1e-6)
    assert -1 <= one.interval[0] < one.interval[1] <= 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Exactly, over every table of 60 answers: not below 94 % at differences met in practice."""
    for p_first, p_second in ((0.05, 0.02), (0.1, 0.1), (0.04, 0.04), (0.2, 0.1)):
        covered = 0.0
        for b, c in product(range(61), repeat=2):
            if b + c > 60:
                continue
            ways = math.comb(60, b) * math.comb(60 - b, c)
            likely = ways * p_first**b * p_second**c * (1 - p_first - p_second) ** (60 - b - c)
            if likely < 1e-9:
                continue
            low, high = compare_paired(*answers(60 - b - c, b, c, 0)).interval
            covered += likely * (low <= p_first - p_second <= high)
        assert covered > 0.94


def test_answers_on_which_both_agree_change_no_p_value() -> None:
    few, many = compare_paired(*answers(0, 5, 1, 0)), compare_paired(*answers(90, 5, 1, 40))
    assert few.p_value == many.p_value
    assert many.difference == pytest.approx(4 / 136)


# Border


def test_without_a_difference_there_is_nothing_to_wonder_at() -> None:
    compared = compare_paired(*answers(3, 0, 0, 4))
    assert (compared.difference, compared.p_value) == (0, 1)
    assert compared.interval[0] == -compared.interval[1] < 0
    assert sign_test(0, 0) == sign_test(4, 4) == 1


def test_intervals_end_at_1() -> None:
    one = torch.tensor([True])
    assert compare_paired(one, ~one).interval[1] == 1
    assert compare_paired(~one, one).interval[0] == -1


@pytest.mark.parametrize(("wins", "losses"), [(-1, 3), (3, -1)])
def test_negative_counts_are_refused(wins: int, losses: int) -> None:
    message = f"^wins and losses must not be negative, got {wins} and {losses}$"
    with pytest.raises(ValueError, match=message):
        sign_test(wins, losses)


@pytest.mark.parametrize(
    "wrong", [torch.ones(3), torch.ones(3, 1).bool(), torch.ones(0).bool()], ids=str
)
def test_answers_of_another_kind_are_refused(wrong: Tensor) -> None:
    right = torch.ones(3).bool()
    message = re.escape(f"N above 0, got {wrong.dtype} of shape {tuple(wrong.shape)}")
    for pair in ((wrong, right), (right, wrong)):
        with pytest.raises(ValueError, match=message):
            compare_paired(*pair)


def test_answers_to_other_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^both must have one size, got 3 and 2$"):
        compare_paired(torch.ones(3).bool(), torch.ones(2).bool())

"""Duels: the counts by slow loops, and what it takes for a difference to count."""

import pytest
import torch

from tx_utils.experiments.digits import right_answers
from tx_utils.experiments.duels import ROUNDS, Duel, Round, duel, mistakes
from tx_utils.experiments.evidence import Evidence, Result
from tx_utils.paired import PairedComparison, compare_paired
from tx_utils.tasks.digits import load_digits, split_digits

SHEETS = load_digits().sheets


def evidence(seed: int = 0) -> Evidence:
    """Two readers that get pictures wrong at random, b more often."""
    generator = torch.Generator().manual_seed(seed)
    runs: dict[str, dict[int, Result]] = {"a": {}, "b": {}}
    for number in range(10):
        test = split_digits(number).test
        for name, share in (("a", 0.1), ("b", 0.2)):
            wrong = test[torch.rand(len(test), generator=generator) < share].tolist()
            runs[name][number] = Result(0.0, 0.0, measures={"wrong": wrong})
    return Evidence({}, {}, {}, runs)


def made(*rounds: tuple[float, int, int]) -> Duel:
    """A duel with so much of a difference, sheets won and sheets lost in each round."""
    return Duel(
        "a",
        "b",
        tuple(
            Round(PairedComparison(3, 2, difference, (-0.1, 0.1), 1.0), won, lost)
            for difference, won, lost in rounds
        ),
    )


# Oracle


def test_pictures_and_sheets_are_counted_in_each_round() -> None:
    stored = evidence()
    for one, seed in zip(duel(stored, "a", "b").rounds, ROUNDS, strict=True):
        first, second = (right_answers(stored, name, seed) for name in "ab")
        assert one.pictures == compare_paired(first, second)
        won = lost = 0
        for sheet in range(14):
            counts = [int(right[sheet == SHEETS].sum()) for right in (first, second)]
            won += counts[0] > counts[1]
            lost += counts[0] < counts[1]
        assert (one.sheets_won, one.sheets_lost) == (won, lost)
    assert ROUNDS == (0, 5)


def test_some_pictures_alone_can_be_compared() -> None:
    stored, among = evidence(), SHEETS >= 9
    for one, seed in zip(duel(stored, "a", "b", among).rounds, ROUNDS, strict=True):
        first, second = (right_answers(stored, name, seed)[among] for name in "ab")
        assert one.pictures == compare_paired(first, second)
        assert one.sheets_won + one.sheets_lost <= 5


def test_mistakes_are_the_share_of_wrong_pictures_of_both_rounds() -> None:
    stored = evidence()
    for name in "ab":
        wrong = sum(len(result.measures["wrong"]) for result in stored.runs[name].values())
        assert mistakes(stored, name) == pytest.approx(wrong / (2 * 1797))


# Property


def test_to_change_places_turns_the_duel_around() -> None:
    there, back = duel(evidence(), "a", "b"), duel(evidence(), "b", "a")
    for one, other in zip(there.rounds, back.rounds, strict=True):
        assert one.pictures.difference == -other.pictures.difference
        assert (one.sheets_won, one.sheets_lost) == (other.sheets_lost, other.sheets_won)
    assert there.counts == back.counts


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_a_reader_with_half_as_many_mistakes_is_found_ahead(seed: int) -> None:
    assert duel(evidence(seed), "a", "b").counts
    assert not duel(evidence(seed), "a", "a").counts


@pytest.mark.parametrize(
    ("rounds", "counts"),
    [
        (((0.1, 12, 2), (0.1, 11, 2)), True),
        (((-0.1, 2, 12), (-0.1, 2, 11)), True),
        (((0.1, 12, 2), (-0.1, 2, 12)), False),  # the rounds disagree
        (((0.1, 12, 2), (0.1, 10, 3)), False),  # coins would do that once in eleven
        (((0.0, 7, 7), (0.0, 7, 7)), False),
    ],
)
def test_a_difference_counts_if_both_rounds_show_it_on_the_sheets(
    rounds: tuple[tuple[float, int, int], ...], counts: bool
) -> None:
    assert made(*rounds).counts == counts


def test_a_duel_is_told_in_three_lines() -> None:
    assert str(made((0.034, 12, 2), (0.0, 11, 2))) == (
        "a - b: does not count\n"
        "   round 1: +3.4 % (-10.0 to +10.0)   pictures   3 : 2     sheets 12 : 2\n"
        "   round 2: +0.0 % (-10.0 to +10.0)   pictures   3 : 2     sheets 11 : 2"
    )
    assert str(made((0.1, 12, 2), (0.1, 12, 2))).startswith("a - b: counts\n")

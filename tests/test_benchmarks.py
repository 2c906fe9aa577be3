"""The benchmark's arithmetic, rounds, tables and pictures; no contender need be installed."""

import doctest
import itertools
import math
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import figures, flops, ratios, report, rounds

PURE = (flops, ratios, report, rounds)
OURS, PEER = "tx_utils", "peer"


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.__name__)
def test_the_examples_hold(module: types.ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


# Property


@given(st.integers(6, 60))
def test_the_interval_misses_the_median_at_most_once_in_twenty(count: int) -> None:
    rank = ratios.rank_from_below(count)

    def missed(rank: int) -> float:  # fewer than `rank` values on one side of the median
        return 2 * sum(math.comb(count, k) for k in range(rank)) / 2**count

    assert missed(rank) <= 0.05 < missed(rank + 1)


def test_a_disturbed_round_changes_no_paired_ratio() -> None:
    reference = {0: 1.0, 1: 1.0, 2: 100.0, 3: 1.0}
    ratio = ratios.paired({number: 3 * seconds for number, seconds in reference.items()}, reference)
    assert ratio == (3.0, 3.0, 3.0, 4)


def test_only_common_rounds_are_paired() -> None:
    assert ratios.paired({1: 4.0, 7: 9.0}, {0: 1.0, 1: 2.0}) == (2.0, 2.0, 2.0, 1)


def test_everybody_comes_first_and_after_everybody() -> None:
    orders = [rounds.order(3, number) for number in range(6)]
    assert {order[0] for order in orders} == {0, 1, 2}
    assert {pair for order in orders for pair in itertools.pairwise(order)} == set(
        itertools.permutations(range(3), 2)
    )


def test_rounds_time_each_call_by_itself() -> None:
    now, calls = [0.0], list[str]()

    def contender(name: str, seconds: float, every: int = 1) -> rounds.Contender:
        def call() -> None:
            calls.append(name)
            now[0] += seconds

        return rounds.Contender(name, call, every=every)

    both = [contender("fast", 1.0), contender("slow", 5.0, every=3)]
    times = rounds.interleave(both, 6, warm_up=2, clock=lambda: now[0])
    assert times == {"fast": dict.fromkeys(range(6), 1.0), "slow": {2: 5.0, 5: 5.0}}
    assert calls == ["fast"] * 2 + calls[2:]  # the slow one is not warmed up
    assert (calls.count("fast"), calls.count("slow")) == (8, 2)
    assert list(rounds.interleave(both, 2, clock=lambda: now[0])) == ["fast"]


def test_rows_compare_time_arithmetic_and_tokens() -> None:
    times = {OURS: {0: 2.0, 1: 4.0}, PEER: {0: 3.0, 1: 6.0}, report.CEILING: {0: 1.0, 1: 2.0}}
    parameters = {OURS: 7, PEER: 11}
    rows = report.summarise(
        times, OURS, parameters=parameters, flops=5, ceiling_flops=10, tokens=12
    )
    assert list(rows) == [OURS, PEER]
    assert rows[PEER]["ratio"] == (1.5, 1.5, 1.5)
    assert rows[PEER]["parameters"] == 11
    assert rows[PEER]["milliseconds"] == 4500.0
    assert rows[OURS]["of_ceiling"] == 0.25  # half the arithmetic in twice the time
    assert rows[OURS]["tokens_per_second"] == 4.0


def test_the_table_has_the_fastest_first_and_names_what_it_knows() -> None:
    times = {OURS: {0: 2.0, 1: 2.0}, PEER: {0: 1.0, 1: 1.5}, report.CEILING: {0: 1.0, 1: 1.0}}
    parameters = {OURS: 7000, PEER: 11}
    rows = report.summarise(times, OURS, parameters=parameters, flops=5, ceiling_flops=10)
    head, first, second = report.table(rows).splitlines()
    assert head.split() == "parameters time / ours 95 % interval rounds ms of ceiling".split()
    assert first.split() == "peer 11 0.62 0.50 to 0.75 2 1,250.0 40%".split()
    assert second.split() == "tx_utils 7,000 1.00 2 2,000.0 25%".split()


def test_the_table_of_writers_counts_tokens_and_gives_one_round_no_interval() -> None:
    times = {OURS: {0: 2.0}, PEER: {0: 1.0}}
    rows = report.summarise(times, OURS, parameters={OURS: 7, PEER: 11}, tokens=4000)
    head, first, second = report.table(rows).splitlines()
    assert head.split()[-1] == "tokens/s"
    assert first.split() == "peer 11 0.50 1 1,000.0 4,000".split()
    assert second.split()[-1] == "2,000"


def test_the_table_of_attention_has_a_row_for_each_length() -> None:
    cell = {"megabytes": 1234.4, "milliseconds": 5.06}
    text = report.attention_table(
        {"one": {"16": cell, "4096": cell}, "two": {"16": cell, "4096": cell}}
    )
    assert text.splitlines()[0].split("  ")[-1].strip() == "two: MB / ms"
    assert text.splitlines()[2].split() == "4,096 1,234 / 5.1 1,234 / 5.1".split()


def test_every_picture_says_what_was_measured(tmp_path: Path) -> None:
    results = example()
    figures.draw(results, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"benchmark_{name}.png" for name in ("generation", "memory", "training")
    ]
    training = figures.training_figure(results["workloads"])
    assert "0.50 to 2.00 times" in training.axes[0].get_title(loc="left").replace("\n", " ")
    memory = figures.memory_figure(results["attention"])
    assert "12 times" in memory.axes[0].get_title(loc="left").replace("\n", " ")


def example() -> dict[str, Any]:
    """Results in the stored form."""

    def row(ratio: float, rate: float) -> dict[str, Any]:
        return {"ratio": [ratio, ratio, ratio], "tokens_per_second": rate}

    def training(ratio: float) -> dict[str, Any]:
        return {"contenders": {OURS: row(1.0, 0.0), PEER: row(ratio, 0.0)}}

    writing = {"contenders": {OURS: row(1.0, 90.0), f"{OURS}, no cache": row(3.0, 30.0)}}
    ratios_by_name = zip(figures.PANELS, (0.5, 1.0, 1.5, 2.0), strict=True)
    return {
        "workloads": {
            **{name: training(ratio) for name, ratio in ratios_by_name},
            "write-1": writing,
            "write-8": writing,
        },
        "attention": {
            form: {"256": {"megabytes": m}, "1024": {"megabytes": m * k}}
            for form, m, k in (
                ("written out", 3.0, 16.0),
                ("masked", 2.0, 4.0),
                ("causal", 1.0, 4.0),
            )
        },
    }


# Border


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no common round in \[0\] and \[1\]$"):
        ratios.paired({0: 1.0}, {1: 1.0})
    with pytest.raises(ValueError, match=r"^count must be positive, got 0$"):
        ratios.median_ratio([])
    twice = [rounds.Contender("a", lambda: None)] * 2
    with pytest.raises(ValueError, match=r"^contenders must have different names, got a, a$"):
        rounds.interleave(twice, 1)


def test_few_rounds_give_their_whole_range() -> None:
    assert ratios.median_ratio([5.0, 1.0, 2.0, 9.0, 3.0]) == (3.0, 1.0, 9.0, 5)

"""How many times as long a contender takes, from pairs timed in the same round."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Times = Mapping[int, float]  # seconds by round; a slow contender is not in every round


class Ratio(NamedTuple):
    """A median and the interval that holds the true one; `pairs` is how many it comes from."""

    median: float
    low: float
    high: float
    pairs: int


def rank_from_below(count: int, confidence: float = 0.95) -> int:
    """The rank k for which the k-th smallest and k-th largest of `count` values enclose the median.

    Whatever the distribution, the true median lies below the k-th smallest with the probability
    that fewer than k of `count` fair coins show heads. Below 6 values no rank reaches 95 %; the
    answer is then 1, the whole range.

    Raises:
        ValueError: if `count` is not positive.

    Example:
        >>> rank_from_below(6), rank_from_below(30)
        (1, 10)
    """
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    below, rank = 0.0, 0
    while rank < count:
        below += math.comb(count, rank) / 2**count
        if below > (1 - confidence) / 2:
            break
        rank += 1
    return max(rank, 1)


def median_ratio(values: Sequence[float]) -> Ratio:
    """The median, and its distribution-free 95 % interval (the range if there are fewer than 6).

    Raises:
        ValueError: if there is no value.

    Example:
        >>> median_ratio([1.0, 9.0, 2.0])
        Ratio(median=2.0, low=1.0, high=9.0, pairs=3)
    """
    rank, ordered = rank_from_below(len(values)), sorted(values)
    return Ratio(statistics.median(ordered), ordered[rank - 1], ordered[-rank], len(ordered))


def paired(times: Times, reference: Times) -> Ratio:
    """Time over the reference's time, in each round that has both.

    Raises:
        ValueError: if no round has both.

    Example:
        >>> paired({0: 3.0, 1: 60.0}, {0: 1.0, 1: 20.0, 2: 1.0}).median  # round 1 was disturbed
        3.0
    """
    both = [number for number in times if number in reference]
    if not both:
        raise ValueError(f"no common round in {sorted(times)} and {sorted(reference)}")
    return median_ratio([times[number] / reference[number] for number in both])

"""Paired comparisons: two models answer the same questions; is one better, and how much?

Only the questions count on which exactly one of them is right. Whether more of these fall to one
side than coins would make it is a sum over binomial coefficients, exact for any number of them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

Z_95 = 1.959964  # a normal variable is farther from its mean than so many deviations 5 % of times


class PairedComparison(NamedTuple):
    """Two models on the same questions.

    Attributes:
        only_first: Questions that only the first one has right.
        only_second: Those that only the second one has right.
        difference: The first one's accuracy minus the second's.
        interval: Its 95 % confidence interval, from low to high.
        p_value: How often fair coins would share out the questions on which they differ at least
            as unevenly.
    """

    only_first: int
    only_second: int
    difference: float
    interval: tuple[float, float]
    p_value: float


def sign_test(wins: int, losses: int) -> float:
    """How likely fair coins would fall at least as unevenly, to either side.

    On questions that two models answer differently this is McNemar's test, exact.

    Args:
        wins: Pairs that the one won; ties count for neither.
        losses: Pairs that the other won.

    Returns:
        The two-sided p-value; 1 without a pair.

    Raises:
        ValueError: if a number is negative.

    Example:
        >>> sign_test(6, 0) == 2 / 2**6
        True
    """
    if min(wins, losses) < 0:
        raise ValueError(f"wins and losses must not be negative, got {wins} and {losses}")
    pairs = wins + losses
    tail = sum(math.comb(pairs, k) for k in range(max(wins, losses), pairs + 1))
    return min(1.0, 2 * tail / 2**pairs)


def compare_paired(first: Tensor, second: Tensor) -> PairedComparison:
    """Compare two models by the questions on which one is right and the other wrong.

    The interval is Agresti and Min's (2005): half a question is added to each of the four cells,
    then Wald's formula is used. It takes the questions for independent of each other; where
    they come in groups (pictures by one hand), it is too narrow.

    Args:
        first: Where the first model is right, boolean.   (N,)
        second: Where the second one is, on the same questions.  (N,)

    Raises:
        ValueError: if the two are not boolean, of one dimension and of one size above 0.

    Example:
        >>> compared = compare_paired(torch.arange(10) < 9, torch.arange(10) < 3)
        >>> compared.only_first, compared.difference
        (6, 0.6)
    """
    for right in (first, second):
        if right.dtype != torch.bool or right.dim() != 1 or right.numel() == 0:
            raise ValueError(
                "both must be boolean of shape (N,), N above 0, "
                f"got {right.dtype} of shape {tuple(right.shape)}"
            )
    if first.shape != second.shape:
        raise ValueError(f"both must have one size, got {len(first)} and {len(second)}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = len(first) + 2
    centre = (only_first - only_second) / total
    spread = (only_first + only_second + 1) / total - centre**2
    reach = Z_95 * math.sqrt(spread / total)
    return PairedComparison(
        only_first,
        only_second,
        (only_first - only_second) / len(first),
        (max(-1.0, centre - reach), min(1.0, centre + reach)),
        sign_test(only_first, only_second),
    )

"""What every toy task's generator is held to: fair draws, and no randomness but its own."""

import math
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tx_utils.tasks.sampling import Sample


def assert_uniform(counts: Counter[Any], cells: int) -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    Of chi-square with k degrees of freedom, P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) (Laurent and
    Massart, 2000, lemma 1); t = 20. The statistic is near chi-square at some 50 counts per cell.
    """
    expected = sum(counts.values()) / cells
    assert expected >= 50
    assert len(counts) == cells
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    k, t = cells - 1, 20
    assert statistic < k + 2 * math.sqrt(k * t) + 2 * t


def assert_the_generator_alone_decides(sample: Sample) -> None:
    """Equal seeds draw equal batches, others draw others; the global states are left alone."""

    def drawn(seed: int) -> tuple[Tensor, ...]:
        return sample(7, torch.Generator().manual_seed(seed))

    def equal(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> bool:
        return all(map(torch.equal, ours, theirs))

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = drawn(seed=3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)
    torch.manual_seed(99)
    assert equal(drawn(seed=3), first)
    assert not equal(drawn(seed=4), first)
    generator = torch.Generator().manual_seed(3)
    assert not equal(sample(7, generator), sample(7, generator))

"""Sampling: toy tasks as endless, seeded streams of fresh batches and as fixed sets."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

from tx_utils._checks import check_positive

# (number of sequences, generator) -> (*inputs, target), each with the sequences as first axis
Sample = Callable[[int, torch.Generator], tuple[Tensor, ...]]


class FreshSamples(IterableDataset[tuple[Tensor, ...]]):
    """A stream of batches that never repeats, but is the same for the same seed.

    An epoch is a stated number of batches. Which ones depends on the seed and on the epoch's
    number alone, so that a run can be resumed at any epoch.

    Args:
        sample: Makes a batch of a given size with a given generator.
        batch_size: Sequences per batch.
        batches: Batches per epoch.
        seed: Names the stream.

    Raises:
        ValueError: if `batch_size` or `batches` is not a positive integer.

    Example:
        >>> stream = FreshSamples(
        ...     lambda size, generator: (torch.rand(size, generator=generator),),
        ...     batch_size=2, batches=3, seed=0,
        ... )
        >>> len(stream), len(list(stream))
        (3, 3)
    """

    def __init__(self, sample: Sample, *, batch_size: int, batches: int, seed: int) -> None:
        check_positive(batch_size=batch_size, batches=batches)
        self.sample = sample
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        # SeedSequence mixes the two numbers: seed 0, epoch 1 shares nothing with seed 1, epoch 0.
        mixed = np.random.SeedSequence(self.seed, spawn_key=(self.epoch,)).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        batches = (self.sample(self.batch_size, generator) for _ in range(self.batches))
        worker = get_worker_info()
        if worker is None:
            return batches
        return islice(batches, worker.id, None, worker.num_workers)


def fresh_loader(
    sample: Sample, *, batch_size: int, batches: int, seed: int
) -> DataLoader[tuple[Tensor, ...]]:
    """Load fresh batches, `batches` of them an epoch; arguments as in `FreshSamples`."""
    stream = FreshSamples(sample, batch_size=batch_size, batches=batches, seed=seed)
    # The stream's items are batches already. A generator of its own keeps torch from drawing on
    # the global one.
    return DataLoader(stream, batch_size=None, generator=torch.Generator())


def fixed_loader(
    sample: Sample, *, size: int, batch_size: int, seed: int
) -> DataLoader[tuple[Tensor, ...]]:
    """Load the same `size` sequences every time, in the same order: a validation or test set.

    Args:
        sample: Makes the sequences.
        size: Number of sequences.
        batch_size: Sequences per batch.
        seed: Another one than the training stream's.
    """
    check_positive(size=size, batch_size=batch_size)
    data = TensorDataset(*sample(size, torch.Generator().manual_seed(seed)))
    return DataLoader(data, batch_size=batch_size, generator=torch.Generator())


def shuffled(size: int, length: int, generator: torch.Generator) -> Tensor:
    """Random orders of 0 ... length-1, one per row.  (size, length).

    Example:
        >>> shuffled(2, 5, torch.Generator()).sort(dim=-1).values.tolist()
        [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """
    return torch.rand(size, length, generator=generator).argsort(dim=-1)

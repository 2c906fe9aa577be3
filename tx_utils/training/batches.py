"""Batches: an epoch's data in the same order each time, even after an interruption."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from tx_utils.training.history import History

Batch = Sequence[Tensor]  # (*inputs, target)


def remaining_batches(loader: Iterable[Batch], history: History) -> Iterator[Batch]:
    """Open the current epoch and return the batches that it has left.

    After an interruption the epoch begins again with the random state that it had, so that the
    same batches come in the same order; those that were learnt from are passed over.
    """
    set_epoch = getattr(getattr(loader, "dataset", None), "set_epoch", None)
    if set_epoch is not None:
        set_epoch(history.epochs)
    state = history.random_state
    for generator, saved in zip(_generators(loader), state.get("shuffling", ()), strict=False):
        generator.set_state(saved)
    if "epoch_start" in state:
        torch.set_rng_state(state["epoch_start"])
    note_shuffling(loader, history)
    state["epoch_start"] = torch.get_rng_state()

    batches = iter(loader)
    done = history.steps_into_epoch
    if sum(1 for _ in islice(batches, done)) < done:
        raise ValueError(
            f"the data loader has fewer batches than the {done} steps that its current epoch "
            "had before the interruption: go on with the same data"
        )
    if "step_end" in state:
        torch.set_rng_state(state["step_end"])
    return batches


def note_shuffling(loader: Iterable[Batch], history: History) -> None:
    """Note the states of the generators that the loader shuffles with, if it has its own."""
    history.random_state["shuffling"] = [item.get_state() for item in _generators(loader)]


def _generators(loader: Iterable[Batch]) -> list[torch.Generator]:
    owners = (loader, getattr(loader, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return [generator for generator in found if generator is not None]


def on_device(batches: Iterable[Batch], model: nn.Module) -> Iterator[Batch]:
    """Move each batch to where the model is."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    for batch in batches:
        if not isinstance(batch, list | tuple) or len(batch) < 2:
            raise ValueError(f"a batch must be (*inputs, target), got a {type(batch).__name__}")
        yield [tensor.to(device) for tensor in batch]


def count_targets(loss_fn: object, target: Tensor) -> int:
    """Number of targets that a mean loss is taken over: all but the loss's `ignore_index`."""
    ignore_index = getattr(loss_fn, "ignore_index", None)
    return target.numel() if ignore_index is None else int((target != ignore_index).sum())

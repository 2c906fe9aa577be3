"""Modes: use a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def observed(model: nn.Module) -> Iterator[None]:
    """Switch dropout off and record no gradients in the block; every module's mode comes back."""
    were_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in were_training:
            module.training = True


@contextmanager
def stored_by_columns(model: nn.Module) -> Iterator[None]:
    """Store the linear layers' matrices by columns in the block; they come back as they were.

    The numbers stay the same, only their order in memory changes. To read a single token is to
    multiply each matrix with one vector. That takes as long as fetching the matrix from memory,
    which a CPU's kernels do about 1.5 times as fast by columns as by rows, torch's order. The
    matrices take their memory twice meanwhile.
    """
    linears = (module for module in model.modules() if isinstance(module, nn.Linear))
    on_cpu = (linear.weight for linear in linears if linear.weight.device.type == "cpu")
    by_rows = {weight: weight.data for weight in on_cpu}
    try:
        for weight, data in by_rows.items():
            weight.data = data.t().contiguous().t()
        yield
    finally:
        for weight, data in by_rows.items():
            weight.data = data

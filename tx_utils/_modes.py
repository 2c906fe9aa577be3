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

"""Modes: use a model without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def observed(model: nn.Module) -> Iterator[None]:
    """Switch dropout off and record no gradients in the block; the model's mode comes back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)

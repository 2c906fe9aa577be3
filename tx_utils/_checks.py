"""The checks that several modules share: each error says what came and what was expected."""

import math

import torch
from torch import Tensor

INTEGER_DTYPES = (torch.int64, torch.int32)


def check_positive(**sizes: int) -> None:
    """Raise a ValueError unless every size is a positive whole number."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}")


def check_divisible(d_model: int, num_heads: int) -> None:
    """Raise a ValueError unless `num_heads` heads of equal width fill `d_model`."""
    check_positive(d_model=d_model, num_heads=num_heads)
    if d_model % num_heads:
        raise ValueError(f"d_model ({d_model}) must be divisible by num_heads ({num_heads})")


def check_dropout(dropout: float) -> None:
    """Raise a ValueError unless `dropout` is a probability below 1."""
    if not isinstance(dropout, int | float) or not 0.0 <= dropout < 1.0:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")


def check_eps(**eps: float) -> None:
    """Raise a ValueError unless every eps is a finite number that is not negative."""
    for name, value in eps.items():
        if not isinstance(value, int | float) or not 0.0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def check_switches(**switches: bool) -> None:
    """Raise a ValueError unless every switch is True or False."""
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise ValueError(f"{name} must be True or False, got {switch!r}")


def check_pad_id(pad_id: int) -> None:
    """Raise a ValueError unless `pad_id` is a whole number."""
    if not isinstance(pad_id, int) or isinstance(pad_id, bool):
        raise ValueError(f"pad_id must be an integer, got {pad_id!r}")


def check_index(name: str, index: int, count: int) -> None:
    """Raise a ValueError unless `index` is a whole number in [0, count)."""
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count:
        raise ValueError(f"{name} must be an integer in [0, {count}), got {index!r}")


def check_tokens(tokens: Tensor) -> None:
    """Raise a ValueError unless `tokens` holds integer ids of shape (B, T)."""
    if tokens.dtype not in INTEGER_DTYPES:
        raise ValueError(f"token ids must be int64 or int32, got {tokens.dtype}")
    if tokens.dim() != 2:
        raise ValueError(f"tokens must have shape (B, T), got {tuple(tokens.shape)}")


def check_features(name: str, x: Tensor, d_model: int) -> None:
    """Raise a ValueError unless `x` has shape (B, T, d_model)."""
    if x.dim() != 3 or x.size(-1) != d_model:
        raise ValueError(f"{name} must have shape (B, T, {d_model}), got {tuple(x.shape)}")

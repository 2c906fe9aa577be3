"""Sampling: turn the scores of the next token into the probabilities it is drawn with.

Source: for top-k, Fan et al. (2018), section 5.1; for top-p, Holtzman et al. (2020), section 3.1.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """Raise a ValueError unless these say how to draw a token."""
    if not _is_number(temperature) or not 0.0 <= temperature < math.inf:
        raise ValueError(f"temperature must be finite and not negative, got {temperature!r}")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise ValueError(f"top_k must be a positive integer or None, got {top_k!r}")
    if top_p is not None and (not _is_number(top_p) or not 0.0 < top_p <= 1.0):
        raise ValueError(f"top_p must lie in (0, 1] or be None, got {top_p!r}")


def sampling_distribution(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Reshape the model's probabilities: first the temperature, then top-k, then top-p.

    Args:
        logits: Scores of the next token.  (..., vocab_size)
        temperature: Divides the logits: below 1 the likely become likelier, above 1 less so.
            At 0 the likeliest token (the first of several) gets all.
        top_k: Only the k likeliest tokens stay, and those that tie with the last of them.
        top_p: Only the likeliest tokens stay, as few as together reach this probability.

    Returns:
        Probabilities, in float32 at least.  (..., vocab_size)

    Raises:
        ValueError: if an argument is out of range, or the largest of the logits is no finite
            number. (One of -inf is fine: that token cannot come next.)

    Example:
        >>> logits = torch.tensor([0.5, 0.25, 0.25]).log()
        >>> sampling_distribution(logits, top_p=0.5).tolist()
        [1.0, 0.0, 0.0]
    """
    check_sampling(temperature, top_k, top_p)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # sums must be fine
    largest = logits.amax(dim=-1, keepdim=True)  # NaN if any is
    if not largest.isfinite().all():
        raise ValueError(
            "the largest of the model's scores must be a finite number, "
            f"got {largest[~largest.isfinite()][0].item()}: its weights or its input are broken"
        )
    if temperature == 0.0:
        return F.one_hot(logits.argmax(dim=-1), logits.size(-1)).to(logits.dtype)
    # Less the largest, so that no small temperature can make them overflow.
    logits = (logits - largest) / _within(logits.dtype, temperature)
    if top_k is not None:
        lowest = logits.topk(min(top_k, logits.size(-1)), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < lowest, -math.inf)
    probabilities = logits.softmax(dim=-1)
    if top_p is None or top_p == 1.0:
        return probabilities
    return _nucleus(probabilities, _within(probabilities.dtype, top_p))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens, as few as reach `top_p`, and make them sum to 1 again."""
    falling, order = probabilities.sort(dim=-1, descending=True, stable=True)
    enough = falling.cumsum(dim=-1) - falling >= top_p  # what comes before it is enough
    kept = falling.masked_fill(enough, 0.0)
    kept = kept / kept.sum(dim=-1, keepdim=True)
    return torch.zeros_like(kept).scatter(-1, order, kept)


def _within(dtype: torch.dtype, number: float) -> float:
    """The nearest number that the dtype tells from 0 and from infinity."""
    limits = torch.finfo(dtype)
    return min(max(number, limits.tiny), limits.max)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

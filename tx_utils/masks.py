"""Masks: who may look at whom.

A mask is boolean and means the same thing everywhere in tx_utils: True = "may attend".
It broadcasts to (B, H, T_q, T_k), and masks combine with `&`: a position may be looked at
if every mask allows it. Source: Vaswani et al. (2017), section 3.2.3.
"""

import torch
from torch import Tensor

from tx_utils._checks import check_pad_id, check_positive, check_tokens


def causal_mask(length: int, *, device: torch.device | str | None = None) -> Tensor:
    """Let every position look at itself and at what came before, never ahead.

    Args:
        length: The number of positions, T.
        device: Where the mask is made; torch's default device if None.

    Returns:
        A lower triangle of True, diagonal included.  (T, T)

    Raises:
        ValueError: if `length` is not a positive integer.

    Example:
        >>> causal_mask(3).int().tolist()
        [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    check_positive(length=length)
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(tokens: Tensor, pad_id: int) -> Tensor:
    """Hide the padding: nobody may look at a position that only fills up the batch.

    Args:
        tokens: Token ids.  (B, T)
        pad_id: The id that stands for "no token here".

    Returns:
        True at real tokens; broadcasts over heads and over queries.  (B, 1, 1, T)

    Raises:
        ValueError: if `tokens` is not an integer tensor of shape (B, T), or `pad_id` no integer.

    Example:
        >>> padding_mask(torch.tensor([[5, 7, 0]]), pad_id=0).tolist()
        [[[[True, True, False]]]]
    """
    check_tokens(tokens)
    check_pad_id(pad_id)
    return (tokens != pad_id)[:, None, None, :]

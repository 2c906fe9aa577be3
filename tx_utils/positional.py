"""Positions: attention sees a set of tokens, so each token must carry its place.

`sinusoidal_encoding` is the paper's table of sines and cosines; `PositionalEncoding` adds it
to the embeddings, and `LearnedPositionalEncoding` adds a table that is learned instead.
Source: Vaswani et al. (2017), section 3.5.
"""

import math

import torch
from torch import Tensor, nn

from tx_utils._checks import check_dropout, check_features, check_positive


def sinusoidal_encoding(max_len: int, d_model: int) -> Tensor:
    """Give every position its own pattern of sines and cosines, from fast waves to slow ones.

    Column 2i of row p is sin(p / 10000^(2i/d_model)), column 2i+1 the cosine of the same angle.

    Args:
        max_len: Number of positions.
        d_model: Width of a pattern; may be odd (the last sine then has no cosine).

    Returns:
        One row per position, in torch's default dtype.  (max_len, d_model)

    Raises:
        ValueError: if a size is not a positive integer.

    Example:
        >>> sinusoidal_encoding(max_len=2, d_model=4)[0].tolist()  # sin 0, cos 0, sin 0, cos 0
        [0.0, 1.0, 0.0, 1.0]
    """
    check_positive(max_len=max_len, d_model=d_model)
    # In float64, since a float32 angle of 5000 radians is off in its fourth digit after the point.
    position = torch.arange(max_len, dtype=torch.float64)[:, None]
    even_columns = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position * torch.exp(-math.log(10_000.0) * even_columns / d_model)
    encoding = torch.empty(max_len, d_model, dtype=torch.float64)
    encoding[:, 0::2] = angle.sin()
    encoding[:, 1::2] = angle.cos()[:, : d_model // 2]
    return encoding.to(torch.get_default_dtype())


class PositionalEncoding(nn.Module):
    """Add the fixed sinusoids to the embeddings.

    Args:
        d_model: Width of a token's vector.
        max_len: The longest sequence that fits.
        dropout: Probability of zeroing an entry of the sum (paper, section 5.4).

    Raises:
        ValueError: if a size is not positive or `dropout` lies outside [0, 1).

    Example:
        >>> PositionalEncoding(d_model=4, max_len=9)(torch.zeros(1, 2, 4))[0, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """

    encoding: Tensor

    def __init__(self, d_model: int, *, max_len: int = 5000, dropout: float = 0.0) -> None:
        super().__init__()
        check_dropout(dropout)
        # Not persistent: the table follows from its two sizes, so no checkpoint needs to carry it.
        self.register_buffer("encoding", sinusoidal_encoding(max_len, d_model), persistent=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        """Add to each token the pattern of its position.

        Args:
            x: Embeddings of tokens that stand side by side.  (B, T, d_model)
            offset: Position of the first of them; more than 0 when a sequence comes in pieces.

        Returns:
            The sum, after dropout.  (B, T, d_model)

        Raises:
            ValueError: if the sequence runs past `max_len`, or the shape or `offset` is wrong.
        """
        return self.dropout(x + _rows(self.encoding, x, offset))


class LearnedPositionalEncoding(nn.Module):
    """Add a learned vector per position to the embeddings.

    The table starts as N(0, 1): as large as the scaled token embeddings that it is added to.

    Args:
        d_model: Width of a token's vector.
        max_len: The longest sequence that fits: there is no vector for a later position.
        dropout: Probability of zeroing an entry of the sum.

    Raises:
        ValueError: if a size is not positive or `dropout` lies outside [0, 1).

    Example:
        >>> positions = LearnedPositionalEncoding(d_model=4, max_len=9)
        >>> positions(torch.zeros(1, 2, 4)).shape, positions.weight.shape
        (torch.Size([1, 2, 4]), torch.Size([9, 4]))
    """

    def __init__(self, d_model: int, *, max_len: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_positive(max_len=max_len, d_model=d_model)
        check_dropout(dropout)
        self.weight = nn.Parameter(torch.randn(max_len, d_model))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        """Add to each token the vector of its position; arguments as in `PositionalEncoding`."""
        return self.dropout(x + _rows(self.weight, x, offset))


def _rows(table: Tensor, x: Tensor, offset: int) -> Tensor:
    """The rows of `table` for the positions offset ... offset + T - 1.  (T, d_model)."""
    max_len, d_model = table.shape
    check_features("x", x, d_model)
    if offset < 0:
        raise ValueError(f"offset must not be negative, got {offset}")
    end = offset + x.size(1)
    if end > max_len:
        raise ValueError(
            f"a sequence of length {x.size(1)} at offset {offset} needs {end} positions, "
            f"but max_len is {max_len}"
        )
    return table[offset:end]

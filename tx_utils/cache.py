"""The key-value cache: what attention has computed for the tokens so far, kept for the next one.

Keys and values of a token depend on it and on what came before it, so under a causal mask they
never change again. A cache is made to be written to: the one thing here that is edited in place.
Source: Shazeer (2019), "Fast Transformer Decoding", section 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive


@dataclass(frozen=True)
class LayerCache:
    """One attention layer's share of a `KVCache`.

    Attributes:
        keys: Room for the keys.      (B, H, max_len, d_head)
        values: Room for the values.  (B, H, max_len, d_head)
        length: How many positions were there before the tokens that are read now.
    """

    keys: Tensor
    values: Tensor
    length: int

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write down the new tokens' keys and values; get those of all tokens so far.

        Writing the same tokens twice changes nothing: only the whole cache moves on.

        Args:
            keys: Of the new tokens.    (B, H, T, d_head)
            values: Of the new tokens.  (B, H, T, d_head)

        Returns:
            All keys and all values, each (B, H, length + T, d_head).

        Raises:
            ValueError: if they do not fit into the room that is left.
        """
        end = self.check_room(keys)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        return self.keys[:, :, :end], self.values[:, :, :end]

    def check_room(self, keys: Tensor) -> int:
        """Say where new keys would end, or raise a ValueError if they don't fit."""
        end = self.length + keys.size(-2)
        room = self.keys[:, :, self.length : end]
        # Checked here, since torch would fill the room with copies of a lone sequence or head.
        if keys.shape != room.shape:
            raise ValueError(
                f"keys {tuple(keys.shape)} do not fit the room that the cache has for them, "
                f"{tuple(room.shape)}"
            )
        return end


class KVCache:
    """The keys and values of every layer, in memory that is claimed once.

    `GPT.new_cache` makes one that fits a model.

    Args:
        num_layers: Attention layers.
        batch_size: Sequences that are written side by side, B.
        num_heads: Heads per layer, H.
        max_len: Positions that fit.
        d_head: Width of a head.
        dtype: Of the numbers; torch's default if None.
        device: Where they are; torch's default if None.

    Raises:
        ValueError: if a size is not a positive integer.

    Example:
        >>> cache = KVCache(num_layers=2, batch_size=1, num_heads=3, max_len=5, d_head=4)
        >>> cache.length, cache.nbytes  # 2 for keys and values, 4 bytes a number
        (0, 960)
    """

    def __init__(
        self,
        num_layers: int,
        batch_size: int,
        num_heads: int,
        max_len: int,
        d_head: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        sizes = (num_layers, batch_size, num_heads, max_len, d_head)
        names = ("num_layers", "batch_size", "num_heads", "max_len", "d_head")
        check_positive(**dict(zip(names, sizes, strict=True)))
        self.keys = torch.zeros(sizes, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        self.length = 0

    @property
    def max_len(self) -> int:
        """How many positions fit."""
        return self.keys.size(-2)

    @property
    def nbytes(self) -> int:
        """Memory claimed, in bytes, full or empty."""
        return self.keys.nbytes + self.values.nbytes

    def layer(self, index: int) -> LayerCache:
        """The share of one attention layer."""
        return LayerCache(self.keys[index], self.values[index], self.length)

    def advance(self, count: int) -> None:
        """Count `count` more positions as known, once every layer has written them."""
        self.length += count

    def reset(self) -> None:
        """Forget everything; the memory stays claimed."""
        self.length = 0

    def check_fits(self, num_layers: int, batch_size: int, d_model: int, count: int) -> None:
        """Raise a ValueError unless a model of that size can read `count` more tokens with it."""
        layers, batch, heads, _, d_head = self.keys.shape
        if (layers, heads * d_head) != (num_layers, d_model):
            raise ValueError(
                f"the cache is for {layers} layers of width {heads * d_head}, "
                f"but the model has {num_layers} of width {d_model}"
            )
        if batch != batch_size:
            raise ValueError(f"the cache is for {batch} sequences, got {batch_size}")
        if self.length + count > self.max_len:
            raise ValueError(
                f"the cache holds {self.length} of at most {self.max_len} positions: "
                f"no room for {count} more"
            )

"""Stacks: layers one after the other, over tokens that are embedded already.

Source: Vaswani et al. (2017), section 3.1.
"""

from typing import Any

from torch import Tensor, nn

from tx_utils.cache import KVCache
from tx_utils.configs import StackConfig
from tx_utils.layers import DecoderLayer, EncoderLayer
from tx_utils.normalization import LayerNorm


class Encoder(nn.Module):
    """A stack of encoder layers over embedded tokens.

    Pre-norm layers leave the sum of the residual stream unnormalised, so a final norm follows
    them; after post-norm layers there is none (`norm` is None).

    Args:
        config: Any of the models' configs.

    Example:
        >>> import torch
        >>> from tx_utils import TransformerConfig
        >>> config = TransformerConfig(9, 9, d_model=4, num_heads=2, num_layers=2, d_ff=8)
        >>> Encoder(config)(torch.zeros(1, 3, 4)).shape
        torch.Size([1, 3, 4])
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        # Each layer is built on its own: copies of one layer would start equal.
        self.layers = nn.ModuleList(
            EncoderLayer(**_layer_arguments(config)) for _ in range(config.num_layers)
        )
        self.norm = _final_norm(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Update every token, layer by layer.

        Args:
            x: The tokens' vectors.                       (B, T, d_model)
            mask: True = may attend.                      (B, H, T, T)
            is_causal: Whether no token looks ahead.
            cache: Keys and values of the tokens before x; those of x are added to it.

        Returns:
            The tokens' new vectors.  (B, T, d_model)

        Raises:
            ValueError: if a shape does not fit, or the cache is one for another model or another
                number of sequences, or is full.
        """
        if cache is not None:
            batch, length, d_model = x.shape
            cache.check_fits(len(self.layers), batch, d_model, length)
        for index, layer in enumerate(self.layers):
            share = None if cache is None else cache.layer(index)
            x = layer(x, mask, is_causal=is_causal, cache=share)
        if cache is not None:
            cache.advance(x.size(1))
        return x if self.norm is None else self.norm(x)


class Decoder(nn.Module):
    """A stack of decoder layers over embedded target tokens, reading from the encoder's memory.

    Args:
        config: A `TransformerConfig`.

    Example:
        >>> import torch
        >>> from tx_utils import TransformerConfig
        >>> config = TransformerConfig(9, 9, d_model=4, num_heads=2, num_layers=2, d_ff=8)
        >>> Decoder(config)(torch.zeros(1, 3, 4), memory=torch.zeros(1, 5, 4)).shape
        torch.Size([1, 3, 4])
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(**_layer_arguments(config)) for _ in range(config.num_layers)
        )
        self.norm = _final_norm(config)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        self_mask: Tensor | None = None,
        cross_mask: Tensor | None = None,
    ) -> Tensor:
        """Update every target token, layer by layer; arguments as in `DecoderLayer`."""
        for layer in self.layers:
            x = layer(x, memory, self_mask, cross_mask)
        return x if self.norm is None else self.norm(x)


def _layer_arguments(config: StackConfig) -> dict[str, Any]:
    names = ("d_model", "num_heads", "d_ff", "dropout", "activation", "norm_first", "norm_eps")
    return {name: getattr(config, name) for name in names}


def _final_norm(config: StackConfig) -> LayerNorm | None:
    return LayerNorm(config.d_model, eps=config.norm_eps) if config.norm_first else None

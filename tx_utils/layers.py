"""Layers: attention and feed-forward, each wrapped in a residual connection and a LayerNorm.

Source: Vaswani et al. (2017), section 3.1 and figure 1.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from tx_utils._checks import check_dropout
from tx_utils.attention import MultiHeadAttention
from tx_utils.cache import LayerCache
from tx_utils.feed_forward import FeedForward
from tx_utils.normalization import LayerNorm


class Residual(nn.Module):
    """Add what a sublayer says to what was there before, and keep the size in check.

    The only place that knows the two orders of the norm: the paper's post-norm
    `norm(x + dropout(sublayer(x)))`, and today's pre-norm `x + dropout(sublayer(norm(x)))`.

    Args:
        d_model: Width of a token's vector.
        dropout: Probability of zeroing an entry of the sublayer's output (paper, section 5.4).
        norm_first: False for post-norm, True for pre-norm.
        norm_eps: The LayerNorm's eps.

    Raises:
        ValueError: if `d_model` is not positive or `dropout` lies outside [0, 1).

    Example:
        >>> import torch
        >>> x = torch.randn(1, 2, 4)
        >>> stays = Residual(4, norm_first=True)(x, torch.zeros_like)  # the sublayer adds nothing
        >>> torch.equal(stays, x)
        True
    """

    def __init__(
        self,
        d_model: int,
        *,
        dropout: float = 0.0,
        norm_first: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        self.norm = LayerNorm(d_model, eps=norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Run `sublayer`, which keeps the shape, around the residual.  (B, T, d_model)."""
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward: tokens exchange information, then each one thinks.

    Args:
        d_model: Width of a token's vector.
        num_heads: Attention heads; divides `d_model`.
        d_ff: Width of the feed-forward network's hidden layer.
        dropout: Probability for the sublayers' outputs; nothing else is dropped.
        activation: The feed-forward network's: "relu", "gelu" or "gelu_tanh".
        norm_first: False for the paper's post-norm, True for pre-norm.
        norm_eps: The LayerNorms' eps.

    Raises:
        ValueError: as the parts do.

    Example:
        >>> import torch
        >>> EncoderLayer(d_model=4, num_heads=2, d_ff=8)(torch.zeros(1, 3, 4)).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        activation: str = "relu",
        norm_first: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        residual = partial(
            Residual, d_model, dropout=dropout, norm_first=norm_first, norm_eps=norm_eps
        )
        self.self_attention = MultiHeadAttention(d_model, num_heads)
        self.attention_residual = residual()
        self.feed_forward = FeedForward(d_model, d_ff, activation=activation)
        self.feed_forward_residual = residual()

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Update every token.

        Args:
            x: The tokens' vectors.                       (B, T, d_model)
            mask: True = may attend.                      (B, H, T, T)
            is_causal: Whether no token looks ahead.
            cache: Keys and values of the tokens before x, as in `MultiHeadAttention`.

        Returns:
            The tokens' new vectors.  (B, T, d_model)
        """
        attention = partial(self.self_attention, mask=mask, is_causal=is_causal, cache=cache)
        x = self.attention_residual(x, lambda x: attention(x, x, x))
        return self.feed_forward_residual(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the encoder's memory, then feed-forward.

    Arguments, errors and their meaning are those of `EncoderLayer`.

    Example:
        >>> import torch
        >>> layer = DecoderLayer(d_model=4, num_heads=2, d_ff=8)
        >>> layer(torch.zeros(1, 3, 4), memory=torch.zeros(1, 5, 4)).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        *,
        dropout: float = 0.0,
        activation: str = "relu",
        norm_first: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        residual = partial(
            Residual, d_model, dropout=dropout, norm_first=norm_first, norm_eps=norm_eps
        )
        self.self_attention = MultiHeadAttention(d_model, num_heads)
        self.self_attention_residual = residual()
        self.cross_attention = MultiHeadAttention(d_model, num_heads)
        self.cross_attention_residual = residual()
        self.feed_forward = FeedForward(d_model, d_ff, activation=activation)
        self.feed_forward_residual = residual()

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        self_mask: Tensor | None = None,
        cross_mask: Tensor | None = None,
    ) -> Tensor:
        """Update every target token.

        Args:
            x: The target's vectors.                                      (B, T_q, d_model)
            memory: The encoder's output, read by cross-attention.        (B, T_k, d_model)
            self_mask: Which target position may look at which.           (B, H, T_q, T_q)
            cross_mask: Which target position may look at which source.   (B, H, T_q, T_k)

        Returns:
            The target's new vectors.  (B, T_q, d_model)
        """
        x = self.self_attention_residual(x, lambda x: self.self_attention(x, x, x, self_mask))
        x = self.cross_attention_residual(
            x, lambda x: self.cross_attention(x, memory, memory, cross_mask)
        )
        return self.feed_forward_residual(x, self.feed_forward)

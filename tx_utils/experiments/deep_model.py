"""The model of lesson 05: encoder layers with any join around their sublayers.

The join is the rule by which what a sublayer says meets what was there before: with or without a
residual, with or without a norm.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from tx_utils.attention import MultiHeadAttention
from tx_utils.feed_forward import FeedForward
from tx_utils.layers import Residual
from tx_utils.normalization import LayerNorm
from tx_utils.positional import LearnedPositionalEncoding


class Replace(nn.Module):
    """No residual and no norm: the sublayer's word replaces what was there."""

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        return sublayer(x)


class ReplaceAndNorm(nn.Module):
    """A norm and no residual."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm = LayerNorm(d_model)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        return self.norm(sublayer(x))


class Add(nn.Module):
    """A residual and no norm: the sublayer's word is added."""

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        return x + sublayer(x)


JOINS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: Replace(),
    "norm only": ReplaceAndNorm,
    "residual only": lambda _: Add(),
    "post-norm": Residual,
    "pre-norm": partial(Residual, norm_first=True),
}


class JoinedLayer(nn.Module):
    """An encoder layer with any join around its two sublayers.

    Args:
        join: One of `JOINS`.
        d_model: Width of a token's vector.
        num_heads: Attention heads.
        d_ff: Width of the feed-forward network's hidden layer.
    """

    def __init__(self, join: str, d_model: int, num_heads: int, d_ff: int) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, num_heads)
        self.attention_join = JOINS[join](d_model)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.feed_forward_join = JOINS[join](d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Update every token.  (B, T, d_model) -> (B, T, d_model)."""
        x = self.attention_join(x, lambda x: self.self_attention(x, x, x))
        out: Tensor = self.feed_forward_join(x, self.feed_forward)
        return out


class DeepModel(nn.Module):
    """Embed tokens and positions, pass them through many layers, read off a token.

    Args:
        join: One of `JOINS`.
        num_layers: Layers; each has two sublayers.
        vocab_size: Number of tokens.
        max_len: The longest sequence.
        d_model: Width of a token's vector.
        num_heads: Attention heads.
        d_ff: Width of the feed-forward networks' hidden layers.

    Example:
        >>> import torch
        >>> model = DeepModel("pre-norm", 3, 16, 8, d_model=4, num_heads=1, d_ff=8)
        >>> tokens = torch.zeros(2, 8, dtype=torch.long)
        >>> model(tokens).shape, len(model.stream(tokens))
        (torch.Size([2, 8, 16]), 4)
    """

    def __init__(
        self,
        join: str,
        num_layers: int,
        vocab_size: int,
        max_len: int,
        *,
        d_model: int,
        num_heads: int,
        d_ff: int,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.positions = LearnedPositionalEncoding(d_model, max_len=max_len)
        self.layers = nn.ModuleList(
            JoinedLayer(join, d_model, num_heads, d_ff) for _ in range(num_layers)
        )
        # Pre-norm leaves the sum itself unnormalised, so one last norm follows it.
        self.norm = LayerNorm(d_model) if join == "pre-norm" else nn.Identity()
        self.readout = nn.Linear(d_model, vocab_size)

    def stream(self, tokens: Tensor, without: int | None = None) -> list[Tensor]:
        """The tokens' vectors as embedded and after each layer.

        Args:
            tokens: Token ids.  (B, T)
            without: Number of a layer to leave out, from 0 on.

        Returns:
            One tensor more than there are layers in use, (B, T, d_model) each.
        """
        states = [self.positions(self.embedding(tokens))]
        for number, layer in enumerate(self.layers):
            if number != without:
                states.append(layer(states[-1]))
        return states

    def forward(self, tokens: Tensor, without: int | None = None) -> Tensor:
        """Score every token as the answer at every position.  (B, T) -> (B, T, vocab_size)."""
        logits: Tensor = self.readout(self.norm(self.stream(tokens, without)[-1]))
        return logits

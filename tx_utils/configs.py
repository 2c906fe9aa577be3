"""The sizes of a model, in one frozen object that refuses nonsense.

The paper's N is `num_layers`, its h `num_heads`. Its base model is `TransformerConfig`'s default.
"""

from dataclasses import dataclass
from typing import Protocol

from tx_utils._checks import (
    check_divisible,
    check_dropout,
    check_eps,
    check_pad_id,
    check_positive,
    check_switches,
)
from tx_utils.feed_forward import check_activation


class StackConfig(Protocol):
    """What a stack of layers needs to know; both configs below have it."""

    @property
    def d_model(self) -> int: ...  # noqa: D102
    @property
    def num_heads(self) -> int: ...  # noqa: D102
    @property
    def num_layers(self) -> int: ...  # noqa: D102
    @property
    def d_ff(self) -> int: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102
    @property
    def norm_first(self) -> bool: ...  # noqa: D102
    @property
    def norm_eps(self) -> float: ...  # noqa: D102


def _check_stack(config: StackConfig) -> None:
    check_divisible(config.d_model, config.num_heads)
    check_positive(num_layers=config.num_layers, d_ff=config.d_ff)
    check_dropout(config.dropout)
    check_activation(config.activation)
    check_eps(norm_eps=config.norm_eps)
    check_switches(norm_first=config.norm_first)


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes and choices of an encoder-decoder `Transformer`.

    Attributes:
        source_vocab_size: Number of different source tokens.
        target_vocab_size: Number of different target tokens.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer; divides `d_model`.
        num_layers: Layers of the encoder, and as many of the decoder.
        d_ff: Width of the feed-forward network's hidden layer.
        max_len: The longest source or target.
        dropout: Probability for sublayer outputs and for embeddings plus positions.
        activation: "relu", "gelu" or "gelu_tanh".
        norm_first: False for the paper's post-norm, True for pre-norm.
        pad_id: The id that fills up shorter sequences, in both languages; padding is on the right.
        tie_weights: Whether the output projection shares the target embedding's table. (The paper
            shares the source's too, which takes one vocabulary for both languages.)
        scale_embedding: Whether embeddings are multiplied by sqrt(d_model).
        norm_eps: The LayerNorms' eps.

    Raises:
        ValueError: if a value is out of range; the message names it.

    Example:
        >>> TransformerConfig(35, 36, d_model=64, num_heads=4).d_ff
        2048
    """

    source_vocab_size: int
    target_vocab_size: int
    d_model: int = 512
    num_heads: int = 8
    num_layers: int = 6
    d_ff: int = 2048
    max_len: int = 512
    dropout: float = 0.1
    activation: str = "relu"
    norm_first: bool = False
    pad_id: int = 0
    tie_weights: bool = True
    scale_embedding: bool = True
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse values that no model can be built from."""
        _check_stack(self)
        check_positive(
            source_vocab_size=self.source_vocab_size,
            target_vocab_size=self.target_vocab_size,
            max_len=self.max_len,
        )
        check_switches(tie_weights=self.tie_weights, scale_embedding=self.scale_embedding)
        check_pad_id(self.pad_id)
        smaller = min(self.source_vocab_size, self.target_vocab_size)
        if not 0 <= self.pad_id < smaller:
            raise ValueError(
                f"pad_id must lie in both vocabularies, [0, {smaller}), got {self.pad_id}"
            )


@dataclass(frozen=True)
class GPTConfig:
    """The sizes and choices of a decoder-only `GPT`.

    Attributes:
        vocab_size: Number of different tokens.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer; divides `d_model`.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward network's hidden layer.
        max_len: The longest sequence; positions are learned up to it.
        dropout: Probability for sublayer outputs and for embeddings plus positions.
        activation: "relu", "gelu" or "gelu_tanh".
        tie_weights: Whether the output projection shares the token embedding's table.
        scale_embedding: Whether embeddings are multiplied by sqrt(d_model); GPT-2's are not.
        norm_eps: The LayerNorms' eps.

    Raises:
        ValueError: if a value is out of range; the message names it.

    Example:
        >>> GPTConfig(65, d_model=64, num_heads=4, num_layers=2, d_ff=256, max_len=32).norm_first
        True
    """

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    d_ff: int
    max_len: int
    dropout: float = 0.0
    activation: str = "gelu"
    tie_weights: bool = True
    scale_embedding: bool = True
    norm_eps: float = 1e-5

    @property
    def norm_first(self) -> bool:
        """A GPT is pre-norm, always."""
        return True

    def __post_init__(self) -> None:
        """Refuse values that no model can be built from."""
        _check_stack(self)
        check_positive(vocab_size=self.vocab_size, max_len=self.max_len)
        check_switches(tie_weights=self.tie_weights, scale_embedding=self.scale_embedding)

"""The sizes of a decoder-only `GPT`."""

from dataclasses import dataclass

from tx_utils._checks import check_positive, check_switches
from tx_utils.configs.stack import check_stack


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
        check_stack(self)
        check_positive(vocab_size=self.vocab_size, max_len=self.max_len)
        check_switches(tie_weights=self.tie_weights, scale_embedding=self.scale_embedding)

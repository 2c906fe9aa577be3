"""The sizes of an encoder-only `BERT`."""

from dataclasses import dataclass

from tx_utils._checks import check_positive
from tx_utils.configs.stack import check_stack


@dataclass(frozen=True)
class BERTConfig:
    """The sizes and choices of an encoder-only `BERT`.

    Attributes:
        vocab_size: Number of different tokens.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer; divides `d_model`.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward network's hidden layer.
        max_len: The longest sequence; positions are learned up to it.
        num_token_types: Number of different segments that a token may belong to.
        dropout: Probability for sublayer outputs and for the normalised embeddings.
        activation: "relu", "gelu" or "gelu_tanh".
        norm_first: False for BERT's post-norm, True for pre-norm.
        norm_eps: The LayerNorms' eps; BERT's is much smaller than torch's.

    Raises:
        ValueError: if a value is out of range; the message names it.

    Example:
        >>> BERTConfig(65, d_model=64, num_heads=4, num_layers=2, d_ff=256, max_len=32).activation
        'gelu'
    """

    vocab_size: int
    d_model: int
    num_heads: int
    num_layers: int
    d_ff: int
    max_len: int
    num_token_types: int = 2
    dropout: float = 0.0
    activation: str = "gelu"
    norm_first: bool = False
    norm_eps: float = 1e-12

    def __post_init__(self) -> None:
        """Refuse values that no model can be built from."""
        check_stack(self)
        check_positive(
            vocab_size=self.vocab_size,
            max_len=self.max_len,
            num_token_types=self.num_token_types,
        )

"""The sizes of an encoder-decoder `Transformer`."""

from dataclasses import dataclass

from tx_utils._checks import check_pad_id, check_positive, check_switches
from tx_utils.configs.stack import check_stack


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
        check_stack(self)
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

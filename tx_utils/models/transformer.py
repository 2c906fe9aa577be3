"""The encoder-decoder of 2017. Source: Vaswani et al. (2017), section 3, figure 1."""

from torch import Tensor, nn

from tx_utils._checks import check_features, check_tokens
from tx_utils.configs import TransformerConfig
from tx_utils.masks import causal_mask, padding_mask
from tx_utils.models.parts import embedding, output_proj, xavier_
from tx_utils.positional import PositionalEncoding
from tx_utils.stacks import Decoder, Encoder


class Transformer(nn.Module):
    """The encoder-decoder of 2017: read a source sequence, write a target sequence.

    Args:
        config: Sizes and choices.

    Example:
        >>> import torch
        >>> config = TransformerConfig(11, 13, d_model=8, num_heads=2, num_layers=1, d_ff=16)
        >>> source, target = torch.ones(1, 5, dtype=torch.long), torch.ones(1, 3, dtype=torch.long)
        >>> Transformer(config)(source, target).shape
        torch.Size([1, 3, 13])
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.source_embedding = embedding(config.source_vocab_size, config)
        self.target_embedding = embedding(config.target_vocab_size, config)
        self.positions = PositionalEncoding(
            config.d_model, max_len=config.max_len, dropout=config.dropout
        )
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        xavier_(self.encoder)
        xavier_(self.decoder)
        self.output_proj = output_proj(self.target_embedding, tie=config.tie_weights)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next token at every target position (teacher forcing).

        Args:
            source: Source ids, padded on the right with `pad_id`.  (B, T_source)
            target: Target ids known so far, start token first.     (B, T_target)

        Returns:
            Logits for the token that follows each target position.
            (B, T_target, target_vocab_size)

        Raises:
            ValueError: if the ids are no integers, out of range, or run past `max_len`.
        """
        return self.decode(target, self.encode(source), source)

    def encode(self, source: Tensor) -> Tensor:
        """Read the source once.  (B, T_source) -> memory (B, T_source, d_model)."""
        x = self.positions(self.source_embedding(source))
        return self.encoder(x, self.source_mask(source))

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """Score the next target tokens, given the encoder's memory.

        Args:
            target: Target ids known so far.               (B, T_target)
            memory: What `encode(source)` returned.        (B, T_source, d_model)
            source: The source ids, for their padding only.  (B, T_source)

        Returns:
            Logits.  (B, T_target, target_vocab_size)
        """
        check_tokens(source)
        check_features("memory", memory, self.config.d_model)
        if memory.shape[:2] != source.shape:
            raise ValueError(
                f"memory {tuple(memory.shape)} does not belong to source {tuple(source.shape)}"
            )
        x = self.positions(self.target_embedding(target))
        if target.size(0) != source.size(0):
            raise ValueError(
                f"source and target must share one batch size, got {source.size(0)} and "
                f"{target.size(0)}"
            )
        self_mask = causal_mask(target.size(1), device=target.device) & padding_mask(
            target, self.config.pad_id
        )
        x = self.decoder(x, memory, self_mask, self.source_mask(source))
        return self.output_proj(x)

    def source_mask(self, source: Tensor) -> Tensor:
        """Which source positions may be read: all but padding.  (B, 1, 1, T_source)."""
        return padding_mask(source, self.config.pad_id)

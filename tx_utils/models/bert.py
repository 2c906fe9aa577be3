"""The encoder-only reader of text. Source: Devlin et al. (2019), section 3 and figure 2."""

import torch
from torch import Tensor, nn

from tx_utils._checks import check_tokens
from tx_utils.configs import BERTConfig
from tx_utils.embedding import TokenEmbedding
from tx_utils.models.parts import xavier_
from tx_utils.normalization import LayerNorm
from tx_utils.positional import LearnedPositionalEncoding
from tx_utils.stacks import Encoder


class BERT(nn.Module):
    """The encoder alone: every token's vector, in the light of all others on both sides.

    What it is good for is up to a layer on top: one that names hidden words, or one that
    classifies what stands in the first token.

    Args:
        config: Sizes and choices.

    Example:
        >>> config = BERTConfig(13, d_model=8, num_heads=2, num_layers=1, d_ff=16, max_len=5)
        >>> BERT(config)(torch.ones(1, 5, dtype=torch.long)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, config: BERTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocab_size, config.d_model, scale=False)
        self.positions = LearnedPositionalEncoding(config.d_model, max_len=config.max_len)
        self.token_types = TokenEmbedding(config.num_token_types, config.d_model, scale=False)
        # Positions start as large as the embeddings they join; the norm sees to the size.
        nn.init.normal_(self.positions.weight, std=config.d_model**-0.5)
        self.norm = LayerNorm(config.d_model, eps=config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(config)
        xavier_(self.encoder)

    def forward(
        self, tokens: Tensor, token_types: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Read a batch of sequences.

        Args:
            tokens: Token ids.                                                      (B, T)
            token_types: The segment of each token; all 0 if None.                  (B, T)
            mask: True at tokens that may be looked at: all if None.  (B, T), or what
                `padding_mask` makes (B, 1, 1, T), or any other 4-D one for (B, H, T, T).

        Returns:
            The hidden states.  (B, T, d_model)

        Raises:
            ValueError: if ids or token types are no integers or out of range, the sequence runs
                past `max_len`, or the mask is not boolean or does not fit.
        """
        check_tokens(tokens)
        if token_types is None:
            token_types = torch.zeros_like(tokens)
        _check_types(token_types, tokens)
        x = self.positions(self.embedding(tokens)) + self.token_types(token_types)
        return self.encoder(self.dropout(self.norm(x)), _attention_mask(mask, tokens))


def _check_types(token_types: Tensor, tokens: Tensor) -> None:
    if token_types.shape != tokens.shape:
        raise ValueError(
            f"token_types must have the shape of tokens, {tuple(tokens.shape)}, "
            f"got {tuple(token_types.shape)}"
        )


def _attention_mask(mask: Tensor | None, tokens: Tensor) -> Tensor | None:
    """A mask of tokens (B, T) as one of keys (B, 1, 1, T); one of four dimensions as it is."""
    if mask is None or mask.dim() == 4:
        return mask
    if mask.dim() != 2:
        raise ValueError(f"mask must be (B, T) or 4-D, got shape {tuple(mask.shape)}")
    if mask.shape != tokens.shape:
        raise ValueError(
            f"a mask of two dimensions must have the shape of tokens, "
            f"{tuple(tokens.shape)}, got {tuple(mask.shape)}"
        )
    return mask[:, None, None, :]

"""The decoder-only model. Source: Radford et al. (2019), section 2.3."""

from torch import Tensor, nn

from tx_utils._checks import check_positive
from tx_utils.cache import KVCache
from tx_utils.configs import GPTConfig
from tx_utils.models.parts import embedding, output_proj, xavier_
from tx_utils.positional import LearnedPositionalEncoding
from tx_utils.stacks import Encoder


class GPT(nn.Module):
    """The decoder-only model: continue a sequence, one token after the other.

    Without an encoder to read from, its layers are pre-norm encoder layers under the causal mask.

    Args:
        config: Sizes and choices.

    Example:
        >>> import torch
        >>> config = GPTConfig(13, d_model=8, num_heads=2, num_layers=1, d_ff=16, max_len=5)
        >>> GPT(config)(torch.ones(1, 5, dtype=torch.long)).shape
        torch.Size([1, 5, 13])
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding(config.vocab_size, config)
        self.positions = LearnedPositionalEncoding(
            config.d_model, max_len=config.max_len, dropout=config.dropout
        )
        if not config.scale_embedding:  # positions start as large as the embeddings they join
            nn.init.normal_(self.positions.weight, std=config.d_model**-0.5)
        self.encoder = Encoder(config)
        xavier_(self.encoder)
        self.output_proj = output_proj(self.embedding, tie=config.tie_weights)

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Score the next token at every position.

        Args:
            tokens: Token ids; with a cache, those that come after what it holds.  (B, T)
            cache: What `new_cache` made; it then holds these tokens too. Under `torch.no_grad()`.

        Returns:
            Logits for the token that follows each position.  (B, T, vocab_size)

        Raises:
            ValueError: if the ids are no integers, out of range, or run past `max_len`, or the
                cache is full, or for another model or another number of sequences.
        """
        past = 0 if cache is None else cache.length
        x = self.positions(self.embedding(tokens), offset=past)
        return self.output_proj(self.encoder(x, is_causal=True, cache=cache))

    def new_cache(self, batch_size: int = 1, max_len: int | None = None) -> KVCache:
        """Claim the memory for keys and values, so that no token need be read twice.

        It is for generation, under `torch.no_grad()`.

        Args:
            batch_size: Sequences that are written side by side, B.
            max_len: The longest of them; the model's `max_len` if None.

        Raises:
            ValueError: if a size is not a positive integer, or `max_len` above the model's.
        """
        config = self.config
        max_len = config.max_len if max_len is None else max_len
        check_positive(max_len=max_len)
        if max_len > config.max_len:
            raise ValueError(
                f"max_len must be at most the model's ({config.max_len}), got {max_len}"
            )
        weight = self.embedding.weight
        return KVCache(
            config.num_layers,
            batch_size,
            config.num_heads,
            max_len,
            config.d_model // config.num_heads,
            dtype=weight.dtype,
            device=weight.device,
        )

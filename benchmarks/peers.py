"""Peers in plain torch, in the forms that their authors describe; the code is our own.

All are pre-norm GPTs of one size: learned positions, exact GELU, an output projection tied to the
embedding, no dropout. They map tokens (B, T) to logits (B, T, vocab).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import GPTConfig, TransformerConfig, sinusoidal_encoding


class FusedProjectionBlock(nn.Module):
    """nanoGPT's layer: one matrix for query, key and value, then the causal fused kernel."""

    def __init__(self, d_model: int, num_heads: int, d_ff: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(d_model)
        self.qkv_proj = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Update every token.  x and result: (B, T, d_model)."""
        qkv = self.qkv_proj(self.norm1(x)).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out_proj(heads.transpose(1, 2).flatten(-2))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class EmbeddedGPT(nn.Module):
    """Embedding and positions before a stack of layers, a norm and the tied projection after it."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.max_len, config.d_model)
        nn.init.normal_(self.embedding.weight, std=config.d_model**-0.5)
        self.norm = nn.LayerNorm(config.d_model)

    def layers(self, x: Tensor) -> Tensor:
        """The stack.  (B, T, d_model) -> (B, T, d_model)."""
        raise NotImplementedError

    def forward(self, tokens: Tensor) -> Tensor:
        """Score the next token at every position.  (B, T) -> (B, T, vocab)."""
        places = torch.arange(tokens.size(1), device=tokens.device)
        x = self.layers(self.embedding(tokens) + self.positions(places))
        return F.linear(self.norm(x), self.embedding.weight)


class NanoGPT(EmbeddedGPT):
    """The design of Andrej Karpathy's nanoGPT, after its description."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        self.blocks = nn.Sequential(
            *(
                FusedProjectionBlock(config.d_model, config.num_heads, config.d_ff)
                for _ in range(config.num_layers)
            )
        )

    def layers(self, x: Tensor) -> Tensor:
        """Block after block."""
        return self.blocks(x)


class TorchGPT(EmbeddedGPT):
    """torch's own layers: `nn.TransformerEncoder` under a causal mask."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        layer = nn.TransformerEncoderLayer(
            *(config.d_model, config.num_heads, config.d_ff),
            dropout=0.0,
            activation="gelu",
            norm_first=True,
            batch_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.num_layers, enable_nested_tensor=False)

    def layers(self, x: Tensor) -> Tensor:
        """Layer after layer; torch wants the mask although its kernel then does without."""
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        return self.encoder(x, mask=mask, is_causal=True)


class TorchTransformer(nn.Module):
    """`nn.Transformer` with what it lacks: embeddings, sinusoidal positions, output projection."""

    encoding: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pad_id = config.pad_id
        self.source_embedding = nn.Embedding(config.source_vocab_size, config.d_model)
        self.target_embedding = nn.Embedding(config.target_vocab_size, config.d_model)
        encoding = sinusoidal_encoding(config.max_len, config.d_model)
        self.register_buffer("encoding", encoding, persistent=False)
        self.transformer = nn.Transformer(
            *(config.d_model, config.num_heads, config.num_layers, config.num_layers, config.d_ff),
            dropout=0.0,
            activation=config.activation,
            batch_first=True,
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next target token.  (B, T_source), (B, T_target) -> (B, T_target, vocab)."""
        length = target.size(1)
        # Boolean, True = may not look, like the padding's: torch refuses to mix kinds.
        ahead = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)
        source_padding = source == self.pad_id
        x = self.transformer(
            self.source_embedding(source) + self.encoding[: source.size(1)],
            self.target_embedding(target) + self.encoding[:length],
            tgt_mask=ahead,
            src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target == self.pad_id,
            memory_key_padding_mask=source_padding,
            tgt_is_causal=True,
        )
        return F.linear(x, self.target_embedding.weight)

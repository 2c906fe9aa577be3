"""The tested parts of 'Transformers from scratch, proved step by step'."""

from tx_utils.attention import MultiHeadAttention, scaled_dot_product_attention
from tx_utils.configs import GPTConfig, TransformerConfig
from tx_utils.embedding import TokenEmbedding
from tx_utils.feed_forward import FeedForward
from tx_utils.layers import DecoderLayer, EncoderLayer, Residual
from tx_utils.masks import causal_mask, padding_mask
from tx_utils.models import GPT, Decoder, Encoder, Transformer
from tx_utils.normalization import LayerNorm, layer_norm
from tx_utils.positional import (
    LearnedPositionalEncoding,
    PositionalEncoding,
    sinusoidal_encoding,
)
from tx_utils.recording import record_attention
from tx_utils.training import (
    EarlyStopping,
    History,
    NonFiniteLossError,
    TokenCrossEntropy,
    best_device,
    evaluate,
    load_checkpoint,
    save_checkpoint,
    seed_everything,
    token_accuracy,
    train,
    train_step,
    warmup_cosine,
    warmup_inverse_sqrt,
)

__all__ = [
    "GPT",
    "Decoder",
    "DecoderLayer",
    "EarlyStopping",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "GPTConfig",
    "History",
    "LayerNorm",
    "LearnedPositionalEncoding",
    "MultiHeadAttention",
    "NonFiniteLossError",
    "PositionalEncoding",
    "Residual",
    "TokenCrossEntropy",
    "TokenEmbedding",
    "Transformer",
    "TransformerConfig",
    "best_device",
    "causal_mask",
    "evaluate",
    "layer_norm",
    "load_checkpoint",
    "padding_mask",
    "record_attention",
    "save_checkpoint",
    "scaled_dot_product_attention",
    "seed_everything",
    "sinusoidal_encoding",
    "token_accuracy",
    "train",
    "train_step",
    "warmup_cosine",
    "warmup_inverse_sqrt",
]

"""The tested parts of 'Transformers from scratch, proved step by step'."""

import importlib
from typing import TYPE_CHECKING, Any

from tx_utils.attention import MultiHeadAttention, scaled_dot_product_attention
from tx_utils.cache import KVCache
from tx_utils.configs import BERTConfig, GPTConfig, TransformerConfig, ViTConfig
from tx_utils.embedding import TokenEmbedding
from tx_utils.feed_forward import FeedForward
from tx_utils.generation import (
    beam_search,
    exact_match,
    generate,
    greedy_decode,
    sampling_distribution,
)
from tx_utils.layers import DecoderLayer, EncoderLayer, Residual
from tx_utils.masks import causal_mask, padding_mask
from tx_utils.models import BERT, GPT, Transformer, ViT, split_patches
from tx_utils.normalization import LayerNorm, layer_norm
from tx_utils.positional import (
    LearnedPositionalEncoding,
    PositionalEncoding,
    sinusoidal_encoding,
)
from tx_utils.recording import record_attention
from tx_utils.stacks import Decoder, Encoder
from tx_utils.training import (
    EarlyStopping,
    History,
    NonFiniteLossError,
    TokenAccuracy,
    TokenCrossEntropy,
    best_device,
    check_environment,
    evaluate,
    load_checkpoint,
    save_checkpoint,
    seed_everything,
    train,
    train_step,
    warmup_cosine,
    warmup_inverse_sqrt,
)

if TYPE_CHECKING:
    from tx_utils.plotting import (
        plot_attention,
        plot_loss,
        plot_mask,
        plot_positional_encoding,
        use_style,
    )

# Found on first use, so that who draws nothing need not wait for matplotlib.
_PLOTTING = {"plot_attention", "plot_loss", "plot_mask", "plot_positional_encoding", "use_style"}

__all__ = [
    "BERT",
    "GPT",
    "BERTConfig",
    "Decoder",
    "DecoderLayer",
    "EarlyStopping",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "GPTConfig",
    "History",
    "KVCache",
    "LayerNorm",
    "LearnedPositionalEncoding",
    "MultiHeadAttention",
    "NonFiniteLossError",
    "PositionalEncoding",
    "Residual",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "TokenEmbedding",
    "Transformer",
    "TransformerConfig",
    "ViT",
    "ViTConfig",
    "beam_search",
    "best_device",
    "causal_mask",
    "check_environment",
    "evaluate",
    "exact_match",
    "generate",
    "greedy_decode",
    "layer_norm",
    "load_checkpoint",
    "padding_mask",
    "plot_attention",
    "plot_loss",
    "plot_mask",
    "plot_positional_encoding",
    "record_attention",
    "sampling_distribution",
    "save_checkpoint",
    "scaled_dot_product_attention",
    "seed_everything",
    "sinusoidal_encoding",
    "split_patches",
    "train",
    "train_step",
    "use_style",
    "warmup_cosine",
    "warmup_inverse_sqrt",
]


def __getattr__(name: str) -> Any:
    if name not in _PLOTTING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("tx_utils.plotting"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLOTTING})

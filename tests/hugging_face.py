"""Hugging Face's models, small, on this machine alone, and with random numbers in every parameter.

They start their biases at 0 and their LayerNorms at 1, which would hide a mix-up.
"""

import importlib
import os
from typing import Any

from torch import Tensor, nn

import parity

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here needs the network, so nothing may ask for it


def transformers(name: str) -> Any:
    """A class of theirs, imported only when it is needed: that takes 2 s."""
    return getattr(importlib.import_module("transformers"), name)


def gpt2(kind: str = "GPT2LMHeadModel", *, seed: int = 0, **choices: Any) -> Any:
    """A GPT-2 in float64, its sizes distinct primes or products of them unless chosen."""
    sizes = {
        "vocab_size": 29,
        "n_positions": 13,
        "n_embd": 15,
        "n_head": 3,
        "n_layer": 2,
        "n_inner": 17,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    config = transformers("GPT2Config")(**{**sizes, **choices})
    return parity.randomize(transformers(kind)(config).eval(), seed=seed)


def bert(kind: str = "BertModel", *, seed: int = 0, **choices: Any) -> Any:
    """The same for an encoder: BERT, or RoBERTa with one or the other order of the norm."""
    sizes = {
        "vocab_size": 29,
        "max_position_embeddings": 13,
        "hidden_size": 15,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "intermediate_size": 17,
        "type_vocab_size": 2,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    config_kind = kind[: kind.index("Model" if kind.endswith("Model") else "For")] + "Config"
    config = transformers(config_kind)(**{**sizes, **choices})
    return parity.randomize(transformers(kind)(config).eval(), seed=seed)


def noisy(tensor: Tensor, *, seed: int = 0) -> Tensor:
    """The tensor with random numbers added; a shift by one would vanish in softmax or LayerNorm."""
    return tensor + 0.1 * parity.tensor(*tensor.shape, seed=seed).to(tensor.dtype)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state_dict that a test may change."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradients under the names of the weights."""
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}

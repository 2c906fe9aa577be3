"""Models small enough to test, one per choice that a config offers."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import parity
from tx_utils import GPT, GPTConfig, Transformer, TransformerConfig

Config = TransformerConfig | GPTConfig
Model = Transformer | GPT

H, D_MODEL, D_FF, LAYERS, SOURCE_VOCAB, VOCAB, MAX_LEN = 3, 12, 17, 2, 11, 13, 7
CONFIG = TransformerConfig(SOURCE_VOCAB, VOCAB, D_MODEL, H, LAYERS, D_FF, MAX_LEN, dropout=0.0)
GPT_CONFIG = GPTConfig(VOCAB, D_MODEL, H, LAYERS, D_FF, MAX_LEN)
TRANSFORMERS = {
    "post-norm": CONFIG,
    "pre-norm": replace(CONFIG, norm_first=True, activation="gelu", norm_eps=0.1),
    "untied": replace(CONFIG, tie_weights=False, scale_embedding=False),
}
GPTS = {
    "gpt": GPT_CONFIG,
    "gpt of 2019": replace(GPT_CONFIG, activation="gelu_tanh", scale_embedding=False),
    "gpt untied": replace(GPT_CONFIG, tie_weights=False, norm_eps=0.1),
}
CONFIGS: dict[str, Config] = {**TRANSFORMERS, **GPTS}

all_models = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
both_models = pytest.mark.parametrize("config", [CONFIG, GPT_CONFIG], ids=["transformer", "gpt"])

SOURCE = torch.tensor([[3, 5, 2, 0, 0, 0, 0], [1, 4, 2, 6, 5, 3, 0]])  # 0 is padding
TARGET = torch.tensor([[1, 12, 7, 0, 0], [1, 6, 4, 9, 2]])


def build(config: Config) -> Model:
    return Transformer(config) if isinstance(config, TransformerConfig) else GPT(config)


def random_model(config: Config) -> Model:
    """In float64 and with random numbers in every parameter, norms and biases too."""
    return parity.randomize(build(config))


def logits(model: Model, target: Tensor = TARGET, source: Tensor = SOURCE) -> Tensor:
    output: Tensor = model(source, target) if isinstance(model, Transformer) else model(target)
    return output


def table(model: Model) -> nn.Parameter:
    """The embedding that the output projection may share."""
    part = model.target_embedding if isinstance(model, Transformer) else model.embedding
    return part.weight

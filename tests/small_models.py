"""Models small enough to test, one per choice that a config offers."""

from dataclasses import replace
from typing import overload

import pytest
import torch
from torch import Tensor, nn

import parity
from tx_utils import (
    BERT,
    GPT,
    BERTConfig,
    GPTConfig,
    Transformer,
    TransformerConfig,
    ViT,
    ViTConfig,
)

Config = TransformerConfig | GPTConfig
Model = Transformer | GPT
AnyConfig = Config | BERTConfig | ViTConfig
AnyModel = Model | BERT | ViT

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

TYPES, SIDE, PATCH, CHANNELS, CLASSES = 3, 10, 5, 2, 7
BERT_CONFIG = BERTConfig(VOCAB, D_MODEL, H, LAYERS, D_FF, MAX_LEN, TYPES)
VIT_CONFIG = ViTConfig(SIDE, PATCH, CLASSES, D_MODEL, H, LAYERS, D_FF, CHANNELS)
BERTS = {
    "bert": BERT_CONFIG,
    "bert pre-norm": replace(BERT_CONFIG, norm_first=True, activation="relu", norm_eps=0.1),
}
VITS = {
    "vit": VIT_CONFIG,
    "vit gelu_tanh": replace(VIT_CONFIG, activation="gelu_tanh", norm_eps=0.1),
}
EVERY_CONFIG: dict[str, AnyConfig] = {**CONFIGS, **BERTS, **VITS}
ONE_OF_EACH: dict[str, AnyConfig] = {
    "transformer": CONFIG,
    "gpt": GPT_CONFIG,
    "bert": BERT_CONFIG,
    "vit": VIT_CONFIG,
}

every_model = pytest.mark.parametrize("config", EVERY_CONFIG.values(), ids=EVERY_CONFIG)
one_of_each = pytest.mark.parametrize("config", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
# Those that score a next token.
all_writers = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
both_writers = pytest.mark.parametrize("config", [CONFIG, GPT_CONFIG], ids=["transformer", "gpt"])

SOURCE = torch.tensor([[3, 5, 2, 0, 0, 0, 0], [1, 4, 2, 6, 5, 3, 0]])  # 0 is padding
TARGET = torch.tensor([[1, 12, 7, 0, 0], [1, 6, 4, 9, 2]])
SEGMENTS = torch.tensor([[0, 0, 1, 1, 2], [0, 2, 2, 1, 0]])
IMAGES = parity.tensor(2, CHANNELS, SIDE, SIDE, seed=5)


@overload
def build(config: Config) -> Model: ...
@overload
def build(config: AnyConfig) -> AnyModel: ...
def build(config: AnyConfig) -> AnyModel:
    if isinstance(config, TransformerConfig):
        return Transformer(config)
    if isinstance(config, BERTConfig):
        return BERT(config)
    return ViT(config) if isinstance(config, ViTConfig) else GPT(config)


@overload
def random_model(config: Config) -> Model: ...
@overload
def random_model(config: AnyConfig) -> AnyModel: ...
def random_model(config: AnyConfig) -> AnyModel:
    """In float64 and with random numbers in every parameter, norms and biases too."""
    return parity.randomize(build(config))


def output(model: AnyModel) -> Tensor:
    """What a model makes of the inputs above, on its device and in its precision."""
    like = next(model.parameters())
    target, source, segments = (ids.to(like.device) for ids in (TARGET, SOURCE, SEGMENTS))
    if isinstance(model, ViT):
        return model(IMAGES.to(like))
    return model(target, segments) if isinstance(model, BERT) else logits(model, target, source)


def logits(model: Model, target: Tensor = TARGET, source: Tensor = SOURCE) -> Tensor:
    return model(source, target) if isinstance(model, Transformer) else model(target)


def table(model: Model) -> nn.Parameter:
    """The embedding that the output projection may share."""
    part = model.target_embedding if isinstance(model, Transformer) else model.embedding
    return part.weight

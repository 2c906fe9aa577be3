"""A model to go on with a text, and the slow way of doing so."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import parity
from small_models import GPT_CONFIG, MAX_LEN, VOCAB
from tx_utils import GPT, GPTConfig, KVCache, LayerNorm

B, NEW = 5, 11  # far beyond max_len
CONFIG = replace(GPT_CONFIG, tie_weights=False)


class Watched(GPT):
    """Notes what it is asked to read, and its state meanwhile."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__(config)
        self.read: list[int] = []
        self.cached: list[bool] = []
        self.rooms: list[int] = []
        self.states: set[tuple[bool, bool]] = set()

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        self.read.append(tokens.size(1))
        self.cached.append(cache is not None)
        self.states.add((self.training, torch.is_grad_enabled()))
        return super().forward(tokens, cache)

    def new_cache(self, batch_size: int = 1, max_len: int | None = None) -> KVCache:
        cache = super().new_cache(batch_size, max_len)
        self.rooms.append(cache.max_len)
        return cache


def gpt(seed: int = 0, **changes: Any) -> Watched:
    """In float64. Tied tables or random norms would make it repeat one token for all prompts."""
    model = parity.randomize(Watched(replace(CONFIG, **changes)), seed=seed)
    for part in model.modules():
        if isinstance(part, LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return model


def prompts(length: int = 3, *, seed: int = 0) -> Tensor:
    return parity.tokens(B, length, VOCAB, seed=seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def slow_greedy(model: GPT, prompt: list[int], count: int, context: int = MAX_LEN) -> list[int]:
    """One sequence, every step anew from the last tokens, the first of the highest scores."""
    written = list(prompt)
    for _ in range(count):
        scores = model(torch.tensor([written[-context:]]))[0, -1].tolist()
        written.append(scores.index(max(scores)))
    return written

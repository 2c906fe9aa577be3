"""Published weights to spoil: state_dicts of Hugging Face's models, and the loader of each."""

import re
from collections.abc import Callable
from functools import cache

import pytest
from torch import Tensor, nn

import hugging_face
from tx_utils.pretrained import bert, gpt2

Weights = dict[str, Tensor]
Load = Callable[[Weights], nn.Module]

H = 3


def load_gpt2(weights: Weights) -> nn.Module:
    return gpt2(weights, num_heads=H)


def load_bert(weights: Weights) -> nn.Module:
    return bert(weights, num_heads=H)


KINDS: dict[str, tuple[str, Load]] = {
    "GPT2LMHeadModel": ("GPT-2", load_gpt2),
    "GPT2Model": ("GPT-2", load_gpt2),
    "BertModel": ("BERT", load_bert),
    "BertForMaskedLM": ("BERT", load_bert),
    "RobertaPreLayerNormModel": ("BERT", load_bert),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def _published(kind: str) -> Weights:
    build = hugging_face.gpt2 if kind.startswith("GPT2") else hugging_face.bert
    weights = hugging_face.weights(build(kind))
    return {n: t for n, t in weights.items() if not re.match(r"(.*\.)?(pooler|cls)\.", n)}


def published(kind: str) -> Weights:
    """Weights without heads that nothing is wanted of; a test may put in others."""
    return dict(_published(kind))


def assert_refused(kind: str, weights: Weights, *lines: str) -> None:
    name, load = KINDS[kind]
    message = "\n".join([f"these are not the weights of {name}", *lines])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(weights)

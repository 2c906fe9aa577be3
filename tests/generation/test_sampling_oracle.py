"""Our sampling beside Hugging Face's: the same logits in, the same probabilities out."""

from typing import Any

import pytest
import torch
from torch import Tensor

import hugging_face
import parity
from tx_utils import sampling_distribution

VOCAB = 29
TEMPERATURES, TOP_KS, TOP_PS = [0.1, 0.7, 1.0, 3.0], [None, 1, 5, VOCAB, 99], [None, 0.1, 0.9, 1.0]


def theirs(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """Their steps in the order in which their `generate` takes them."""
    steps: list[tuple[str, Any]] = [
        ("TemperatureLogitsWarper", temperature),
        ("TopKLogitsWarper", top_k),
        ("TopPLogitsWarper", top_p),
    ]
    for name, value in steps:
        if value is not None:
            logits = hugging_face.transformers(name)(value)(torch.empty(0), logits)
    return logits.softmax(-1)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("top_k", TOP_KS)
@pytest.mark.parametrize("top_p", TOP_PS)
def test_probabilities_equal_hugging_faces(
    temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = 3 * parity.tensor(100, VOCAB, seed=7)
    ours = sampling_distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    expected = theirs(logits, temperature, top_k, top_p)
    assert torch.equal(ours > 0, expected > 0)
    parity.assert_close(ours, expected)


@pytest.mark.parametrize("top_k", [1, 2, 3, 5])
def test_tokens_that_tie_with_the_last_stay_as_hugging_faces_do(top_k: int) -> None:
    logits = parity.tensor(100, VOCAB, seed=8).mul(2).round()
    ours = sampling_distribution(logits, top_k=top_k)
    assert ((ours > 0).sum(-1) > top_k).any()
    parity.assert_close(ours, theirs(logits, 1.0, top_k, None))


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_likeliest_token_of_temperature_0_is_theirs(temperature: float) -> None:
    logits = parity.tensor(100, VOCAB, seed=9)
    ours = sampling_distribution(logits, temperature=0.0)
    assert torch.equal(ours.argmax(-1), theirs(logits, temperature, 1, None).argmax(-1))
    assert torch.equal(ours.sum(-1), torch.ones(100, dtype=torch.float64))

"""What `generate` just takes, and what it refuses before it has read anything."""

import math
import re
from typing import Any

import pytest
import torch
from writing import CONFIG, NEW, B, generator, gpt, prompts, slow_greedy

import parity
from small_models import VOCAB
from tx_utils import generate
from tx_utils.experiments.sorting import NoMask

# Border


def test_ids_may_be_of_32_bits_and_stay_so() -> None:
    model = gpt()
    written = generate(model, prompts().int(), max_new_tokens=NEW, generator=generator())
    assert written.dtype == torch.int32
    long = generate(model, prompts(), max_new_tokens=NEW, generator=generator())
    assert long.dtype == torch.int64
    assert torch.equal(written.long(), long)


def test_a_coarse_model_writes_too() -> None:
    written = generate(gpt().bfloat16(), prompts(), max_new_tokens=NEW, generator=generator())
    assert written.shape == (B, 3 + NEW)
    assert ((written >= 0) & (written < VOCAB)).all()


def test_a_model_that_no_cache_can_serve_writes_without() -> None:
    model = parity.randomize(NoMask(CONFIG))
    written = generate(model, prompts(), max_new_tokens=3, temperature=0.0, use_cache=False)
    assert written.tolist() == [slow_greedy(model, row, 3) for row in prompts().tolist()]
    with pytest.raises(ValueError, match="cache must be None"):
        generate(model, prompts(), max_new_tokens=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a positive integer, got 0"),
        ({"max_new_tokens": 2.0}, "max_new_tokens must be a positive integer, got 2.0"),
        ({"context": 0}, "context must be a positive integer, got 0"),
        ({"context": 8}, "context must be at most the model's max_len (7), got 8"),
        ({"end_id": -1}, "end_id must be an integer in [0, 13), got -1"),
        ({"end_id": VOCAB}, "end_id must be an integer in [0, 13), got 13"),
        ({"end_id": True}, "end_id must be an integer in [0, 13), got True"),
        ({"end_id": 1.0}, "end_id must be an integer in [0, 13), got 1.0"),
        ({"temperature": -1.0}, "temperature must be finite and not negative, got -1.0"),
        ({"top_k": 0}, "top_k must be a positive integer or None, got 0"),
        ({"top_p": 0.0}, "top_p must lie in (0, 1] or be None, got 0.0"),
        ({"tokens": prompts(0)}, "a prompt needs at least one token, got shape (5, 0)"),
        ({"tokens": prompts()[0]}, "tokens must have shape (B, T), got (3,)"),
        ({"tokens": prompts() > 0}, "token ids must be int64 or int32, got torch.bool"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_read(
    options: dict[str, Any], message: str
) -> None:
    model = gpt()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        generate(model, **{"tokens": prompts(), "max_new_tokens": 3, **options})
    assert model.read == []
    assert model.rooms == []


@pytest.mark.parametrize("end_id", [0, VOCAB - 1])
def test_the_first_and_the_last_id_may_end(end_id: int) -> None:
    assert generate(gpt(), prompts(), max_new_tokens=1, end_id=end_id).shape == (B, 4)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    model = gpt()
    torch.nn.init.constant_(model.output_proj.weight, math.nan)
    with pytest.raises(ValueError, match=r"^the largest of the model's scores must be a finite"):
        generate(model, prompts(), max_new_tokens=3)

"""Constants other than ours, choices out of range, and what is no state_dict are refused."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from published import H, assert_refused, load_gpt2, published
from torch import Tensor

from tx_utils.pretrained import bert, gpt2

MAX_LEN = 13
TRIANGLE = torch.ones(1, 1, MAX_LEN, MAX_LEN).tril()


@pytest.mark.parametrize(
    "mask",
    [
        TRIANGLE.mT,
        1 - TRIANGLE,
        TRIANGLE[0, 0],
        TRIANGLE[..., :-1, :-1],
        torch.ones_like(TRIANGLE),
        TRIANGLE.tril(-1),
        TRIANGLE.log(),
    ],
)
def test_a_mask_other_than_ours_is_refused(mask: Tensor) -> None:
    weights = {**published("GPT2Model"), "h.1.attn.bias": mask}
    expected = "h.1.attn.bias, expected the causal mask (1, 1, max_len, max_len)"
    assert_refused("GPT2Model", weights, f"with other contents: {expected}")


@pytest.mark.parametrize("low", [[-9e3], 0.0, 1e4, float("nan"), [-1e4, -1e4], []])
def test_a_score_of_what_is_masked_that_is_not_low_is_refused(low: Any) -> None:
    weights = {**published("GPT2Model"), "h.0.attn.masked_bias": torch.tensor(low)}
    expected = "h.0.attn.masked_bias, expected one number of at most -10000"
    assert_refused("GPT2Model", weights, f"with other contents: {expected}")


@pytest.mark.parametrize(
    "numbers",
    [
        torch.arange(MAX_LEN),
        torch.arange(MAX_LEN - 1)[None],
        torch.arange(1, MAX_LEN + 1)[None],
        torch.arange(MAX_LEN)[None].flip(1),
        torch.zeros(1, MAX_LEN),
    ],
)
def test_positions_in_another_order_are_refused(numbers: Tensor) -> None:
    weights = {**published("BertModel"), "embeddings.position_ids": numbers}
    expected = "embeddings.position_ids, expected 0, 1, ..., max_len - 1 in one row"
    assert_refused("BertModel", weights, f"with other contents: {expected}")


@pytest.mark.parametrize("load", [gpt2, bert])
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"num_heads": 4}, "d_model (15) must be divisible by num_heads (4)"),
        ({"num_heads": 0}, "num_heads must be a positive integer, got 0"),
        ({"num_heads": 3.0}, "num_heads must be a positive integer, got 3.0"),
        ({"norm_eps": -1.0}, "norm_eps must be finite and not negative, got -1.0"),
        (
            {"activation": "gelu_new"},
            "activation must be one of relu, gelu, gelu_tanh, got 'gelu_new'",
        ),
    ],
)
def test_choices_out_of_range_are_refused(
    load: Callable[..., object], choice: dict[str, Any], message: str
) -> None:
    weights = published("GPT2Model" if load is gpt2 else "BertModel")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(weights, **{"num_heads": H, **choice})


@pytest.mark.parametrize("offset", [-1, MAX_LEN, 1.0, True, None])
def test_an_offset_that_leaves_no_positions_is_refused(offset: Any) -> None:
    message = f"position_offset must be an integer in [0, 13), got {offset!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bert(published("BertModel"), num_heads=H, position_offset=offset)


def test_an_empty_table_is_refused() -> None:
    weights = {**published("GPT2Model"), "wte.weight": torch.ones(0, 15)}
    with pytest.raises(ValueError, match=r"^vocab_size must be a positive integer, got 0$"):
        load_gpt2(weights)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            torch.nn.Linear(2, 3),
            "state_dict must be a mapping of names to tensors, or the path of a safetensors "
            "file, got Linear",
        ),
        (
            None,
            "state_dict must be a mapping of names to tensors, or the path of a safetensors "
            "file, got NoneType",
        ),
        (
            {"wte.weight": [[1.0]]},
            "state_dict must map names to tensors, got list at 'wte.weight'",
        ),
        ({7: torch.ones(3)}, "state_dict must map names to tensors, got Tensor at 7"),
    ],
)
@pytest.mark.parametrize("load", [gpt2, bert])
def test_what_is_no_state_dict_is_refused(
    load: Callable[..., object], given: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(given, num_heads=H)

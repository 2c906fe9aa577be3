import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tx_utils import causal_mask, padding_mask

# Oracle


@pytest.mark.parametrize("length", [1, 2, 7])
def test_causal_mask_is_the_opposite_of_torchs(length: int) -> None:
    blocked = nn.Transformer.generate_square_subsequent_mask(length).isinf()
    assert torch.equal(causal_mask(length), ~blocked)


def test_padding_mask_is_the_opposite_of_torchs_key_padding_mask() -> None:
    source = torch.tensor([[5, 7, 3], [2, 0, 0]])
    key_padding_mask = source == 0
    assert torch.equal(padding_mask(source, pad_id=0)[:, 0, 0], ~key_padding_mask)


# Property


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), length=st.integers(1, 7), pad_id=st.integers(0, 3))
def test_combined_mask_allows_real_tokens_of_the_past(seed: int, length: int, pad_id: int) -> None:
    batch = torch.randint(0, 4, (3, length), generator=torch.Generator().manual_seed(seed))
    combined = causal_mask(length) & padding_mask(batch, pad_id)
    assert combined.shape == (3, 1, length, length)
    for row, ids in zip(combined[:, 0].tolist(), batch.tolist(), strict=True):
        for query in range(length):
            for key in range(length):
                assert row[query][key] == (key <= query and ids[key] != pad_id)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_masks_are_boolean_on_the_asked_device_and_leave_the_tokens_alone(
    dtype: torch.dtype,
) -> None:
    ids = torch.tensor([[5, 0]], dtype=dtype)
    made = padding_mask(ids, pad_id=0)
    assert made.dtype == causal_mask(2).dtype == torch.bool
    assert made.shape == (1, 1, 1, 2)
    assert ids.tolist() == [[5, 0]]
    assert causal_mask(2, device="meta").device.type == "meta"
    assert padding_mask(ids.to("meta"), pad_id=0).device.type == "meta"


# Border


def test_a_row_of_padding_allows_nothing() -> None:
    assert not padding_mask(torch.zeros(2, 3, dtype=torch.int64), pad_id=0).any()


@pytest.mark.parametrize("length", [0, -1, 2.0, True, "7"])
def test_causal_mask_refuses_what_is_no_length(length: int) -> None:
    message = f"length must be a positive integer, got {length!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        causal_mask(length)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_padding_mask_refuses_what_is_no_id(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"^token ids must be int64 or int32, got {dtype}$"):
        padding_mask(torch.ones(2, 3, dtype=dtype), pad_id=0)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 5)])
def test_padding_mask_refuses_another_number_of_axes(shape: tuple[int, ...]) -> None:
    message = re.escape(f"tokens must have shape (B, T), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        padding_mask(torch.ones(shape, dtype=torch.int64), pad_id=0)


def test_a_pad_id_is_an_integer() -> None:
    with pytest.raises(ValueError, match=r"^pad_id must be an integer, got 0\.5$"):
        padding_mask(torch.ones(1, 2, dtype=torch.long), 0.5)  # type: ignore[arg-type]

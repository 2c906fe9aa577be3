import math
import re

import pytest
import torch
from torch import nn

import parity
from tx_utils import TokenEmbedding

B, T, VOCAB, D_MODEL = 2, 5, 13, 7

# Oracle


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize(("scale", "factor"), [(True, math.sqrt(D_MODEL)), (False, 1.0)])
def test_output_and_gradients_equal_torchs_times_the_scale(
    scale: bool, factor: float, dtype: torch.dtype
) -> None:
    ours = parity.randomize(TokenEmbedding(VOCAB, D_MODEL, scale=scale))
    twin = parity.twin(ours, nn.Embedding(VOCAB, D_MODEL))
    ids = parity.tokens(B, T, VOCAB).to(dtype)
    parity.assert_same(ours(ids), twin(ids) * factor, [ours.weight], [twin.weight])


def test_embeddings_are_scaled_unless_asked_otherwise() -> None:
    module, ids = TokenEmbedding(VOCAB, D_MODEL), parity.tokens(B, T, VOCAB)
    parity.assert_close(module(ids), module.weight[ids] * math.sqrt(D_MODEL), tolerance=1e-6)


# Property


@pytest.mark.parametrize("d_model", [17, 101])
def test_the_scale_brings_small_table_entries_to_size_one(d_model: int) -> None:
    torch.manual_seed(0)
    scaled, unscaled = (TokenEmbedding(307, d_model, scale=scale) for scale in (True, False))
    ids = torch.arange(307)[None]
    for module in (scaled, unscaled):
        assert module.weight.std().item() == pytest.approx(d_model**-0.5, rel=0.05)
    assert scaled(ids).std().item() == pytest.approx(1.0, rel=0.05)
    assert unscaled(ids).std().item() == pytest.approx(d_model**-0.5, rel=0.05)


def test_nothing_is_edited_in_place_or_stored() -> None:
    module, ids = TokenEmbedding(VOCAB, D_MODEL), parity.tokens(B, T, VOCAB)
    before, weight = ids.clone(), module.weight.detach().clone()
    module(ids)
    assert torch.equal(ids, before)
    assert torch.equal(module.weight, weight)
    assert parity.stray_tensors(module) == []


# Border


def test_the_first_and_the_last_id_are_known() -> None:
    module = TokenEmbedding(VOCAB, D_MODEL, scale=False)
    assert torch.equal(module(torch.tensor([[0, VOCAB - 1]]))[0], module.weight[[0, -1]])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[0, 5, 13]], "token ids must lie in [0, 13), got 0 to 13"),
        ([[12, -1, 3]], "token ids must lie in [0, 13), got -1 to 12"),
    ],
)
def test_ids_out_of_range_are_refused(ids: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$") as caught:
        TokenEmbedding(VOCAB, D_MODEL)(torch.tensor(ids))
    assert isinstance(caught.value.__cause__, IndexError)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_what_is_no_id_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"^token ids must be int64 or int32, got {dtype}$"):
        TokenEmbedding(VOCAB, D_MODEL)(torch.ones(B, T, dtype=dtype))


@pytest.mark.parametrize("shape", [(T,), (B, T, 3)])
def test_another_number_of_axes_is_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"tokens must have shape (B, T), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        TokenEmbedding(VOCAB, D_MODEL)(torch.ones(shape, dtype=torch.int64))


@pytest.mark.parametrize(
    ("vocab_size", "d_model", "message"),
    [
        (0, 7, "vocab_size must be a positive integer, got 0"),
        (13, 7.0, "d_model must be a positive integer, got 7.0"),
    ],
)
def test_sizes_out_of_range_are_refused(vocab_size: int, d_model: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TokenEmbedding(vocab_size, d_model)

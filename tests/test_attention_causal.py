"""Attention under `is_causal`, and in pieces over a cache: the causal mask without its numbers."""

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import parity
from tx_utils import EncoderLayer, KVCache, MultiHeadAttention, causal_mask, padding_mask

B, H, T_Q, T_K, D_HEAD = 2, 3, 5, 7, 4
D_MODEL = H * D_HEAD
IDS = torch.tensor([[3, 5, 2, 0, 0, 0, 0], [1, 4, 2, 6, 5, 3, 0]])  # 0 is padding
MASKS = {
    "none": None,
    "two axes": parity.mask(T_K, T_K),
    "padding": padding_mask(IDS, 0),
    "per batch and head": parity.mask(B, H, T_K, T_K, seed=1),
}
all_masks = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def attention(seed: int = 0) -> MultiHeadAttention:
    return parity.randomize(MultiHeadAttention(D_MODEL, H), seed=seed)


def past(length_q: int, length_k: int) -> Tensor:
    """Position by position: the last query stands at the last key.  (T_q, T_k)."""
    ahead = length_k - length_q
    rows = [[key <= query + ahead for key in range(length_k)] for query in range(length_q)]
    return torch.tensor(rows)


def last_rows(mask: Tensor | None, length_q: int) -> Tensor | None:
    """What a mask says of the last queries."""
    return mask if mask is None or mask.size(-2) == 1 else mask[..., -length_q:, :]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What every call of torch's kernel is given besides query, key and value."""
    calls: list[dict[str, Any]] = []
    run = F.scaled_dot_product_attention

    def spied(*args: Any, **options: Any) -> Tensor:
        calls.append(options)
        return run(*args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spied)
    return calls


# Oracle


@all_masks
@pytest.mark.parametrize("length_q", [1, T_Q, T_K])
def test_it_is_the_causal_mask_aligned_at_the_end(mask: Tensor | None, length_q: int) -> None:
    module, key = attention(), parity.tensor(B, T_K, D_MODEL)
    query = parity.tensor(B, length_q, D_MODEL, seed=1)
    further = last_rows(mask, length_q)
    both = past(length_q, T_K) if further is None else past(length_q, T_K) & further
    ours = module(query, key, key, further, is_causal=True)
    parity.assert_close(ours, module(query, key, key, both))
    weights = module.weights(query, key, further, is_causal=True)
    parity.assert_close(weights, module.weights(query, key, both))
    assert torch.equal(weights > 0, both.expand(B, H, length_q, T_K))


@all_masks
def test_its_gradients_are_those_of_the_causal_mask(mask: Tensor | None) -> None:
    module, twin = attention(), attention()
    (x,), (y,) = ours, theirs = [parity.leaves(parity.tensor(B, T_K, D_MODEL)) for _ in range(2)]
    both = past(T_K, T_K) if mask is None else past(T_K, T_K) & mask
    expected = twin(y, y, y, both)
    parity.assert_same(module(x, x, x, mask, is_causal=True), expected, ours, theirs)
    gradients = parity.gradients(twin)
    for name, gradient in parity.gradients(module).items():
        parity.assert_close(gradient, gradients[name])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), cuts=st.sets(st.integers(1, T_K - 1)))
def test_pieces_over_a_cache_equal_the_whole(seed: int, cuts: set[int]) -> None:
    module, x = attention(seed), parity.tensor(B, T_K, D_MODEL, seed=seed)
    cache = KVCache(1, B, H, T_K, D_HEAD, dtype=torch.float64)
    whole = module(x, x, x, is_causal=True)
    maps = module.weights(x, x, is_causal=True)
    edges = [0, *sorted(cuts), T_K]
    with torch.no_grad():
        for start, end in pairwise(edges):
            part, layer = x[:, start:end], cache.layer(0)
            rows = module.weights(part, part, is_causal=True, cache=layer)
            parity.assert_close(rows, maps[:, :, start:end, :end])
            said = module(part, part, part, is_causal=True, cache=layer)
            parity.assert_close(said, whole[:, start:end])
            # Looked at after the writing, the weights are no other.
            assert torch.equal(rows, module.weights(part, part, is_causal=True, cache=layer))
            cache.advance(end - start)


def test_a_further_mask_holds_over_a_cache_too() -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    cache, mask = KVCache(1, B, H, T_K, D_HEAD, dtype=torch.float64), padding_mask(IDS, 0)
    whole = module(x, x, x, mask, is_causal=True)
    maps = module.weights(x, x, mask, is_causal=True)
    with torch.no_grad():
        for start, end in ((0, 3), (3, 4), (4, T_K)):
            part, layer, seen = x[:, start:end], cache.layer(0), mask[..., :end]
            said = module(part, part, part, seen, is_causal=True, cache=layer)
            parity.assert_close(said, whole[:, start:end])
            rows = module.weights(part, part, seen, is_causal=True, cache=layer)
            parity.assert_close(rows, maps[:, :, start:end, :end])
            cache.advance(end - start)


# Property


def test_without_a_further_mask_no_triangle_is_made(kernel: list[dict[str, Any]]) -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    module(x, x, x, is_causal=True)
    assert kernel == [{"attn_mask": None, "is_causal": True}]


def test_a_single_query_needs_no_mask_and_torchs_triangle_would_be_wrong(
    kernel: list[dict[str, Any]],
) -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    module(x[:, -1:], x, x, is_causal=True)
    assert kernel == [{"attn_mask": None, "is_causal": False}]


def test_in_an_encoder_layer_it_is_the_causal_mask_too(kernel: list[dict[str, Any]]) -> None:
    layer = parity.randomize(EncoderLayer(D_MODEL, H, 17))
    x = parity.tensor(B, T_K, D_MODEL)
    parity.assert_close(layer(x, is_causal=True), layer(x, causal_mask(T_K)))
    assert [call["attn_mask"] is None for call in kernel] == [True, False]


@pytest.mark.parametrize("further", [None, padding_mask(IDS, 0)])
def test_the_future_changes_nothing(further: Tensor | None) -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    before = module(x, x, x, further, is_causal=True)
    for t in range(T_K):
        changed = x.clone()
        changed[:, t] += 1.0
        moved = (module(changed, changed, changed, further, is_causal=True) - before).abs()
        assert moved[:, :t].sum() < 1e-12
        assert moved[:, t].amax(-1).min() > 1e-6


def test_unless_asked_for_it_is_off() -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    assert torch.equal(module(x, x, x), module(x, x, x, is_causal=False))
    assert (module.weights(x, x) > 0).all()
    assert not torch.allclose(module(x, x, x), module(x, x, x, is_causal=True))


# Border


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_other_precisions_agree_with_their_mask(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    module, x = MultiHeadAttention(D_MODEL, H).to(dtype), torch.randn(B, T_K, D_MODEL).to(dtype)
    said = module(x, x, x, is_causal=True)
    assert said.dtype == module.weights(x, x, is_causal=True).dtype == dtype
    parity.assert_close(said, module(x, x, x, causal_mask(T_K)), tolerance)


def test_a_query_that_may_look_at_nothing_gets_the_output_bias() -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    no_first = (torch.arange(T_K) > 0).expand(T_K, T_K)
    said = module(x, x, x, no_first, is_causal=True)
    parity.assert_close(said[:, 0], module.out_proj.bias.expand(B, -1))
    weights = module.weights(x, x, no_first, is_causal=True)
    assert weights[:, :, 0].count_nonzero() == 0


def test_no_query_is_allowed() -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    assert module(x[:, :0], x, x, is_causal=True).shape == (B, 0, D_MODEL)
    assert module.weights(x[:, :0], x, is_causal=True).shape == (B, H, 0, T_K)


@pytest.mark.parametrize("mask", [None, torch.ones(T_K, T_Q, dtype=torch.bool)])
def test_more_queries_than_keys_are_refused(mask: Tensor | None) -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    key = x[:, :T_Q]
    message = re.escape("is_causal needs a key for each query, got 7 queries and 5 keys")
    with pytest.raises(ValueError, match=f"^{message}$"):
        module(x, key, key, mask, is_causal=True)
    with pytest.raises(ValueError, match=f"^{message}$"):
        module.weights(x, key, mask, is_causal=True)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(T_K, T_K), "mask must be boolean (True = may attend), got torch.float32"),
        (torch.ones(T_Q, T_Q).bool(), "mask of shape (5, 5) does not broadcast to the scores' "),
        (torch.ones(B, T_K, T_K).bool(), "mask must be (T_q, T_k) or 4-D, broadcasting to "),
    ],
)
def test_a_further_mask_is_checked_as_ever(mask: Tensor, message: str) -> None:
    module, x = attention(), parity.tensor(B, T_K, D_MODEL)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        module(x, x, x, mask, is_causal=True)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        module.weights(x, x, mask, is_causal=True)

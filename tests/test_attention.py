import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import parity
from tx_utils import MultiHeadAttention, causal_mask, padding_mask, scaled_dot_product_attention

B, H, T_Q, T_K, D_HEAD, D_VALUE = 2, 3, 5, 7, 4, 11
D_MODEL = H * D_HEAD
LENGTHS = torch.tensor([[3, 5, 2, 0, 0, 0, 0], [1, 4, 2, 6, 5, 3, 0]])  # ids; 0 is padding
FORMULA_MASKS = {
    "none": None,
    "causal": causal_mask(T_K)[-T_Q:],
    "random": parity.mask(B, H, T_Q, T_K),
    "empty rows": parity.mask(B, 1, T_Q, T_K) & (torch.arange(T_Q) != 2)[:, None],
    "nothing": torch.zeros(1, 1, dtype=torch.bool),
}
MODULE_MASKS = {
    "none": None,
    "causal": causal_mask(T_K)[-T_Q:],
    "padding": padding_mask(LENGTHS, 0),
    "combined": causal_mask(T_K)[-T_Q:] & padding_mask(LENGTHS, 0),
    "per head": parity.mask(1, H, T_Q, T_K),
    "per batch and head": parity.mask(B, H, T_Q, T_K, seed=1),
}


def attention(*, bias: bool = True, seed: int = 0) -> MultiHeadAttention:
    return parity.randomize(MultiHeadAttention(D_MODEL, H, bias=bias), seed=seed)


def queries_and_keys(seed: int = 0) -> tuple[Tensor, Tensor]:
    return parity.tensor(B, T_Q, D_MODEL, seed=seed), parity.tensor(B, T_K, D_MODEL, seed=seed + 1)


def torch_mask(mask: Tensor | None) -> Tensor | None:
    """nn.MultiheadAttention wants True = blocked, and batch and heads in one axis."""
    return None if mask is None else ~mask.expand(B, H, T_Q, T_K).flatten(0, 1)


# Oracle


@pytest.mark.parametrize("mask", FORMULA_MASKS.values(), ids=FORMULA_MASKS)
def test_formula_and_its_gradients_equal_torch(mask: Tensor | None) -> None:
    shapes = (B, H, T_Q, D_HEAD), (B, H, T_K, D_HEAD), (B, H, T_K, D_VALUE)
    inputs = [parity.tensor(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    ours, theirs = parity.leaves(*inputs), parity.leaves(*inputs)
    query, key, value = ours
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    query, key, value = theirs
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert weights.shape == (B, H, T_Q, T_K)
    parity.assert_close(weights @ inputs[2], expected)
    parity.assert_same(output, expected, ours, theirs)  # empty rows: zeros, and no NaN, in both


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("mask", MODULE_MASKS.values(), ids=MODULE_MASKS)
def test_module_weights_and_gradients_equal_torch(mask: Tensor | None, bias: bool) -> None:
    module = attention(bias=bias)
    twin = parity.twin(module, nn.MultiheadAttention(D_MODEL, H, bias=bias, batch_first=True))
    inputs = [*queries_and_keys(), parity.tensor(B, T_K, D_MODEL, seed=2)]
    ours, theirs = parity.leaves(*inputs), parity.leaves(*inputs)
    expected, expected_weights = twin(
        *theirs, attn_mask=torch_mask(mask), average_attn_weights=False
    )
    parity.assert_close(module.weights(ours[0], ours[1], mask), expected_weights)
    parity.assert_same(module(*ours, mask), expected, ours, theirs)
    parity.assert_same_gradients(module, twin)


@pytest.mark.parametrize("causal", [True, False])
def test_self_attention_equals_torch_given_the_opposite_masks(causal: bool) -> None:
    module = attention()
    twin = parity.twin(module, nn.MultiheadAttention(D_MODEL, H, batch_first=True))
    (x,) = ours = parity.leaves(parity.tensor(B, T_K, D_MODEL))
    (y,) = theirs = parity.leaves(x)
    look_back = causal_mask(T_K) if causal else torch.ones(T_K, T_K, dtype=torch.bool)
    real = padding_mask(LENGTHS, 0)
    expected, _ = twin(y, y, y, attn_mask=~look_back, key_padding_mask=~real[:, 0, 0])
    parity.assert_same(module(x, x, x, look_back & real), expected, ours, theirs)
    parity.assert_same_gradients(module, twin)


# Property


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_rows_sum_to_one_or_nothing_and_blocked_keys_get_zero(seed: int) -> None:
    mask = parity.mask(B, 1, T_Q, T_K, seed=seed, key_0=False)
    mask[0, 0, 1] = False
    weights = attention(seed=seed).weights(*queries_and_keys(seed), mask)
    parity.assert_close(weights.sum(-1), mask.any(-1).double().expand(B, H, T_Q))
    assert torch.equal(weights > 0, mask.expand_as(weights))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_order_of_keys_is_unseen_and_order_of_queries_is_kept(seed: int) -> None:
    module, (query, key) = attention(seed=seed), queries_and_keys(seed)
    of_queries = torch.randperm(T_Q, generator=torch.Generator().manual_seed(seed))
    of_keys = torch.randperm(T_K, generator=torch.Generator().manual_seed(seed))
    moved = module(query[:, of_queries], key[:, of_keys], key[:, of_keys])
    parity.assert_close(moved, module(query, key, key)[:, of_queries])


@pytest.mark.parametrize("mask", MODULE_MASKS.values(), ids=MODULE_MASKS)
def test_forward_is_the_formula_with_the_weights_it_shows(mask: Tensor | None) -> None:
    module, (query, key) = attention(), queries_and_keys()
    heads = module.value_proj(key).unflatten(-1, (H, D_HEAD)).transpose(1, 2)
    read = (module.weights(query, key, mask) @ heads).transpose(1, 2).flatten(-2)
    parity.assert_close(module.out_proj(read), module(query, key, key, mask))


def test_scores_are_divided_by_the_root_of_the_head_width() -> None:
    module, (query, key) = attention(), queries_and_keys()
    log_weights = module.weights(query, key).log()
    q, k = module.query_proj(query)[..., :D_HEAD], module.key_proj(key)[..., :D_HEAD]  # head 0
    scores = torch.einsum("bqd,bkd->bqk", q, k) / math.sqrt(D_HEAD)
    # The logarithm of a softmax keeps the differences between scores.
    parity.assert_close(log_weights[:, 0].diff(), scores.diff())


def test_a_gradient_reaches_every_parameter_but_the_key_bias() -> None:
    module, (query, key) = attention(), queries_and_keys()
    module(query, key, key).square().sum().backward()
    sizes = {name: float(grad.abs().max()) for name, grad in parity.gradients(module).items()}
    # A key bias adds one number to a whole row of scores, and softmax ignores what all share.
    assert sizes.pop("key_proj.bias") < 1e-10
    assert len(sizes) == 7
    assert min(sizes.values()) > 1e-3


def test_without_bias_there_is_none_anywhere() -> None:
    names = [name for name, _ in attention(bias=False).named_parameters()]
    assert names == [f"{part}_proj.weight" for part in ("query", "key", "value", "out")]


def test_unless_asked_otherwise_there_are_biases_and_no_mask() -> None:
    module, (query, key) = parity.randomize(MultiHeadAttention(D_MODEL, H)), queries_and_keys()
    assert sum("bias" in name for name, _ in module.named_parameters()) == 4
    parity.assert_close(module(query, key, key), module(query, key, key, None))
    for ours, expected in zip(
        scaled_dot_product_attention(query, key, key),
        scaled_dot_product_attention(query, key, key, torch.ones(T_Q, T_K, dtype=torch.bool)),
        strict=True,
    ):
        parity.assert_close(ours, expected)


def test_nothing_is_edited_in_place_or_stored() -> None:
    module, (query, key) = attention(), queries_and_keys()
    mask = parity.mask(B, H, T_Q, T_K)
    before = [x.clone() for x in (query, key, mask)]
    module(query, key, key, mask)
    module.weights(query, key, mask)
    scaled_dot_product_attention(query, key, key, mask[:, 0])
    for x, copy in zip((query, key, mask), before, strict=True):
        assert torch.equal(x, copy)
    assert parity.stray_tensors(module) == []


def test_huge_scores_stay_finite_in_float32() -> None:
    x = torch.full((1, 2, 3), 1e18)
    output, weights = scaled_dot_product_attention(x, x, torch.ones(1, 2, 5), causal_mask(2))
    assert torch.equal(weights, torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]))
    assert torch.equal(output, torch.ones(1, 2, 5))


# Border


def test_a_query_that_may_look_at_nothing_gets_the_output_bias() -> None:
    module, (query, key) = attention(), parity.leaves(*queries_and_keys())
    mask = torch.ones(T_Q, T_K, dtype=torch.bool)
    mask[2] = False
    output = module(query, key, key, mask)
    parity.assert_close(output[:, 2], module.out_proj.bias.expand(B, -1))
    output.sum().backward()
    assert query.grad is not None
    assert torch.equal(query.grad[:, 2], torch.zeros(B, D_MODEL, dtype=torch.float64))
    assert all(gradient.isfinite().all() for gradient in parity.gradients(module).values())


def test_empty_rows_make_no_nan_that_anomaly_detection_would_see() -> None:
    query, key = parity.leaves(*queries_and_keys())
    with torch.autograd.set_detect_anomaly(True):
        output, _ = scaled_dot_product_attention(query, key, key, FORMULA_MASKS["nothing"])
        output.sum().backward()
    assert output.count_nonzero() == 0
    assert query.grad is not None
    assert query.grad.count_nonzero() == 0


def test_a_lone_key_gets_all_the_weight() -> None:
    query, key = queries_and_keys()
    assert torch.equal(attention().weights(query, key[:, :1]), torch.ones(B, H, T_Q, 1).double())


# Learning


def lookup_loss(module: MultiHeadAttention, seed: int) -> Tensor:
    """Each query names one of 7 keys, in shuffled order, and wants the payload beside it."""
    generator = torch.Generator().manual_seed(seed)
    names = torch.rand(32, 7, generator=generator).argsort(-1)
    payload = torch.randn(32, 7, 5, generator=generator)
    memory = torch.cat([F.one_hot(names, 7).float(), payload], dim=-1)
    wanted = torch.arange(7).expand(32, 7)
    query = torch.cat([F.one_hot(wanted, 7).float(), torch.zeros(32, 7, 5)], dim=-1)
    answer = payload.gather(1, names.argsort(-1)[..., None].expand(-1, -1, 5))
    return F.mse_loss(module(query, memory, memory)[..., -5:], answer)


def test_one_module_learns_to_look_up() -> None:
    torch.manual_seed(0)
    module = MultiHeadAttention(12, 2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for step in range(300):
        optimizer.zero_grad()
        lookup_loss(module, step).backward()
        optimizer.step()
    # The payloads' variance is 1, and that of the mean of all 7 payloads leaves 6/7 of it.
    assert lookup_loss(module, 1000).item() < 0.1

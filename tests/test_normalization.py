import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import parity
from tx_utils import LayerNorm, layer_norm

B, T, D_MODEL = 2, 5, 7


def formula(x: Tensor, norm: LayerNorm) -> Tensor:
    return layer_norm(x, norm.weight, norm.bias, norm.eps)


def norm_and_twin(eps: float, dtype: torch.dtype = torch.float64) -> tuple[LayerNorm, nn.LayerNorm]:
    ours = parity.randomize(LayerNorm(D_MODEL, eps=eps))
    return ours.to(dtype), parity.twin(ours, nn.LayerNorm(D_MODEL, eps=eps)).to(dtype)


# Oracle


@pytest.mark.parametrize("written_out", [True, False])
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_output_and_gradients_equal_torch(eps: float, mean: float, written_out: bool) -> None:
    norm, twin = norm_and_twin(eps)
    ours, theirs = parity.leaves(*[parity.tensor(B, T, D_MODEL) + mean] * 2)
    output = formula(ours, norm) if written_out else norm(ours)
    parity.assert_same(output, twin(theirs), [ours], [theirs])
    parity.assert_same_gradients(norm, twin)


# At a mean of 1e4 float32 keeps three digits after the point, and each kernel loses them in its
# own way.
@pytest.mark.parametrize(("mean", "tolerance"), [(0.0, 1e-5), (1e4, 2e-2)])
def test_formula_equals_torch_within_float32s_rounding(mean: float, tolerance: float) -> None:
    norm, twin = norm_and_twin(1e-5, torch.float32)
    x = parity.tensor(B, T, D_MODEL).float() + mean
    for output in (formula(x, norm), norm(x)):
        torch.testing.assert_close(output, twin(x), rtol=0, atol=tolerance)


@pytest.mark.parametrize("written_out", [True, False])
def test_eps_is_torchs_unless_given(written_out: bool) -> None:
    norm, x = LayerNorm(D_MODEL).double(), parity.tensor(B, T, D_MODEL) * 1e-3  # where eps tells
    output = layer_norm(x, norm.weight, norm.bias) if written_out else norm(x)
    parity.assert_close(output, nn.LayerNorm(D_MODEL).double()(x))


@pytest.mark.parametrize("written_out", [True, False])
def test_eps_stands_inside_the_root_and_the_variance_is_biased(written_out: bool) -> None:
    norm = LayerNorm(3, eps=0.01).double()
    x = torch.tensor([-0.1, 0.0, 0.1], dtype=torch.float64)
    scale = 0.1 / math.sqrt(0.02 / 3 + 0.01)  # variance: 0.02 over 3 entries, not over 2
    expected = torch.tensor([-scale, 0.0, scale], dtype=torch.float64)
    parity.assert_close(formula(x, norm) if written_out else norm(x), expected)


# Property


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    d_model=st.integers(2, 13),
    shift=st.floats(-100, 100),
    scale=st.floats(0.1, 100),
)
def test_each_token_gets_mean_0_and_variance_1_whatever_its_own(
    seed: int, d_model: int, shift: float, scale: float
) -> None:
    norm, x = LayerNorm(d_model, eps=0.0).double(), parity.tensor(B, T, d_model, seed=seed)
    normal = norm(x)
    parity.assert_close(normal.mean(-1), torch.zeros(B, T).double(), tolerance=1e-9)
    parity.assert_close(normal.var(-1, correction=0), torch.ones(B, T).double(), tolerance=1e-9)
    # Rounding counts against the spread of the token: two near entries have little of it.
    tolerance = 1e-10 / float(x.std(-1, correction=0).min())
    for moved in (norm(x * scale + shift), formula(x * scale + shift, norm)):
        parity.assert_close(moved, normal, tolerance=tolerance)


def test_nothing_is_edited_in_place_or_stored() -> None:
    norm, x = LayerNorm(D_MODEL), torch.randn(B, T, D_MODEL)
    before = x.clone()
    norm(x)
    formula(x, norm)
    assert torch.equal(x, before)
    assert parity.stray_tensors(norm) == []


# Border


@pytest.mark.parametrize("d_model", [1, D_MODEL])
def test_a_constant_token_becomes_the_bias(d_model: int) -> None:
    norm = parity.randomize(LayerNorm(d_model))
    x = torch.full((B, T, d_model), 3.0, dtype=torch.float64)
    for output in (norm(x), formula(x, norm)):
        parity.assert_close(output, norm.bias.expand_as(x))


@pytest.mark.parametrize(
    ("d_model", "eps", "message"),
    [
        (0, 1e-5, "d_model must be a positive integer, got 0"),
        (7, -1e-5, "eps must be finite and not negative, got -1e-05"),
        (7, math.nan, "eps must be finite and not negative, got nan"),
    ],
)
def test_sizes_out_of_range_are_refused(d_model: int, eps: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LayerNorm(d_model, eps=eps)


@pytest.mark.parametrize("shape", [(B, T, 11), (B, D_MODEL, T)])
def test_another_width_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"^x must have width 7, got {re.escape(str(shape))}$"):
        LayerNorm(D_MODEL)(torch.zeros(shape))

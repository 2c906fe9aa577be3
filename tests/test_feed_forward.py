import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import parity
from tx_utils import FeedForward

B, T, D_MODEL, D_FF = 2, 5, 7, 11


def exact_gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": exact_gelu,
    "gelu_tanh": tanh_gelu,
}

# Oracle


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_output_and_gradients_equal_two_linear_maps_around_the_activation(activation: str) -> None:
    module = parity.randomize(FeedForward(D_MODEL, D_FF, activation=activation))
    (x,) = parity.leaves(parity.tensor(B, T, D_MODEL))
    ours = [x, *module.parameters()]
    theirs = y, w1, b1, w2, b2 = parity.leaves(*ours)
    expected = F.linear(ACTIVATIONS[activation](F.linear(y, w1, b1)), w2, b2)
    parity.assert_same(module(x), expected, ours, theirs)


def test_the_two_gelus_are_near_but_not_the_same() -> None:
    x = parity.tensor(B, T, D_MODEL)
    exact, approximate = (
        parity.randomize(FeedForward(D_MODEL, D_FF, activation=name))(x)
        for name in ("gelu", "gelu_tanh")
    )
    assert 1e-6 < (exact - approximate).abs().max().item() < 1e-2


# Property


def test_each_token_is_transformed_by_itself() -> None:
    module, x = parity.randomize(FeedForward(D_MODEL, D_FF)), parity.tensor(B, T, D_MODEL)
    changed = x.clone()
    changed[1, 3] += 1
    moved = (module(changed) != module(x)).any(-1)
    assert moved.nonzero().tolist() == [[1, 3]]
    parity.assert_close(module(x[1, 3]), module(x)[1, 3])


def test_dropout_falls_on_the_hidden_units_after_the_activation() -> None:
    torch.manual_seed(0)
    module = parity.randomize(FeedForward(D_MODEL, D_FF, dropout=0.75, activation="gelu"))
    x = parity.tensor(31, T, D_MODEL)
    inputs: list[Tensor] = []
    module.linear2.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    output = module(x)
    (dropped,) = inputs
    hidden = F.gelu(module.linear1(x))  # relu would not tell before from after
    kept = dropped != 0
    parity.assert_close(dropped[kept], 4 * hidden[kept])
    assert kept.double().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(output, module.linear2(dropped))  # and nowhere else
    assert torch.equal(module.eval()(x), module.linear2(hidden))


def test_without_dropout_training_and_evaluation_agree_and_nothing_is_edited_or_stored() -> None:
    module, x = FeedForward(D_MODEL, D_FF), torch.randn(B, T, D_MODEL)
    before = x.clone()
    assert torch.equal(module.train()(x), module.eval()(x))
    assert torch.equal(x, before)
    assert parity.stray_tensors(module) == []


# Border


def test_an_unknown_activation_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"^activation must be one of relu, gelu, gelu_tanh, got 'swish'$"
    ):
        FeedForward(D_MODEL, D_FF, activation="swish")


@pytest.mark.parametrize(
    ("d_model", "d_ff", "dropout", "message"),
    [
        (0, 11, 0.0, "d_model must be a positive integer, got 0"),
        (7, -1, 0.0, "d_ff must be a positive integer, got -1"),
        (7, 11, 1.0, "dropout must lie in [0, 1), got 1.0"),
        (7, 11, math.nan, "dropout must lie in [0, 1), got nan"),
    ],
)
def test_sizes_out_of_range_are_refused(
    d_model: int, d_ff: int, dropout: float, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FeedForward(d_model, d_ff, dropout=dropout)


def test_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x must have width 7, got shape \(2, 5, 11\)$"):
        FeedForward(D_MODEL, D_FF)(torch.zeros(B, T, D_FF))


# Learning


def test_it_learns_exclusive_or_which_no_linear_map_can() -> None:
    torch.manual_seed(0)
    x = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    wanted = x.prod(-1, keepdim=True)  # the best linear answer is 0, with a loss of 1
    module = FeedForward(2, 23)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.mse_loss(module(x)[:, :1], wanted)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05

import math
import re
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import parity
from tx_utils import (
    DecoderLayer,
    EncoderLayer,
    Residual,
    TransformerConfig,
    causal_mask,
    padding_mask,
)

B, T_Q, T_K, D_MODEL, H, D_FF = 2, 5, 7, 12, 3, 17
SOURCE = torch.tensor([[3, 5, 2, 0, 0, 0, 0], [1, 4, 2, 6, 5, 3, 0]])  # 0 is padding
TARGET = SOURCE[:, :T_Q]
SELF_MASK = causal_mask(T_Q) & padding_mask(TARGET, 0)
CROSS_MASK = padding_mask(SOURCE, 0)

both_orders = pytest.mark.parametrize("norm_first", [False, True])
both_layers = pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
# Inputs have size 1: an eps of 1 shows in every number.
all_choices = pytest.mark.parametrize(
    "choices",
    [
        {"activation": activation, "norm_first": norm_first, "norm_eps": norm_eps}
        for activation, norm_first, norm_eps in product(
            parity.ACTIVATIONS, (False, True), (1e-5, 1.0)
        )
    ],
    ids=lambda choices: "-".join(map(str, choices.values())),
)


def run(layer: nn.Module, x: Tensor, memory: Tensor) -> Tensor:
    if isinstance(layer, DecoderLayer):
        return layer(x, memory, SELF_MASK, CROSS_MASK)
    return layer(x, SELF_MASK)


def inputs() -> tuple[Tensor, Tensor]:
    return parity.tensor(B, T_Q, D_MODEL), parity.tensor(B, T_K, D_MODEL, seed=1)


# Oracle


@all_choices
def test_encoder_layer_and_gradients_equal_torch(choices: dict[str, Any]) -> None:
    layer = parity.randomize(EncoderLayer(D_MODEL, H, D_FF, **choices))
    twin = parity.torch_layer(layer, TransformerConfig(11, 13, D_MODEL, H, d_ff=D_FF, **choices))
    (x,) = ours = parity.leaves(parity.tensor(B, T_Q, D_MODEL))
    (y,) = theirs = parity.leaves(x)
    expected = twin(y, ~causal_mask(T_Q), src_key_padding_mask=TARGET == 0)
    parity.assert_same(layer(x, SELF_MASK), expected, ours, theirs)
    parity.assert_same_gradients(layer, twin)


@all_choices
def test_decoder_layer_and_gradients_equal_torch(choices: dict[str, Any]) -> None:
    layer = parity.randomize(DecoderLayer(D_MODEL, H, D_FF, **choices))
    twin = parity.torch_layer(layer, TransformerConfig(11, 13, D_MODEL, H, d_ff=D_FF, **choices))
    x, memory = ours = parity.leaves(*inputs())
    theirs = parity.leaves(*ours)
    expected = twin(
        *theirs,
        tgt_mask=~causal_mask(T_Q),
        tgt_key_padding_mask=TARGET == 0,
        memory_key_padding_mask=SOURCE == 0,
    )
    parity.assert_same(layer(x, memory, SELF_MASK, CROSS_MASK), expected, ours, theirs)
    parity.assert_same_gradients(layer, twin)


@both_layers
def test_layers_default_to_the_papers_choices_and_torchs_eps(
    kind: type[EncoderLayer | DecoderLayer],
) -> None:
    layer = parity.randomize(kind(D_MODEL, H, D_FF))
    twin = parity.torch_layer(layer, TransformerConfig(11, 13, D_MODEL, H, d_ff=D_FF))
    x = parity.tensor(B, T_Q, D_MODEL)
    more = (x,) if kind is DecoderLayer else ()
    parity.assert_close(layer(x, *more), twin(x, *more))


def test_a_residual_is_post_norm_with_torchs_eps_unless_asked_otherwise() -> None:
    residual, x = Residual(D_MODEL).double(), parity.tensor(B, T_Q, D_MODEL) * 1e-3
    parity.assert_close(residual(x, torch.sin), F.layer_norm(x + x.sin(), (D_MODEL,)))


@both_orders
def test_residual_is_its_equation(norm_first: bool) -> None:
    residual = parity.randomize(Residual(D_MODEL, norm_first=norm_first, norm_eps=0.1))
    norm = partial(F.layer_norm, normalized_shape=(D_MODEL,), eps=0.1)
    norm = partial(norm, weight=residual.norm.weight, bias=residual.norm.bias)
    x, _ = inputs()
    expected = x + norm(x).sin() if norm_first else norm(x + x.sin())
    parity.assert_close(residual(x, torch.sin), expected)


# Property


def test_encoder_layer_without_a_mask_does_not_see_the_order() -> None:
    layer, (x, _) = parity.randomize(EncoderLayer(D_MODEL, H, D_FF)), inputs()
    order = [3, 0, 4, 1, 2]
    parity.assert_close(layer(x[:, order]), layer(x)[:, order])


def test_decoder_layer_without_masks_does_not_see_the_orders() -> None:
    layer, (x, memory) = parity.randomize(DecoderLayer(D_MODEL, H, D_FF)), inputs()
    order, of_memory = [3, 0, 4, 1, 2], [6, 2, 0, 5, 1, 3, 4]
    moved = layer(x[:, order], memory[:, of_memory])
    parity.assert_close(moved, layer(x, memory)[:, order])


@both_orders
def test_hidden_memory_changes_nothing_and_the_rest_does(norm_first: bool) -> None:
    layer = parity.randomize(DecoderLayer(D_MODEL, H, D_FF, norm_first=norm_first))
    x, memory = inputs()
    hidden = memory + 5.0 * (SOURCE == 0)[..., None]
    shown = memory + 5.0 * (SOURCE == 2)[..., None]
    assert torch.equal(run(layer, x, hidden), run(layer, x, memory))
    assert (run(layer, x, shown) - run(layer, x, memory)).abs().amax(-1).min() > 1e-3


@both_orders
def test_dropout_spares_the_skip_path(norm_first: bool) -> None:
    torch.manual_seed(0)
    residual = parity.randomize(Residual(D_MODEL, dropout=1 - 1e-9, norm_first=norm_first))
    x, _ = inputs()
    expected = x if norm_first else residual.norm(x)
    assert torch.equal(residual(x, torch.sin), expected)
    assert not torch.equal(residual.eval()(x, torch.sin), expected)


def test_dropout_scales_what_is_left_of_the_sublayers_output() -> None:
    torch.manual_seed(0)
    residual = parity.randomize(Residual(D_MODEL, dropout=0.75, norm_first=True))
    x = parity.tensor(B, 101, D_MODEL)
    said = residual(x, torch.ones_like) - x
    assert said.mean().item() == pytest.approx(1.0, abs=0.15)
    parity.assert_close(said, 4 * (said > 2).double())


@both_layers
def test_dropout_falls_on_every_sublayers_output_and_on_nothing_inside(
    kind: type[EncoderLayer | DecoderLayer],
) -> None:
    torch.manual_seed(0)
    layer = parity.randomize(kind(D_MODEL, H, D_FF, dropout=0.5))
    drops: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for name, part in layer.named_modules():
        if isinstance(part, nn.Dropout):
            part.register_forward_hook(
                lambda _, args, output, name=name: drops.setdefault(name, []).append(
                    (args[0], output)
                )
            )
    run(layer, *inputs())
    # Once per sublayer, on its output; the feed-forward network's own changes nothing.
    inner = drops.pop("feed_forward.dropout")
    assert all(torch.equal(before, after) for before, after in inner)
    residuals = {name for name, part in layer.named_modules() if isinstance(part, Residual)}
    assert drops.keys() == {f"{name}.dropout" for name in residuals}
    for ((before, after),) in drops.values():
        assert not torch.equal(before, after)
        assert before.shape == (B, T_Q, D_MODEL)


@both_layers
def test_attention_itself_drops_nothing(kind: type[EncoderLayer | DecoderLayer]) -> None:
    layer = parity.randomize(kind(D_MODEL, H, D_FF, dropout=0.5))
    x, memory = inputs()
    first, again = (layer.self_attention(x, memory, memory) for _ in range(2))
    assert layer.training
    assert torch.equal(first, again)
    assert torch.equal(layer.eval().self_attention(x, memory, memory), first)


@both_orders
@both_layers
def test_without_dropout_training_and_evaluation_agree(
    kind: type[EncoderLayer | DecoderLayer], norm_first: bool
) -> None:
    layer = parity.randomize(kind(D_MODEL, H, D_FF, norm_first=norm_first))
    assert torch.equal(run(layer.train(), *inputs()), run(layer.eval(), *inputs()))


@both_layers
def test_nothing_is_edited_in_place_or_stored(kind: type[EncoderLayer | DecoderLayer]) -> None:
    layer, (x, memory) = kind(D_MODEL, H, D_FF).double(), inputs()
    everything = (x, memory, SELF_MASK, CROSS_MASK)
    before = [tensor.clone() for tensor in everything]
    run(layer, x, memory)
    assert all(torch.equal(tensor, b) for tensor, b in zip(everything, before, strict=True))
    assert parity.stray_tensors(layer) == []


# Border


@both_layers
def test_one_token_alone_passes(kind: type[EncoderLayer | DecoderLayer]) -> None:
    layer, x = kind(D_MODEL, H, D_FF).double(), parity.tensor(B, 1, D_MODEL)
    output = layer(x) if isinstance(layer, EncoderLayer) else layer(x, x)
    assert output.shape == x.shape
    assert output.isfinite().all()


def test_memory_of_another_width_is_refused() -> None:
    x, memory = inputs()
    message = re.escape("key must have shape (B, T, 12), got (2, 7, 11)")
    with pytest.raises(ValueError, match=f"^{message}$"):
        DecoderLayer(D_MODEL, H, D_FF).double()(x, memory[..., :11])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"num_heads": 5}, "d_model (12) must be divisible by num_heads (5)"),
        ({"d_ff": 0}, "d_ff must be a positive integer, got 0"),
        ({"dropout": 1.5}, "dropout must lie in [0, 1), got 1.5"),
        ({"activation": "tanh"}, "activation must be one of relu, gelu, gelu_tanh, got 'tanh'"),
        ({"norm_eps": -1.0}, "eps must be finite and not negative, got -1.0"),
    ],
)
@both_layers
def test_a_choice_out_of_range_is_refused(
    kind: type[EncoderLayer | DecoderLayer], choice: dict[str, Any], message: str
) -> None:
    sizes: dict[str, Any] = {"d_model": D_MODEL, "num_heads": H, "d_ff": D_FF}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(**(sizes | choice))


@pytest.mark.parametrize(
    ("d_model", "dropout", "message"),
    [
        (0, 0.0, "d_model must be a positive integer, got 0"),
        (12, math.inf, "dropout must lie in [0, 1), got inf"),
    ],
)
def test_a_residual_out_of_range_is_refused(d_model: int, dropout: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Residual(d_model, dropout=dropout)

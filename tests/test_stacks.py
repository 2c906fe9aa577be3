import pytest
import torch
from torch import Tensor

import parity
from small_models import CONFIG, D_MODEL, LAYERS, TRANSFORMERS
from tx_utils import Decoder, Encoder, LayerNorm, TransformerConfig
from tx_utils.configs import StackConfig

every_config = pytest.mark.parametrize("config", TRANSFORMERS.values(), ids=TRANSFORMERS)
both_stacks = pytest.mark.parametrize("kind", [Encoder, Decoder])


def run(stack: Encoder | Decoder, x: Tensor, memory: Tensor) -> Tensor:
    output: Tensor = stack(x, memory) if isinstance(stack, Decoder) else stack(x)
    return output


# Oracle


@every_config
def test_encoder_and_gradients_equal_torch(config: TransformerConfig) -> None:
    ours = parity.randomize(Encoder(config))
    theirs, x, mask = (
        parity.torch_stack(ours, config),
        parity.tensor(2, 5, D_MODEL),
        parity.mask(5, 5),
    )
    parity.assert_close(ours(x, mask), theirs(x, mask=~mask))
    ours(x, mask).square().sum().backward()
    theirs(x, mask=~mask).square().sum().backward()
    parity.assert_same_gradients(ours, theirs)


@every_config
def test_decoder_and_gradients_equal_torch(config: TransformerConfig) -> None:
    ours = parity.randomize(Decoder(config))
    theirs = parity.torch_stack(ours, config)
    x, memory = parity.tensor(2, 5, D_MODEL), parity.tensor(2, 7, D_MODEL, seed=1)
    own, cross = parity.mask(5, 5), parity.mask(5, 7, seed=1)
    expected = theirs(x, memory, tgt_mask=~own, memory_mask=~cross)
    parity.assert_close(ours(x, memory, own, cross), expected)
    ours(x, memory, own, cross).square().sum().backward()
    expected.square().sum().backward()
    parity.assert_same_gradients(ours, theirs)


# Property


def test_the_encoder_does_not_see_the_order() -> None:
    encoder, x = parity.randomize(Encoder(CONFIG)), parity.tensor(2, 5, D_MODEL)
    order = [3, 0, 4, 1, 2]
    parity.assert_close(encoder(x[:, order]), encoder(x)[:, order])


def test_the_decoder_without_masks_does_not_see_the_orders() -> None:
    decoder = parity.randomize(Decoder(CONFIG))
    x, memory = parity.tensor(2, 5, D_MODEL), parity.tensor(2, 7, D_MODEL, seed=1)
    order, of_memory = [3, 0, 4, 1, 2], [6, 2, 0, 5, 1, 3, 4]
    moved = decoder(x[:, order], memory[:, of_memory])
    parity.assert_close(moved, decoder(x, memory)[:, order])


@both_stacks
@every_config
def test_a_final_norm_follows_pre_norm_layers_only(
    kind: type[Encoder | Decoder], config: StackConfig
) -> None:
    stack = kind(config)
    assert isinstance(stack.norm, LayerNorm) == config.norm_first
    assert (stack.norm is None) != config.norm_first


@both_stacks
def test_no_two_layers_start_equal(kind: type[Encoder | Decoder]) -> None:
    stack = kind(CONFIG)
    assert len(stack.layers) == LAYERS
    first, second = (dict(layer.named_parameters()) for layer in stack.layers)
    for name, parameter in first.items():
        constant = "norm" in name
        assert torch.equal(parameter, second[name]) == constant, name


@both_stacks
def test_a_gradient_reaches_every_parameter_but_the_key_biases(
    kind: type[Encoder | Decoder],
) -> None:
    stack = parity.randomize(kind(CONFIG))
    x, memory = parity.tensor(2, 5, D_MODEL), parity.tensor(2, 7, D_MODEL, seed=1)
    run(stack, x, memory).square().sum().backward()
    for name, parameter in stack.named_parameters():
        assert parameter.grad is not None
        # softmax ignores what is the same for all keys
        assert (parameter.grad.abs().max() < 1e-9) == ("key_proj.bias" in name), name


# Border


@both_stacks
def test_one_token_is_enough(kind: type[Encoder | Decoder]) -> None:
    stack = parity.randomize(kind(CONFIG))
    x = parity.tensor(1, 1, D_MODEL)
    assert run(stack, x, x).shape == (1, 1, D_MODEL)

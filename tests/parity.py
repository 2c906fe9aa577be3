"""Our modules beside torch's: the same weights in, the same numbers and gradients out."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import Decoder, DecoderLayer, Encoder, Transformer
from tx_utils.configs import StackConfig

Module = TypeVar("Module", bound=nn.Module)

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}

# Ours -> torch's, for the names in an encoder's or a decoder's layer. Longer names come first.
ENCODER_NAMES = {
    "feed_forward_residual.norm.": "norm2.",
    "attention_residual.norm.": "norm1.",
    "self_attention.": "self_attn.",
    "feed_forward.": "",
}
DECODER_NAMES = {
    "feed_forward_residual.norm.": "norm3.",
    "cross_attention_residual.norm.": "norm2.",
    "self_attention_residual.norm.": "norm1.",
    "cross_attention.": "multihead_attn.",
    "self_attention.": "self_attn.",
    "feed_forward.": "",
}


def tensor(*shape: int, seed: int = 0, requires_grad: bool = False) -> Tensor:
    """Normal numbers in float64 from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=requires_grad)


def tokens(batch: int, length: int, vocab_size: int, *, seed: int = 0) -> Tensor:
    """Ids from 1 on: none of them is padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, vocab_size, (batch, length), generator=generator)


def mask(*shape: int, seed: int = 0, key_0: bool = True) -> Tensor:
    """A random mask; with `key_0` every row may look at the first key, as torch's modules need."""
    allowed = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    if key_0:
        allowed[..., 0] = True
    return allowed


def randomize(module: Module, *, seed: int = 0) -> Module:
    """In float64, with random parameters: a norm's ones and zeros would hide a mix-up."""
    module.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return module


def torch_names(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters, or their gradients, under torch's names; it stacks query, key and value."""
    names = DECODER_NAMES if any("cross_attention" in name for name in ours) else ENCODER_NAMES
    theirs = {}
    for name, value in ours.items():
        if "key_proj" in name or "value_proj" in name:
            continue
        if "query_proj" in name:
            parts = [ours[name.replace("query_", f"{part}_")] for part in ("query", "key", "value")]
            name, value = name.replace("query_proj.", "in_proj_"), torch.cat(parts)
        for our_name, their_name in names.items():
            name = name.replace(our_name, their_name)
        theirs[name] = value
    return theirs


def twin(ours: nn.Module, theirs: Module) -> Module:
    """Copy our parameters into torch's module; every one of them has its place there."""
    theirs.double().load_state_dict(torch_names(ours.state_dict()))
    return theirs


def torch_layer(ours: nn.Module, config: StackConfig) -> nn.Module:
    """Torch's layer by the config's choices, not by what our layer made of them."""
    decoder = isinstance(ours, DecoderLayer)
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    theirs = kind(
        config.d_model,
        config.num_heads,
        config.d_ff,
        dropout=0.0,
        activation=ACTIVATIONS[config.activation],
        layer_norm_eps=config.norm_eps,
        norm_first=config.norm_first,
        batch_first=True,
    )
    return twin(ours, theirs)


def torch_stack(ours: Encoder | Decoder, config: StackConfig) -> nn.Module:
    """Torch's stack; with a final norm or none, where nn.Transformer would always add one."""
    layer: Any = torch_layer(ours.layers[0], config)
    norm = nn.LayerNorm(config.d_model, config.norm_eps) if config.norm_first else None
    if isinstance(ours, Decoder):
        return twin(ours, nn.TransformerDecoder(layer, config.num_layers, norm))
    stack = nn.TransformerEncoder(layer, config.num_layers, norm, enable_nested_tensor=False)
    return twin(ours, stack)


def torch_transformer(ours: Transformer, config: StackConfig) -> nn.Transformer:
    """Torch's whole model but for embeddings, positions and output projection: it has none."""
    encoder, decoder = (torch_stack(part, config) for part in (ours.encoder, ours.decoder))
    theirs = nn.Transformer(
        config.d_model, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    )
    twin(ours.encoder, theirs.encoder)  # again: nn.Transformer starts all parameters anew
    twin(ours.decoder, theirs.decoder)
    return theirs


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """The gradient of every parameter that has one."""
    found = {name: parameter.grad for name, parameter in module.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-10) -> None:
    """Equal up to rounding, NaN nowhere."""
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=False)


def assert_same_gradients(ours: nn.Module, theirs: nn.Module) -> None:
    """Every parameter of ours has the gradient of its twin."""
    expected = gradients(theirs)
    translated = torch_names(gradients(ours))
    assert len(expected) == len(list(theirs.parameters()))
    assert translated.keys() == expected.keys()
    for name, gradient in translated.items():
        assert_close(gradient, expected[name])


def assert_same(
    ours: Tensor, theirs: Tensor, our_inputs: Sequence[Tensor], their_inputs: Sequence[Tensor]
) -> None:
    """Equal outputs and, after one backward pass with random weights, equal input gradients."""
    assert_close(ours, theirs)
    weight = tensor(*ours.shape, seed=99)
    ours.backward(weight)
    theirs.backward(weight)
    for our_input, their_input in zip(our_inputs, their_inputs, strict=True):
        assert our_input.grad is not None
        assert their_input.grad is not None
        assert_close(our_input.grad, their_input.grad)


def leaves(*inputs: Tensor) -> list[Tensor]:
    """Copies that collect a gradient of their own."""
    return [x.detach().clone().requires_grad_() for x in inputs]


def stray_tensors(module: nn.Module) -> list[str]:
    """Names of tensors that a module keeps besides its parameters and buffers."""
    return [
        f"{path}.{name}"
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor)
    ]

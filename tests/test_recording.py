from typing import Any

import pytest
import torch
from torch import nn

import parity
from small_models import (
    CONFIG,
    GPT_CONFIG,
    LAYERS,
    SOURCE,
    TARGET,
    Config,
    H,
    both_writers,
    build,
    logits,
    random_model,
)
from tx_utils import (
    DecoderLayer,
    FeedForward,
    MultiHeadAttention,
    causal_mask,
    padding_mask,
    record_attention,
)

T_Q, T_K, D_MODEL = 5, 7, 12
ENCODER = {f"encoder.layers.{i}.self_attention": (2, H, T_K, T_K) for i in range(LAYERS)}
DECODER = {
    f"decoder.layers.{i}.{name}_attention": (2, H, T_Q, length)
    for i in range(LAYERS)
    for name, length in (("self", T_Q), ("cross", T_K))
}


def hooks(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in model.modules())


# Oracle


@pytest.mark.parametrize("by_keyword", [True, False])
def test_maps_are_the_modules_own_weights_under_the_same_mask(by_keyword: bool) -> None:
    module = parity.randomize(MultiHeadAttention(D_MODEL, H))
    query, key = parity.tensor(2, T_Q, D_MODEL), parity.tensor(2, T_K, D_MODEL, seed=1)
    mask = parity.mask(2, 1, T_Q, T_K)
    with record_attention(nn.Sequential(module)) as maps:
        if by_keyword:
            module(value=key, mask=mask, key=key, query=query)
        else:
            module(query, key, key, mask)
    assert maps.keys() == {"0"}
    assert torch.equal(maps["0"], module.weights(query, key, mask))
    assert not torch.equal(maps["0"], module.weights(query, key))


def test_maps_of_a_layer_are_torchs_attention_weights() -> None:
    layer = parity.randomize(DecoderLayer(CONFIG.d_model, CONFIG.num_heads, CONFIG.d_ff))
    twin: Any = parity.torch_layer(layer, CONFIG)
    x, memory = parity.tensor(2, T_Q, D_MODEL), parity.tensor(2, T_K, D_MODEL, seed=1)
    with record_attention(layer) as maps:
        layer(x, memory, causal_mask(T_Q), padding_mask(SOURCE, 0))
    _, expected = twin.self_attn(x, x, x, attn_mask=~causal_mask(T_Q), average_attn_weights=False)
    parity.assert_close(maps["self_attention"], expected)


# Property


def test_every_map_of_a_transformer_has_its_name_shape_and_masks() -> None:
    model = random_model(CONFIG)
    with record_attention(model) as maps:
        logits(model)
    assert {name: tuple(weights.shape) for name, weights in maps.items()} == ENCODER | DECODER
    source, past = padding_mask(SOURCE, 0), causal_mask(T_Q) & padding_mask(TARGET, 0)
    for name, weights in maps.items():
        mask = past if "decoder" in name and "self" in name else source
        assert torch.equal(weights > 0, mask.expand_as(weights))


def test_every_map_of_a_gpt_is_causal() -> None:
    model = random_model(GPT_CONFIG)
    with record_attention(model) as maps:
        logits(model)
    assert maps.keys() == ENCODER.keys()
    assert all(torch.equal(w > 0, causal_mask(T_Q).expand_as(w)) for w in maps.values())


@both_writers
def test_observing_changes_no_output_no_gradient_and_no_module(config: Config) -> None:
    model = random_model(config)
    plain = logits(model)
    plain.sum().backward()
    gradients = parity.gradients(model)
    model.zero_grad()
    with record_attention(model) as maps:
        observed = logits(model)
    observed.sum().backward()
    assert torch.equal(observed, plain)
    for name, gradient in parity.gradients(model).items():
        assert torch.equal(gradient, gradients[name])
    assert not any(weights.requires_grad for weights in maps.values())
    assert parity.stray_tensors(model) == []


def test_the_last_call_stays() -> None:
    model = random_model(GPT_CONFIG)
    with record_attention(model) as maps:
        logits(model, TARGET[:1, :3])
        first = dict(maps)
        logits(model, TARGET)
    assert {weights.shape for weights in first.values()} == {(1, H, 3, 3)}
    assert {weights.shape for weights in maps.values()} == {(2, H, T_Q, T_Q)}


def test_names_lead_to_the_modules_of_a_model_within_a_model() -> None:
    inner = build(GPT_CONFIG)
    model = nn.ModuleDict({"old": build(CONFIG), "new": nn.ModuleList([inner])})
    with record_attention(model) as maps:
        inner(TARGET)
    assert maps.keys() == {f"new.0.{name}" for name in ENCODER}
    assert all(isinstance(model.get_submodule(name), MultiHeadAttention) for name in maps)


def test_nested_recordings_both_see_and_the_inner_one_ends_first() -> None:
    model = random_model(GPT_CONFIG)
    with record_attention(model) as outer:
        with record_attention(model.encoder) as inner:
            logits(model)
        seen = dict(inner)
        logits(model, TARGET[:1])
    assert {f"encoder.{name}" for name in inner} == outer.keys()
    assert inner == seen
    assert {weights.size(0) for weights in outer.values()} == {1}


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_the_mode_stay_out_of_the_maps(training: bool) -> None:
    module = nn.ModuleList([MultiHeadAttention(D_MODEL, H)]).train(training)
    x = torch.randn(2, T_Q, D_MODEL)
    with record_attention(module) as maps:
        module[0](x, x, x)
    torch.testing.assert_close(maps["0"].sum(-1), torch.ones(2, H, T_Q))
    assert module.training == training


# Border


def test_hooks_go_with_the_block_and_after_an_error_too() -> None:
    model = random_model(CONFIG)
    with record_attention(model) as maps:
        assert hooks(model) == 3 * LAYERS
    logits(model)
    assert maps == {}
    with pytest.raises(ZeroDivisionError), record_attention(model):
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="token ids"), record_attention(model) as maps:
        model(SOURCE, TARGET.float())
    assert maps.keys() == ENCODER.keys()  # what ran before the error is there to be looked at
    assert hooks(model) == 0


def test_a_model_without_attention_gives_no_maps() -> None:
    model = nn.Sequential(FeedForward(D_MODEL, 17))
    with record_attention(model) as maps:
        model(torch.zeros(2, T_Q, D_MODEL))
    assert maps == {}


def test_attention_alone_has_the_empty_name() -> None:
    module, x = MultiHeadAttention(D_MODEL, H), torch.zeros(2, T_Q, D_MODEL)
    with record_attention(module) as maps:
        module(x, x, x)
    assert maps.keys() == {""}


def test_a_query_that_may_look_at_nothing_has_an_empty_row() -> None:
    module, x = MultiHeadAttention(D_MODEL, H), torch.randn(2, T_Q, D_MODEL)
    with record_attention(module) as maps:
        module(x, x, x, torch.ones(T_Q, T_Q, dtype=torch.bool).tril(-1))
    assert maps[""][:, :, 0].count_nonzero() == 0

"""The benchmark's peers in plain torch, and our attention written out; no other contender."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import attention_memory, flops, peers, written_out
from parity import assert_close, tokens
from tx_utils import GPT, GPTConfig, MultiHeadAttention, Transformer, TransformerConfig

VOCAB, D_MODEL, HEADS, LAYERS, D_FF, LENGTH, BATCH = 13, 12, 3, 2, 17, 7, 5
GPT_CONFIG = GPTConfig(VOCAB, D_MODEL, HEADS, LAYERS, D_FF, LENGTH, scale_embedding=False)
CONFIG = TransformerConfig(
    11, VOCAB, D_MODEL, HEADS, LAYERS, D_FF, LENGTH, dropout=0.0, scale_embedding=False
)


# Oracle


def nano_names(name: str) -> str:
    """Ours -> those of `NanoGPT`; query, key and value are joined before."""
    for ours, theirs in (
        ("encoder.layers.", "blocks."),
        ("encoder.norm.", "norm."),
        ("self_attention.", ""),
        ("feed_forward_residual.norm.", "norm2."),
        ("attention_residual.norm.", "norm1."),
        ("feed_forward.", ""),
    ):
        name = name.replace(ours, theirs)
    return name


def test_the_nano_design_is_our_model_with_one_projection() -> None:
    ours, theirs = GPT(GPT_CONFIG).double(), peers.NanoGPT(GPT_CONFIG).double()
    state = {nano_names(k): v for k, v in ours.state_dict().items() if "output_proj" not in k}
    for block, kind in itertools.product(range(LAYERS), ("weight", "bias")):
        parts = [state.pop(f"blocks.{block}.{p}_proj.{kind}") for p in ("query", "key", "value")]
        state[f"blocks.{block}.qkv_proj.{kind}"] = torch.cat(parts)
    theirs.load_state_dict(state)
    ids = tokens(BATCH, LENGTH, VOCAB)
    assert_close(theirs(ids), ours(ids))


@pytest.mark.parametrize("kind", [peers.NanoGPT, peers.TorchGPT])
def test_the_gpts_have_our_number_of_parameters_and_do_not_look_ahead(
    kind: type[peers.EmbeddedGPT],
) -> None:
    model = kind(GPT_CONFIG)
    assert count(model) == count(GPT(GPT_CONFIG))
    ids = tokens(BATCH, LENGTH, VOCAB)
    changed = ids.clone()
    changed[:, 4:] = changed[:, 4:] % (VOCAB - 1) + 1
    before, after = model(ids), model(changed)
    assert_close(before[:, :4], after[:, :4], 1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_torchs_transformer_differs_by_its_two_final_norms() -> None:
    config = replace(CONFIG, num_heads=2)  # torch warns of an odd number
    theirs, ours = peers.TorchTransformer(config), Transformer(config)
    assert count(theirs) == count(ours) + 2 * 2 * D_MODEL
    source, target = tokens(BATCH, LENGTH, 11), tokens(BATCH, 5, VOCAB)
    source[0, 3:] = CONFIG.pad_id
    assert theirs(source, target).shape == ours(source, target).shape
    longer = torch.cat([source, torch.zeros_like(source[:, :2])], dim=1)[:, :LENGTH]
    assert_close(theirs(source[:1, :3], target[:1]), theirs(longer[:1], target[:1]), 1e-5)


@pytest.mark.parametrize("model", [GPT(GPT_CONFIG), Transformer(CONFIG)], ids=["gpt", "two"])
def test_attention_written_out_gives_the_same_numbers(model: nn.Module) -> None:
    model.double()
    inputs = [tokens(BATCH, LENGTH, 11, seed=n) for n in range(2)][
        : 1 if isinstance(model, GPT) else 2
    ]
    expected = model(*inputs)
    written_out.write_out(model)
    attentions = [part for part in model.modules() if isinstance(part, MultiHeadAttention)]
    assert attentions
    assert {type(part) for part in attentions} == {written_out.WrittenOutAttention}
    assert_close(model(*inputs), expected)


@pytest.mark.parametrize("form", attention_memory.FORMS)
def test_all_forms_of_the_measured_attention_agree(form: str) -> None:
    x = torch.randn(1, LENGTH, attention_memory.D_MODEL)
    torch.manual_seed(0)
    expected = attention_memory.attention_of(attention_memory.CAUSAL)(x)
    torch.manual_seed(0)
    assert_close(attention_memory.attention_of(form)(x), expected, 1e-5)


def test_the_formula_counts_what_torch_counts() -> None:
    model = written_out.write_out(GPT(GPT_CONFIG))
    with FlopCounterMode(display=False) as counter:
        logits = model(tokens(BATCH, LENGTH, VOCAB))
        forward = counter.get_total_flops()
        logits.sum().backward()
    weights = LAYERS * flops.layer_weights(D_MODEL, D_FF) + D_MODEL * VOCAB
    expected = flops.forward_flops(weights, BATCH * LENGTH, LAYERS, d_model=D_MODEL, length=LENGTH)
    assert forward == expected
    assert counter.get_total_flops() == flops.training_flops(expected)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# Property


def test_peak_memory_grows_by_what_is_held() -> None:
    before = attention_memory.reset_peak_memory()
    held = torch.ones(100_000_000, dtype=torch.uint8)
    assert 0.9 * held.numel() < attention_memory.peak_memory() - before < 1.5 * held.numel()


# Border


def test_the_written_out_form_refuses_a_cache() -> None:
    attention = written_out.WrittenOutAttention(D_MODEL, HEADS)
    x = torch.randn(1, 1, D_MODEL)
    cache: Any = "a cache"
    with pytest.raises(ValueError, match=r"^the written-out form takes no cache, got 'a cache'$"):
        attention(x, x, x, cache=cache)

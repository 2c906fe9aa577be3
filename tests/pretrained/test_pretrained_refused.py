"""Weights that do not fit are refused, and the error lists all that is wrong with them."""

import pytest
import torch
from published import KINDS, assert_refused, every_kind, load_bert, load_gpt2, published

MAX_LEN = 13


# Border


@every_kind
def test_the_unchanged_weights_fit(kind: str) -> None:
    _, load = KINDS[kind]
    model = load(published(kind))
    assert not model.training
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@every_kind
def test_every_missing_tensor_is_named(kind: str) -> None:
    weights = published(kind)
    assert len(weights) > 20
    for name in weights:
        if name != "lm_head.weight":  # without it GPT-2 scores with its embeddings
            rest = {n: tensor for n, tensor in weights.items() if n != name}
            assert_refused(kind, rest, f"missing: {name}")


@every_kind
def test_every_misshapen_tensor_is_named_with_both_shapes(kind: str) -> None:
    weights = published(kind)
    for name, tensor in weights.items():
        longer = torch.cat([tensor, tensor[..., :1]], dim=-1)
        got, expected = (f"({', '.join(map(str, x.shape))})" for x in (longer, tensor))
        changed = {**weights, name: longer}
        assert_refused(kind, changed, f"misshapen: {name} {got}, expected {expected}")
        changed = {**weights, name: tensor[None]}
        got = f"({', '.join(map(str, tensor[None].shape))})"
        if name.endswith("position_embeddings.weight") or name.endswith("wpe.weight"):
            expected = expected.replace(str(MAX_LEN), "max_len")  # nobody else knows it
        if "token_type" in name:
            expected = expected.replace("2", "num_token_types")
        if "word_embeddings" in name or name == "wte.weight":
            expected = expected.replace("29", "vocab_size")
        assert_refused(kind, changed, f"misshapen: {name} {got}, expected {expected}")


@every_kind
@pytest.mark.parametrize(
    "name",
    [
        "extra",
        "h.0.crossattention.c_attn.weight",
        "encoder.layer.1.attention.self.distance_embedding.weight",
        "transformer.h.00.ln_1.weight",
        "h.7.attn.bias",
        "encoder.layer.9.output.LayerNorm.gamma.weight",
        "embeddings.position_ids.1",
        "score.weight",
        "poolers.weight",
    ],
)
def test_every_unexpected_tensor_is_named_with_its_shape(kind: str, name: str) -> None:
    weights = {**published(kind), name: torch.ones(5, 7)}
    assert_refused(kind, weights, f"unexpected: {name} (5, 7)")


def test_one_error_lists_everything() -> None:
    weights = published("GPT2LMHeadModel")
    del weights["transformer.h.1.ln_2.bias"], weights["transformer.ln_f.weight"]
    weights["transformer.wpe.weight"] = torch.ones(13, 16)
    weights["transformer.h.0.mlp.c_fc.weight"] = weights["transformer.h.0.mlp.c_fc.weight"].T
    weights["transformer.h.0.ln_1.bias"] = torch.ones(15, dtype=torch.int8)
    weights["transformer.h.0.attn.masked_bias"] = torch.tensor(0.0)
    weights |= {"a": torch.ones(()), "b": torch.ones(2, 3)}
    assert_refused(
        "GPT2LMHeadModel",
        weights,
        "missing: transformer.h.1.ln_2.bias; transformer.ln_f.weight",
        "unexpected: a (); b (2, 3)",
        "misshapen: transformer.wpe.weight (13, 16), expected (13, 15); "
        "transformer.h.0.mlp.c_fc.weight (17, 15), expected (15, 17)",
        "not floating point: transformer.h.0.ln_1.bias (torch.int8)",
        "with other contents: transformer.h.0.attn.masked_bias, "
        "expected one number of at most -10000",
    )


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, "; and 1 more"), (40, "; and 30 more")])
def test_a_long_list_is_cut_short(count: int, more: str) -> None:
    names = [f"extra.{number}" for number in range(count)]
    listed = "; ".join(f"{name} (5)" for name in names[:10])
    weights = {**published("BertModel"), **{name: torch.ones(5) for name in names}}
    assert_refused("BertModel", weights, f"unexpected: {listed}{more}")


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(dtype: torch.dtype) -> None:
    name = "embeddings.LayerNorm.weight"
    weights = {**published("BertModel"), name: torch.ones(15, dtype=dtype)}
    assert_refused("BertModel", weights, f"not floating point: {name} ({dtype})")


@pytest.mark.parametrize(("kind", "layer"), [("GPT2Model", "h."), ("BertModel", "encoder.layer.")])
@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (3, 0)])
def test_layers_with_gaps_are_refused(kind: str, layer: str, numbers: tuple[int, int]) -> None:
    def renumbered(name: str) -> str:
        for old, new in enumerate(numbers):
            if name.startswith(f"{layer}{old}."):
                return name.replace(f"{layer}{old}.", f"{layer}{new}.")
        return name

    weights = {renumbered(name): tensor for name, tensor in published(kind).items()}
    listed = "; ".join(map(str, sorted(numbers)))
    assert_refused(kind, weights, f"layers not numbered from 0 on: {listed}")


def test_without_any_layer_the_first_one_is_missing() -> None:
    weights = {n: t for n, t in published("BertModel").items() if not n.startswith("encoder.")}
    names = "; ".join(
        f"encoder.layer.0.{name}.{what}"
        for name in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
        )
        for what in ("weight", "bias")
    )
    assert_refused("BertModel", weights, f"missing: {names}; and 6 more")


@every_kind
def test_nothing_at_all_is_refused(kind: str) -> None:
    name, load = KINDS[kind]
    with pytest.raises(
        ValueError, match=rf"^these are not the weights of {name}\nmissing: .* more$"
    ):
        load({})


@pytest.mark.parametrize(("given", "wanted"), [("GPT2Model", "BERT"), ("BertModel", "GPT-2")])
def test_another_models_weights_are_missing_and_unexpected(given: str, wanted: str) -> None:
    load = load_bert if wanted == "BERT" else load_gpt2
    pattern = rf"^these are not the weights of {wanted}\nmissing: .*\nunexpected: .* more$"
    with pytest.raises(ValueError, match=pattern):
        load(published(given))


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        ("GPT2LMHeadModel", "transformer.ln_f.bias", "ln_f.bias"),
        ("BertForMaskedLM", "bert.embeddings.LayerNorm.bias", "embeddings.LayerNorm.bias"),
        ("BertForMaskedLM", "bert.embeddings.LayerNorm.bias", "roberta.embeddings.LayerNorm.bias"),
    ],
)
def test_mixed_prefixes_are_refused(kind: str, name: str, other: str) -> None:
    weights = published(kind)
    assert_refused(kind, {**weights, other: weights[name]}, f"unexpected: {other} (15)")
    weights[other] = weights.pop(name)
    assert_refused(kind, weights, f"missing: {name}", f"unexpected: {other} (15)")


def test_old_and_new_names_side_by_side_are_refused() -> None:
    weights = {**published("BertModel"), "embeddings.LayerNorm.gamma": torch.ones(15)}
    assert_refused("BertModel", weights, "unexpected: embeddings.LayerNorm.gamma (15)")


def test_layers_of_both_orders_of_the_norm_are_refused() -> None:
    weights = published("BertModel")
    old, new = "encoder.layer.1.attention.output.LayerNorm", "encoder.layer.1.attention.LayerNorm"
    for what in ("weight", "bias"):
        weights[f"{new}.{what}"] = weights.pop(f"{old}.{what}")
    with pytest.raises(ValueError, match=r"\nmissing: encoder\.layer\.0\.attention\.LayerNorm"):
        load_bert(weights)

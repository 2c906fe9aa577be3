import re
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

import hugging_face
import parity
from tx_utils import BERT, padding_mask
from tx_utils.pretrained import bert
from tx_utils.pretrained.accounting import Account
from tx_utils.pretrained.bert import HEADS, POST_NORM_NAMES, PRE_NORM_NAMES
from tx_utils.pretrained.names import Entry

H, VOCAB, MAX_LEN, D_MODEL = 3, 29, 13, 15
SHAPES: list[dict[str, Any]] = [
    {},
    {"num_attention_heads": 5, "num_hidden_layers": 1, "type_vocab_size": 3},
    {"vocab_size": 7, "max_position_embeddings": 11, "hidden_size": 14, "num_attention_heads": 2},
    {"vocab_size": 31, "max_position_embeddings": 37, "hidden_size": 11, "num_attention_heads": 11},
    {"hidden_size": 19, "num_attention_heads": 1, "type_vocab_size": 5, "num_hidden_layers": 3},
]
# The two that count positions from their padding's id on have that many rows before the first.
OFFSET = {"BertModel": 0, "RobertaModel": 2, "RobertaPreLayerNormModel": 2}
ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}  # ours: theirs

every_kind = pytest.mark.parametrize("kind", OFFSET)


def loaded(theirs: Any, **choices: Any) -> BERT:
    offset = OFFSET.get(type(theirs).__name__, 0)
    heads = theirs.config.num_attention_heads
    return bert(theirs.state_dict(), num_heads=heads, position_offset=offset, **choices)


def inputs(theirs: Any) -> dict[str, Tensor]:
    """Three sequences, two of them with padding on the right, each of segments in some order."""
    config = theirs.config
    length = config.max_position_embeddings - OFFSET.get(type(theirs).__name__, 0)
    ids = parity.tokens(3, length, config.vocab_size - 1) + 1  # 1 is RoBERTa's padding
    types = parity.tokens(3, length, config.type_vocab_size + 1, seed=1) - 1
    mask = torch.arange(length) < torch.tensor([[length], [2], [length - 3]])
    return {"tokens": ids.masked_fill(~mask, 1), "token_types": types, "mask": mask}


def hidden(theirs: Any, tokens: Tensor, token_types: Tensor, mask: Tensor) -> Tensor:
    output = theirs(input_ids=tokens, token_type_ids=token_types, attention_mask=mask.long())
    states: Tensor = output.last_hidden_state
    return states


# Oracle


@every_kind
@pytest.mark.parametrize("choices", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_hidden_states_equal_hugging_faces(
    kind: str, choices: dict[str, Any], dtype: torch.dtype
) -> None:
    theirs = hugging_face.bert(kind, **choices).to(dtype)
    given = inputs(theirs)
    real = given["mask"]
    states = loaded(theirs)(**given)
    assert states.dtype == dtype
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    parity.assert_close(states[real], hidden(theirs, **given)[real], tolerance)


@every_kind
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.1])
def test_activation_and_eps_can_be_set(kind: str, activation: str, eps: float) -> None:
    theirs = hugging_face.bert(kind, hidden_act=ACTIVATIONS[activation], layer_norm_eps=eps, seed=1)
    given = inputs(theirs)
    real = given["mask"]
    ours = loaded(theirs, activation=activation, norm_eps=eps)
    parity.assert_close(ours(**given)[real], hidden(theirs, **given)[real])
    usual = (activation, eps) == ("gelu", 1e-12)
    assert torch.equal(loaded(theirs)(**given), ours(**given)) == usual


def test_the_defaults_are_those_of_the_published_models() -> None:
    config = hugging_face.transformers("BertConfig")()
    assert (config.hidden_act, config.layer_norm_eps) == ("gelu", 1e-12)
    config = hugging_face.transformers("RobertaConfig")()
    assert config.pad_token_id + 1 == OFFSET["RobertaModel"]


def test_without_token_types_and_mask_all_are_the_first_and_all_are_seen() -> None:
    theirs = hugging_face.bert()
    ids = parity.tokens(2, 7, VOCAB)
    parity.assert_close(loaded(theirs)(ids), theirs(input_ids=ids).last_hidden_state)


def test_gradients_equal_hugging_faces() -> None:
    theirs = hugging_face.bert()
    ours, given = loaded(theirs), inputs(theirs)
    weight = parity.tensor(*given["tokens"].shape, D_MODEL, seed=99) * given["mask"][..., None]
    (ours(**given) * weight).sum().backward()
    (hidden(theirs, **given) * weight).sum().backward()
    gradients = Account(hugging_face.gradients(theirs), POST_NORM_NAMES)
    gradients.check("BERT")
    expected, found = gradients.parameters(), parity.gradients(ours)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        parity.assert_close(gradient, expected[name].data)


# Names


@pytest.mark.parametrize(
    ("kind", "table"),
    [("BertModel", POST_NORM_NAMES), ("RobertaPreLayerNormModel", PRE_NORM_NAMES)],
)
def test_the_tables_have_a_place_for_every_parameter_of_ours(
    kind: str, table: tuple[Entry, ...]
) -> None:
    ours = loaded(hugging_face.bert(kind, num_hidden_layers=1))
    names = [name for entry in table for name in entry.of_layer(0).ours]
    assert len(names) == len(set(names))
    assert set(names) == {name for name, _ in ours.named_parameters()}
    assert ours.config.norm_first == (table is PRE_NORM_NAMES)


@pytest.mark.parametrize(
    "kind",
    [
        "BertForPreTraining",
        "BertForMaskedLM",
        "BertForNextSentencePrediction",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
        "RobertaForMaskedLM",
        "RobertaForSequenceClassification",
        "RobertaPreLayerNormForMaskedLM",
        "RobertaPreLayerNormForQuestionAnswering",
    ],
)
def test_what_stands_on_top_is_left_out(kind: str) -> None:
    theirs = hugging_face.bert(kind)
    encoder = getattr(theirs, theirs.base_model_prefix)
    names = theirs.state_dict().keys() - {
        f"{theirs.base_model_prefix}.{n}" for n in encoder.state_dict()
    }
    assert names
    assert all(name.startswith(HEADS) for name in names)
    offset = 0 if kind.startswith("Bert") else 2
    ours = bert(theirs.state_dict(), num_heads=H, position_offset=offset)
    ids = parity.tokens(2, 7, VOCAB - 1) + 1
    parity.assert_close(ours(ids), encoder(input_ids=ids).last_hidden_state)


def test_old_names_of_a_layer_norm_are_known() -> None:
    theirs = hugging_face.bert("BertForPreTraining")
    new = theirs.state_dict()
    old = {
        re.sub(
            r"LayerNorm\.weight$",
            "LayerNorm.gamma",
            re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", n),
        ): t
        for n, t in new.items()
    }
    assert len(old.keys() - new.keys()) == 2 * (1 + 2 * 2 + 1)  # the last one is in the head
    ids = parity.tokens(2, 7, VOCAB)
    assert torch.equal(bert(old, num_heads=H)(ids), bert(new, num_heads=H)(ids))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32])
def test_the_stored_numbers_of_the_positions_are_known(dtype: torch.dtype) -> None:
    theirs = hugging_face.bert()
    weights = {
        **theirs.state_dict(),
        "embeddings.position_ids": torch.arange(MAX_LEN)[None].to(dtype),
    }
    ids = parity.tokens(2, 7, VOCAB)
    assert torch.equal(bert(weights, num_heads=H)(ids), loaded(theirs)(ids))


# Property


@every_kind
def test_the_sizes_are_read_off_the_tensors(kind: str) -> None:
    assert asdict(loaded(hugging_face.bert(kind, type_vocab_size=5)).config) == {
        "vocab_size": VOCAB,
        "d_model": D_MODEL,
        "num_heads": H,
        "num_layers": 2,
        "d_ff": 17,
        "max_len": MAX_LEN - OFFSET[kind],
        "num_token_types": 5,
        "dropout": 0.0,
        "activation": "gelu",
        "norm_first": kind == "RobertaPreLayerNormModel",
        "norm_eps": 1e-12,
    }


@every_kind
def test_padding_changes_nothing(kind: str) -> None:
    theirs = hugging_face.bert(kind)
    ours, given = loaded(theirs), inputs(theirs)
    states = ours(**given)
    for row, length in enumerate(given["mask"].sum(1).tolist()):
        alone = {name: tensor[row : row + 1, :length] for name, tensor in given.items()}
        parity.assert_close(ours(**alone)[0], states[row, :length])
    four_dimensional = padding_mask(given["tokens"], pad_id=1)
    assert torch.equal(four_dimensional[:, 0, 0], given["mask"])
    assert torch.equal(ours(given["tokens"], given["token_types"], four_dimensional), states)


@every_kind
def test_every_tensor_matters_but_the_pooler_and_key_biases(kind: str) -> None:
    theirs = hugging_face.bert(kind)
    weights, given = hugging_face.weights(theirs), inputs(theirs)
    offset = OFFSET[kind]
    before = loaded(theirs)(**given)
    for name, tensor in weights.items():
        noisy = {**weights, name: hugging_face.noisy(tensor)}
        moved = (bert(noisy, num_heads=H, position_offset=offset)(**given) - before).abs().max()
        if name.startswith("pooler."):
            assert moved == 0
        elif name.endswith("key.bias"):  # it adds the same to all scores of a query
            assert moved < 1e-10, name
        else:
            assert moved > 1e-6, name


def test_nothing_is_shared_with_what_was_given() -> None:
    theirs = hugging_face.bert()
    weights = hugging_face.weights(theirs)
    ours, ids = bert(weights, num_heads=H), parity.tokens(2, 7, VOCAB)
    before = ours(ids)
    for tensor in weights.values():
        tensor.zero_()
    assert torch.equal(ours(ids), before)


@every_kind
def test_the_model_is_ready_to_use_and_to_train(kind: str) -> None:
    theirs = hugging_face.bert(kind)
    state = torch.get_rng_state()
    ours = loaded(theirs)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in ours.modules())
    ours(**inputs(theirs)).square().sum().backward()
    assert parity.gradients(ours).keys() == dict(ours.named_parameters()).keys()
    assert all(p.is_leaf and p.is_contiguous() for p in ours.parameters())
    assert all(p.untyped_storage().nbytes() == p.nbytes for p in ours.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype: torch.dtype) -> None:
    theirs = hugging_face.bert().to(dtype)
    ours, given = loaded(theirs), inputs(theirs)
    real = given["mask"]
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    assert torch.equal(
        ours.token_types.weight, theirs.embeddings.token_type_embeddings.weight.float()
    )
    parity.assert_close(ours(**given)[real], hidden(theirs.float(), **given)[real], 1e-4)

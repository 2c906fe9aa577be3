import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import parity
from small_models import (
    BERT_CONFIG,
    BERTS,
    D_MODEL,
    LAYERS,
    MAX_LEN,
    SEGMENTS,
    TARGET,
    TYPES,
    VOCAB,
    H,
)
from tx_utils import BERT, BERTConfig, causal_mask, padding_mask, record_attention

B, T = TARGET.shape
REAL = TARGET != 0
every_bert = pytest.mark.parametrize("config", BERTS.values(), ids=BERTS)


def bert(config: BERTConfig = BERT_CONFIG) -> BERT:
    return parity.randomize(BERT(config))


# Oracle


@every_bert
@pytest.mark.parametrize("mask", [None, REAL], ids=["no mask", "padding"])
def test_bert_and_gradients_equal_torch(config: BERTConfig, mask: Tensor | None) -> None:
    model = bert(config)
    twin = parity.torch_stack(model.encoder, config)
    ours = [part.weight for part in (model.embedding, model.positions, model.token_types)]
    ours += [model.norm.weight, model.norm.bias]
    words, positions, types, weight, bias = theirs = parity.leaves(*ours)
    x = F.embedding(TARGET, words) + positions[:T] + F.embedding(SEGMENTS, types)
    x = F.layer_norm(x, (D_MODEL,), weight, bias, config.norm_eps)
    expected = twin(x, src_key_padding_mask=None if mask is None else ~mask)
    parity.assert_same(model(TARGET, SEGMENTS, mask), expected, ours, theirs)
    parity.assert_same_gradients(model.encoder, twin)


# Property


@every_bert
def test_padding_changes_nothing_at_real_tokens(config: BERTConfig) -> None:
    model = bert(config)
    padded = model(TARGET, SEGMENTS, REAL)
    for row, length in enumerate(REAL.sum(dim=1).tolist()):
        alone = model(TARGET[row : row + 1, :length], SEGMENTS[row : row + 1, :length])
        parity.assert_close(padded[row, :length], alone[0])
    other = TARGET.masked_fill(~REAL, 5)
    assert torch.equal(model(other, SEGMENTS, REAL)[REAL], padded[REAL])
    assert not torch.allclose(model(other, SEGMENTS)[REAL], padded[REAL])


def test_every_form_of_a_mask_means_the_same() -> None:
    model = bert()
    expected = model(TARGET, SEGMENTS, REAL)
    for mask in (padding_mask(TARGET, 0), REAL[:, None, None].expand(B, H, T, T)):
        assert torch.equal(model(TARGET, SEGMENTS, mask), expected)


def test_a_mask_per_query_rules_every_layer() -> None:
    model, past = bert(), causal_mask(T).expand(1, 1, T, T)
    with record_attention(model) as maps:
        model(TARGET, SEGMENTS, past & padding_mask(TARGET, 0))
    expected = (past & padding_mask(TARGET, 0)).expand(B, H, T, T)
    assert len(maps) == LAYERS
    assert all(torch.equal(weights > 0, expected) for weights in maps.values())


def test_without_a_mask_every_token_reads_on_both_sides() -> None:
    model, ids = bert(), parity.tokens(2, MAX_LEN, VOCAB)
    before = model(ids)
    for t in range(MAX_LEN):
        changed = ids.clone()
        changed[:, t] = ids[:, t] % (VOCAB - 1) + 1
        assert (model(changed) - before).abs().amax(dim=-1).min() > 1e-6


def test_the_segment_matters_and_is_the_first_if_none_is_named() -> None:
    model = bert()
    plain = model(TARGET)
    assert torch.equal(model(TARGET, torch.zeros_like(TARGET)), plain)
    for segment in range(1, TYPES):
        moved = model(TARGET, torch.full_like(TARGET, segment)) - plain
        assert moved.abs().amax(dim=-1).min() > 1e-6


def test_tokens_have_an_order() -> None:
    model, order = bert(), [3, 0, 4, 1, 2]
    ids = parity.tokens(2, T, VOCAB)
    assert (model(ids[:, order]) - model(ids)[:, order]).abs().max() > 1e-3


def test_words_positions_and_segments_start_with_like_size() -> None:
    torch.manual_seed(0)
    config = replace(BERT_CONFIG, vocab_size=211, d_model=102, max_len=211, num_token_types=211)
    model = BERT(config)
    for part in (model.embedding, model.positions, model.token_types):
        assert part.weight.std().item() == pytest.approx(102**-0.5, rel=0.05)


# Border


@pytest.mark.parametrize("length", [1, MAX_LEN])
def test_the_shortest_and_the_longest_sequence_fit(length: int) -> None:
    ids = torch.ones(2, length, dtype=torch.int32)
    assert bert()(ids, ids).shape == (2, length, D_MODEL)


def test_a_sequence_of_padding_alone_stays_finite_and_disturbs_nobody() -> None:
    model, real = bert(), REAL.clone()
    real[0] = False
    hidden = model(TARGET, SEGMENTS, real)
    parity.assert_close(hidden[1], model(TARGET, SEGMENTS, REAL)[1])
    hidden.square().sum().backward()
    assert hidden.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in parity.gradients(model).values())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"tokens": TARGET.float()}, "token ids must be int64 or int32, got torch.float32"),
        ({"tokens": TARGET[0]}, "tokens must have shape (B, T), got (5,)"),
        ({"tokens": TARGET + 9}, "token ids must lie in [0, 13), got 9 to 21"),
        (
            {"tokens": torch.ones(2, 8, dtype=torch.int64), "token_types": None},
            "a sequence of length 8 at offset 0 needs 8 positions, but max_len is 7",
        ),
        ({"token_types": SEGMENTS + 1}, "token ids must lie in [0, 3), got 1 to 3"),
        ({"token_types": SEGMENTS > 0}, "token ids must be int64 or int32, got torch.bool"),
        (
            {"token_types": SEGMENTS[:1]},
            "token_types must have the shape of tokens, (2, 5), got (1, 5)",
        ),
        (
            {"mask": causal_mask(T)},
            "a mask of two dimensions must have the shape of tokens, (2, 5), got (5, 5)",
        ),
        ({"mask": REAL.long()}, "mask must be boolean (True = may attend), got torch.int64"),
        (
            {"mask": REAL[:, None]},
            "mask must be (B, T) or 4-D, got shape (2, 1, 5)",
        ),
    ],
)
def test_inputs_out_of_the_ordinary_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bert()(**{"tokens": TARGET, "token_types": SEGMENTS, **inputs})

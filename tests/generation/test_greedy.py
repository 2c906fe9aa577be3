"""Greedy decoding: what a slow loop writes for one source at a time."""

from collections import Counter

import pytest
import torch
from decoding import (
    END,
    IDS,
    MAX_LEN,
    PAD,
    START,
    Scripted,
    Sequence,
    following,
    random_model,
    sequences,
    sources,
    text,
)
from torch import Tensor

from tx_utils import Transformer, greedy_decode

SOURCES = sources(23)


def slow_greedy(model: Transformer, source: Tensor, max_new_tokens: int) -> Sequence:
    written: Sequence = ()
    while len(written) < max_new_tokens and END not in written:
        scores = following(model, source, written)
        allowed = [token for token in range(len(scores)) if token != PAD]
        written += (max(allowed, key=lambda token: scores[token]),)
    return written


def write(model: Transformer, source: Tensor = SOURCES, max_new_tokens: int = MAX_LEN) -> Tensor:
    return greedy_decode(model, source, **IDS, max_new_tokens=max_new_tokens)


# Oracle


def test_a_padded_batch_is_written_as_a_slow_loop_writes_each_source() -> None:
    lengths: Counter[int] = Counter()
    for seed in range(5):
        model = random_model(seed)
        written = write(model)
        assert written.dtype == torch.int64
        rows = sequences(written)
        assert rows == [slow_greedy(model, source, MAX_LEN) for source in SOURCES]
        lengths.update(len(row) if END in row else MAX_LEN + 1 for row in rows)
    assert len(lengths) >= 5  # some ended soon, some late, some never
    assert lengths[MAX_LEN + 1] >= 3


# Property


@pytest.mark.parametrize("max_new_tokens", range(1, MAX_LEN + 1))
def test_what_does_not_end_is_cut_off(max_new_tokens: int) -> None:
    model = Scripted({"abacada"[:length]: {sign: 1.0} for length, sign in enumerate("abacada")})
    written = write(model, SOURCES[:3], max_new_tokens)
    assert [text(row) for row in written.tolist()] == ["abacada"[:max_new_tokens]] * 3


def test_after_the_end_there_is_padding_whatever_the_model_says() -> None:
    class Chatty(Scripted):
        """After "." it goes on; the second source gets a longer answer."""

        def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
            logits = super().decode(target, memory, source)
            logits[1] = logits[1].roll(1, dims=-1) if target.size(1) < 4 else logits[1]
            return logits

    model = Chatty({".": {"b": 1.0}, "._": {"c": 1.0}, ".__": {"d": 1.0}})
    written = write(model, SOURCES[:2])
    assert [text(row) for row in written.tolist()] == [".___", "ccc."]


def test_writing_ends_with_the_longest_sequence_and_the_source_is_read_once() -> None:
    model = random_model(1)
    source = SOURCES[[len(row) < MAX_LEN for row in sequences(write(model))]]
    assert len(source) >= 3
    model.encoded = model.decoded = 0
    written = write(model, source)
    assert 1 < written.size(1) < MAX_LEN
    assert (model.encoded, model.decoded) == (1, written.size(1))


def test_padding_is_never_written_however_likely() -> None:
    model = Scripted({"": {"_": 0.6, "a": 0.3, ".": 0.1}, "a": {"_": 0.9, "b": 0.1}})
    assert [text(row) for row in write(model, SOURCES[:2]).tolist()] == ["ab.", "ab."]


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_gradients_are_off_and_the_mode_comes_back(training: bool) -> None:
    model = random_model(0, dropout=0.5).train(training)
    before, state = SOURCES.clone(), torch.get_rng_state()
    written = write(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.states == {(False, False)}
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()
    assert torch.equal(written, write(random_model(0)))
    assert torch.equal(SOURCES, before)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error(training: bool) -> None:
    model = random_model(0).train(training)
    with pytest.raises(ValueError, match="token ids"):
        write(model, SOURCES.double())
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()


# Border


def test_ids_may_be_of_32_bits_and_the_start_token_may_be_any() -> None:
    model = random_model(2)
    assert torch.equal(write(model, SOURCES.int()), write(model))
    other = greedy_decode(model, SOURCES, start_id=1, end_id=END, max_new_tokens=1)
    assert not torch.equal(other, write(model, max_new_tokens=1))


def test_a_token_that_starts_may_be_written_and_one_that_starts_and_ends_may_too() -> None:
    model = Scripted({"": {">": 1.0}, ">": {"a": 1.0}, ">a": {">": 1.0}})
    assert text(write(model, SOURCES[:1])[0].tolist()) == ">a>."
    written = greedy_decode(model, SOURCES, start_id=START, end_id=START, max_new_tokens=5)
    assert written.tolist() == [[START]] * len(SOURCES)

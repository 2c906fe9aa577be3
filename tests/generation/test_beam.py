"""Beam search: the best there is when the beam holds all, a slow beam's when it doesn't."""

import math
import re
from collections import Counter
from itertools import product
from typing import Any

import pytest
import torch
from decoding import (
    CONFIG,
    END,
    IDS,
    MAX_LEN,
    PAD,
    Sequence,
    alone,
    following,
    log_probs,
    random_model,
    score,
    search,
    sequences,
    sources,
)
from torch import Tensor

import parity
from tx_utils import Transformer, greedy_decode

PENALTIES = [0.0, 0.6, 1.5]
SOURCES = sources(13)

every_penalty = pytest.mark.parametrize("length_penalty", PENALTIES)


def slow_beam(
    model: Transformer, source: Tensor, width: int, length_penalty: float, *, early: bool = False
) -> tuple[Sequence, float]:
    """One source, Python's lists, and no stopping rule but the early one."""
    living: dict[Sequence, float] = {(): 0.0}
    finished: dict[Sequence, float] = {}
    for length in range(1, MAX_LEN + 1):
        longer = {
            (*beginning, token): total + more
            for beginning, total in living.items()
            for token, more in enumerate(following(model, source, beginning))
            if token != PAD
        }
        kept = sorted(longer, key=lambda sequence: -longer[sequence])[:width]
        living = {sequence: longer[sequence] for sequence in kept if sequence[-1] != END}
        finished |= {s: score(longer[s], length, length_penalty) for s in kept if s[-1] == END}
        if early and len(finished) >= width:
            break
    else:
        finished |= {s: score(p, MAX_LEN, length_penalty) for s, p in living.items()}
    best = max(finished, key=lambda sequence: finished[sequence])
    return best, finished[best]


# Oracle


@every_penalty
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_beam_of_one_writes_what_greedy_decoding_writes(
    length_penalty: float, early_stopping: bool
) -> None:
    for seed in range(5):
        model = random_model(seed)
        written, _ = search(
            model,
            SOURCES,
            beam_width=1,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        assert torch.equal(written, greedy_decode(model, SOURCES, **IDS, max_new_tokens=MAX_LEN))


@every_penalty
def test_a_beam_that_holds_everything_finds_the_best_sequence_of_all(length_penalty: float) -> None:
    tokens = [token for token in range(5) if token not in (PAD, END)]
    whole = [(*words, END) for length in range(4) for words in product(tokens, repeat=length)]
    whole += product(tokens, repeat=4)  # cut off
    assert len(whole) == 1 + 3 + 9 + 27 + 81
    lengths: Counter[int] = Counter()
    for seed in range(7):
        model = random_model(seed, target_vocab_size=5)
        written, scores = search(
            model, SOURCES[:5], 4, beam_width=109, length_penalty=length_penalty
        )
        for source, found, its_score in zip(SOURCES, sequences(written), scores, strict=False):
            values = {
                sequence: score(log_prob, len(sequence), length_penalty)
                for sequence, log_prob in zip(whole, log_probs(model, source, whole), strict=True)
            }
            best = max(values, key=lambda sequence: values[sequence])
            assert found == best
            assert math.isclose(its_score.item(), values[best], rel_tol=1e-9)
            lengths[len(best) if END in best else 5] += 1
    assert len(lengths) >= 3
    assert lengths[5]


@every_penalty
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("width", [2, 3, 7])
def test_a_narrow_beam_finds_what_a_slow_one_finds_that_never_stops(
    width: int, length_penalty: float, early: bool
) -> None:
    for seed in range(3):
        model = random_model(seed)
        written, scores = search(
            model,
            SOURCES[:7],
            beam_width=width,
            length_penalty=length_penalty,
            early_stopping=early,
        )
        expected = [slow_beam(model, s, width, length_penalty, early=early) for s in SOURCES[:7]]
        assert sequences(written) == [sequence for sequence, _ in expected]
        parity.assert_close(scores, scores.new_tensor([value for _, value in expected]))


# Property


@every_penalty
def test_the_score_is_the_models_own_log_probability_by_the_length(length_penalty: float) -> None:
    model = random_model(0)
    written, scores = search(model, SOURCES, beam_width=3, length_penalty=length_penalty)
    assert scores.shape == (len(SOURCES),)
    for source, sequence, its_score in zip(SOURCES, sequences(written), scores, strict=True):
        (log_prob,) = log_probs(model, source, [sequence])
        assert math.isclose(its_score.item(), score(log_prob, len(sequence), length_penalty))


@every_penalty
@pytest.mark.parametrize("early", [True, False])
def test_a_padded_batch_is_searched_as_its_sources_one_by_one(
    length_penalty: float, early: bool
) -> None:
    model = random_model(1)
    choices: dict[str, Any] = {
        "beam_width": 3,
        "length_penalty": length_penalty,
        "early_stopping": early,
    }
    written, scores = search(model, SOURCES, **choices)
    for source, sequence, its_score in zip(SOURCES, sequences(written), scores, strict=True):
        single, single_score = search(model, alone(source), **choices)
        assert sequences(single) == [sequence]
        parity.assert_close(single_score[0], its_score)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_gradients_are_off_and_the_mode_comes_back(training: bool) -> None:
    model = random_model(0, dropout=0.5).train(training)
    before, state = SOURCES.clone(), torch.get_rng_state()
    written, scores = search(model, SOURCES)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.states == {(False, False)}
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()
    assert not scores.requires_grad
    assert torch.equal(written, search(random_model(0), SOURCES)[0])
    assert torch.equal(SOURCES, before)
    with pytest.raises(ValueError, match="token ids"):
        search(model, SOURCES.double())
    assert model.training is training


# Border


def test_a_beam_is_four_wide_without_penalty_unless_told_otherwise() -> None:
    model = random_model(1)
    written, scores = search(model, SOURCES)
    told = search(model, SOURCES, beam_width=4, length_penalty=0.0, early_stopping=False)
    assert torch.equal(written, told[0])
    assert torch.equal(scores, told[1])
    for other in (3, 5):
        assert not torch.allclose(scores, search(model, SOURCES, beam_width=other)[1])


def test_one_token_is_the_likeliest_that_is_not_padding() -> None:
    model = random_model(0)
    written, _ = search(model, SOURCES, max_new_tokens=1, beam_width=17)
    for source, sequence in zip(SOURCES, sequences(written), strict=True):
        scores = following(model, source, ())
        assert sequence == (max({*range(7)} - {PAD}, key=lambda token: scores[token]),)


def test_an_empty_batch_needs_no_beam() -> None:
    written, scores = search(random_model(0), SOURCES[:0])
    assert len(written) == len(scores) == 0


@pytest.mark.parametrize("beam_width", [0, -1, 2.0, True])
def test_widths_that_are_no_size_are_refused(beam_width: Any) -> None:
    message = f"beam_width must be a positive integer, got {beam_width!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        search(Transformer(CONFIG), SOURCES, beam_width=beam_width)


@pytest.mark.parametrize("length_penalty", [-0.1, math.inf, math.nan, "0.6", None, True])
def test_penalties_that_are_no_exponent_are_refused(length_penalty: Any) -> None:
    message = f"length_penalty must be finite and >= 0, got {length_penalty!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        search(Transformer(CONFIG), SOURCES, length_penalty=length_penalty)


@pytest.mark.parametrize("early_stopping", [1, None, "yes"])
def test_early_stopping_is_a_switch(early_stopping: Any) -> None:
    message = f"early_stopping must be True or False, got {early_stopping!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        search(Transformer(CONFIG), SOURCES, early_stopping=early_stopping)

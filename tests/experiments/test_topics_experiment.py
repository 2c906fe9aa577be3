"""Lesson 10's experiment: equal cost, what a run measures, and which text it was measured on."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tx_utils.experiments import topics
from tx_utils.experiments.evidence import Result
from tx_utils.experiments.language_model import Corpus, LanguageModel
from tx_utils.experiments.topics import (
    EXPERIMENT,
    LONGER,
    ON_CHARACTERS,
    PAIRS,
    SETTINGS,
    VARIANTS,
    as_costly,
    by_position,
    ngram_bits,
    run,
)
from tx_utils.models import GPT
from tx_utils.ngrams import KneserNey
from tx_utils.tasks.python_topics import digest, join, python_topics, split_paragraphs
from tx_utils.training import History

TEXTS = Corpus(
    "the cat sat on the mat and the dog sat on the log; " * 7,
    "the dog sat on the mat, größer. " * 3,
)
SMALL: dict[str, Any] = {
    **{"context": 5, "max_len": 11, "d_model": 6, "num_heads": 2, "num_layers": 1, "d_ff": 7},
    **{"batch_size": 3, "steps_per_epoch": 2, "epochs": 2, "warmup_steps": 1},
}
TINY: Mapping[str, LanguageModel] = {
    name: replace(settings, vocab_size=256 + (settings.vocab_size > 256) * 7, **SMALL)
    for name, settings in VARIANTS.items()
}


@cache
def tiny_run(variant: str, seed: int) -> tuple[GPT, History, Result]:
    return run(variant, seed, variants=TINY, texts=TEXTS)


# Oracle


@pytest.mark.parametrize("variant", [PAIRS, ON_CHARACTERS])
def test_a_run_measures_the_validation_text_in_bits_per_character(variant: str) -> None:
    model, history, result = tiny_run(variant, 3)
    settings = TINY[variant]
    assert result.loss == settings.bits(model, TEXTS)
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])
    for name, part, losses in (
        ("training", "train", history.train_loss),
        ("validation", "validation", history.validation_loss),
    ):
        text = getattr(TEXTS, part)
        tokens = len(settings.tokenizer(TEXTS).encode(text))
        bits = [loss * tokens / math.log(2) / len(text) for loss in losses]
        assert result.measures[name] == pytest.approx(bits)
    pieces = settings.side_by_side(TEXTS, 5)
    right = torch.cat([model(read).argmax(dim=-1) == target for read, target in pieces])
    assert result.accuracy == pytest.approx(right.float().mean().item())
    assert result.measures["text"] == digest(TEXTS.train + TEXTS.validation)
    for order in (5, 12):
        counted = KneserNey(TEXTS.train, order=order, alphabet_size=0x110000)
        bits_of_counts = counted.bits(TEXTS.validation) / len(TEXTS.validation)
        assert result.measures[f"{order}-gram"] == bits_of_counts == ngram_bits(TEXTS, order)


def test_the_cost_by_position_is_the_mean_over_pieces() -> None:
    model, _, result = tiny_run(PAIRS, 3)
    model.train()
    settings = TINY[PAIRS]
    expected = []
    ((read, target),) = settings.side_by_side(TEXTS, 11)
    for place in range(11):
        logits = model.eval()(read)[:, place]
        expected.append(F.cross_entropy(logits, target[:, place]).item())
    assert by_position(model, settings, TEXTS) == pytest.approx(expected, rel=1e-5)
    assert result.measures["by position"] == pytest.approx(expected, rel=1e-5)


def test_the_text_is_pythons_without_its_repeats() -> None:
    texts = topics.corpus()
    whole = {" ".join(text.split()) for text in split_paragraphs(python_topics())}
    parts = [split_paragraphs(text) for text in (texts.train, texts.validation)]
    assert {" ".join(text.split()) for part in parts for text in part} == whole
    assert sum(map(len, parts)) == len(whole)
    assert Corpus(*map(join, parts)) == texts


# Property


def test_characters_get_as_many_multiplications_and_one_epoch_less_would_be_fewer() -> None:
    pairs, characters = VARIANTS[PAIRS], VARIANTS[ON_CHARACTERS]
    cost = pairs.multiplications * pairs.total_steps
    each = characters.multiplications * characters.steps_per_epoch
    assert 0 <= characters.epochs * each - cost < each
    same = replace(characters, vocab_size=1024, epochs=pairs.epochs, learning_rate=6e-3)
    assert same == pairs
    assert as_costly(SETTINGS, SETTINGS) == SETTINGS


def test_variants_differ_in_what_their_names_say() -> None:
    assert VARIANTS[PAIRS] is SETTINGS
    assert replace(VARIANTS[LONGER], epochs=16, dropout=0.0) == SETTINGS
    assert VARIANTS[LONGER].total_steps == 2.5 * SETTINGS.total_steps
    first = VARIANTS["first steps"]
    assert replace(first, epochs=SETTINGS.epochs, steps_per_epoch=100) == SETTINGS
    assert first.total_steps == 60


def test_a_run_is_the_same_for_its_seed_and_another_for_another() -> None:
    _, _, result = tiny_run(PAIRS, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert run(PAIRS, 3, variants=TINY, texts=TEXTS)[2] == result
    assert tiny_run(PAIRS, 4)[2].loss != result.loss


# Border


def test_experiment_states_all_that_its_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EXPERIMENT.name == "topics"
    assert EXPERIMENT.variants == ("first steps", PAIRS, ON_CHARACTERS, LONGER)
    stated = EXPERIMENT.settings["variants"]
    assert {name: LanguageModel(**values) for name, values in stated.items()} == {
        name: replace(variant, betas=[*variant.betas])  # type: ignore[arg-type]
        for name, variant in VARIANTS.items()
    }
    assert json.loads(json.dumps(EXPERIMENT.settings)) == EXPERIMENT.settings
    assert EXPERIMENT.floors == {}
    monkeypatch.setattr(topics, "VARIANTS", TINY)
    monkeypatch.setattr(topics, "corpus", lambda: TEXTS)
    assert EXPERIMENT.run(PAIRS, 3) == tiny_run(PAIRS, 3)[2]

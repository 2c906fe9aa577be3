"""Lesson 07's experiment: equal conditions for all variants, and what is measured of each."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from tiny_translators import fingerprint
from torch import Tensor

from tx_utils import Transformer, beam_search, seed_everything
from tx_utils.experiments import translation
from tx_utils.experiments.translation import (
    EXPERIMENT,
    MODELS,
    SETTINGS,
    beam_match,
    build,
    settings_of,
)
from tx_utils.experiments.translator import Translator
from tx_utils.tasks.translation import Pair, collate

START, END = 1, 2
OTHER_BATCHES = ("small numbers", "all numbers alike")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Translator:
    """Runs of four steps, which show how they are made, not what they reach."""
    small = replace(
        SETTINGS,
        limit=900,
        train_size=7,
        validation_size=5,
        test_size=31,
        epochs=2,
        warmup_steps=2,
        d_model=6,
        num_heads=2,
        d_ff=5,
        batch_size=4,
    )
    monkeypatch.setattr(translation, "SETTINGS", small)
    monkeypatch.setattr(translation, "SMALL_LIMIT", 300)
    monkeypatch.setattr(translation, "SHORT_LIMIT", 100)
    monkeypatch.setattr(translation, "EXTRA_PADS", (0, 2, 5))
    return small


# Oracle


def test_each_variant_has_its_settings() -> None:
    changed = {
        variant: {
            name: value
            for name, value in asdict(settings_of(variant)).items()
            if value != getattr(SETTINGS, name)
        }
        for variant in MODELS
    }
    assert changed == {
        "transformer": {},
        "label smoothing": {"label_smoothing": 0.1},
        "no cross-attention": {},
        "no positions": {},
        "no source mask": {},
        "small numbers": {"limit": 10_000},
        "all numbers alike": {"zeros": None},
    }
    assert (SETTINGS.label_smoothing, SETTINGS.zeros) == (0.0, 0.4)


def learnt_by_heart() -> tuple[Translator, Transformer, list[Pair]]:
    """A model that has learnt some of its numbers, and not all."""
    settings = replace(
        SETTINGS,
        limit=40,
        train_size=20,
        validation_size=5,
        test_size=7,
        epochs=30,
        warmup_steps=4,
        d_model=16,
        num_heads=2,
        d_ff=32,
        batch_size=4,
    )
    torch.manual_seed(0)
    pupil = Transformer(settings.config)
    settings.fit(pupil, 0)
    return settings, pupil, settings.task.pairs(range(20))


def test_beam_match_counts_what_beam_search_writes_right() -> None:
    settings, pupil, pairs = learnt_by_heart()
    right = []
    for source, target in pairs:
        written, _ = beam_search(pupil, source[None], start_id=1, end_id=2, max_new_tokens=16)
        right.append(written[0].tolist() == target[1:].tolist())
    assert 0 < sum(right) < len(right)
    assert beam_match(settings, pupil, pairs) == pytest.approx(sum(right) / len(right))
    greedy = settings.exact_match(pupil, pairs)
    assert beam_match(settings, pupil, pairs, beam_width=1) == greedy


def test_beam_match_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def noted(_: Transformer, source: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        asked.append(options)
        return source, torch.zeros(len(source))

    monkeypatch.setattr(translation, "beam_search", noted)
    settings = replace(SETTINGS, max_new_tokens=13)
    assert beam_match(settings, build("transformer"), SETTINGS.task.pairs([45]), beam_width=3) < 1
    assert asked == [{"start_id": START, "end_id": END, "max_new_tokens": 13, "beam_width": 3}]


# Property


def recorded_batches(variant: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the model is shown in training: sources and decoder inputs."""
    seen: list[Any] = []

    def watched(variant: str) -> Transformer:
        pupil = build(variant)
        pupil.register_forward_pre_hook(
            lambda module, given: (
                seen.append([x.tolist() for x in given]) if module.training else None
            )
        )
        return pupil

    with monkeypatch.context() as patched:
        patched.setattr(translation, "build", watched)
        translation.run(variant, 3)
    return seen


def test_all_variants_see_the_same_batches(
    tiny: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = {variant: recorded_batches(variant, monkeypatch) for variant in MODELS}
    expected = batches["transformer"]
    assert len(expected) == tiny.total_steps == 4
    for variant in MODELS:
        assert (batches[variant] == expected) == (variant not in OTHER_BATCHES), variant


def test_short_numbers_are_those_that_were_not_learned_from(tiny: Translator) -> None:
    learned = set(tiny.split(3).train)
    assert any(number < 100 for number in learned)
    assert any(number >= 100 for number in learned)
    asked = translation.short_numbers(tiny, 3)
    assert len(asked) == 100 - sum(number < 100 for number in learned)
    expected = [number for number in range(100) if number not in learned]
    assert [source.tolist() for source, _ in asked] == [
        tiny.task.pair(number)[0].tolist() for number in expected
    ]


# Learning


@pytest.fixture
def fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every judge says whom it has judged, on what, and how."""

    def match(_: Translator, model: Any, pairs: list[Pair], *, extra_pads: int = 0) -> Any:
        return "greedy", fingerprint(model), collate(pairs)[0].tolist(), extra_pads

    def beam(_: Translator, model: Any, pairs: list[Pair], **options: Any) -> Any:
        return "beam", fingerprint(model), collate(pairs)[0].tolist(), options

    def look(model: Any, task: Any, numbers: list[int]) -> Any:
        return "crossing", fingerprint(model), task, numbers

    monkeypatch.setattr(Translator, "exact_match", match)
    monkeypatch.setattr(translation, "beam_match", beam)
    monkeypatch.setattr(translation, "crossing", look)


@pytest.mark.usefixtures("tiny", "fingerprints")
@pytest.mark.parametrize("variant", MODELS)
def test_each_variant_has_its_measures(variant: str) -> None:
    settings = settings_of(variant)
    trained, history, result = translation.run(variant, 3)
    seed_everything(3)
    again = build(variant)
    averaged = settings.average(again)
    assert settings.fit(again, 3, averaged=averaged).step_loss == history.step_loss
    assert fingerprint(again) == fingerprint(trained) != fingerprint(averaged.module)
    numbers = settings.split(3).test
    test = collate(settings.task.pairs(numbers))[0].tolist()
    short = sorted(set(range(100)) - set(settings.split(3).train))
    unseen = collate(settings.task.pairs(short))[0].tolist()
    own = fingerprint(trained)
    expected: dict[str, Any] = {
        "exact match": ("greedy", own, test, 0),
        "validation": history.validation_loss,
        "exact match, averaged": ("greedy", fingerprint(averaged.module), test, 0),
        "exact match by extra pads": [("greedy", own, test, pads) for pads in (0, 2, 5)],
        "exact match, short numbers": ("greedy", own, unseen, 0),
        "crossing": ("crossing", own, settings.task, numbers),
    }
    if variant in ("transformer", "label smoothing"):
        expected["exact match, beam"] = ("beam", own, test, {})
        stopped = ("beam", own, test, {"early_stopping": True})
        expected["exact match, beam stopped early"] = stopped
    if variant == "small numbers":
        drawn = translation.SETTINGS.split(3).test
        larger = [number for number in drawn if number >= 300]
        assert max(numbers) < 300 < max(drawn)
        assert 0 < len(larger) < len(drawn)
        pairs = translation.SETTINGS.task.pairs(larger)
        source = collate(pairs)[0].tolist()
        expected["exact match, larger numbers"] = ("greedy", own, source, 0)
    assert result.measures == expected
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", MODELS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    trained, _, result = translation.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert type(trained) is MODELS[variant]
    shares = [result.measures["crossing"], *result.measures["exact match by extra pads"]]
    assert all(0.0 <= share <= 1.0 for share in shares)


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "translation"
    assert EXPERIMENT.variants == tuple(MODELS)
    variants = {name: asdict(SETTINGS) for name in MODELS}
    variants["label smoothing"]["label_smoothing"] = 0.1
    variants["small numbers"]["limit"] = 10_000
    variants["all numbers alike"]["zeros"] = None
    assert EXPERIMENT.settings == {
        "variants": variants,
        "short_limit": 1_000,
        "extra_pads": (0, 3, 6, 12, 24, 48),
    }
    assert SETTINGS.limit == 1_000_000

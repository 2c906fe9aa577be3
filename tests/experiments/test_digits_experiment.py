"""Lesson 09's digits: what a run measures, and how runs are joined to one answer per picture."""

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tx_utils.experiments import digits
from tx_utils.experiments.attended import accuracy_hidden
from tx_utils.experiments.digit_reader import DigitReader, Scrambled, pictures
from tx_utils.experiments.digits import (
    COPIES,
    EXPERIMENT,
    HIDDEN,
    READERS,
    RIVALS,
    SIZES,
    VIT_2,
    VIT_4,
    right_answers,
)
from tx_utils.experiments.evidence import Evidence, Result
from tx_utils.experiments.rivals import CHOICES, best_rival, predict, with_copies
from tx_utils.tasks.digits import Augmentation, load_digits, split_digits

DIGITS = load_digits()
TINY: dict[str, Any] = {
    "d_model": 6, "num_heads": 2, "num_layers": 1, "d_ff": 5, "batch_size": 3,
    "batches_per_epoch": 2, "epochs": 2, "warmup_steps": 1,
}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: replace(settings, **TINY) for name, settings in READERS.items()}
    monkeypatch.setattr(digits, "READERS", small)


# Oracle


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", [VIT_2, f"{VIT_4}, pictures split", f"{VIT_4}, 150 pictures"])
def test_a_run_is_judged_by_its_test_pictures(variant: str) -> None:
    model, history, result = digits.run(variant, 3)
    places = split_digits(3, by_sheet="split" not in variant).test
    images, labels = pictures(DIGITS, places)
    logits = model(images)
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    wrong = [
        place
        for place, row in zip(places.tolist(), logits, strict=True)
        if row.argmax() != DIGITS.labels[place]
    ]
    assert result.measures["wrong"] == wrong
    assert result.accuracy == pytest.approx(1 - len(wrong) / len(places))
    assert result.measures["validation"] == history.validation_loss
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])
    assert ("hidden" in result.measures) == (variant == VIT_2)


@pytest.mark.usefixtures("tiny")
def test_patches_are_hidden_behind_the_mean_training_picture() -> None:
    model, _, result = digits.run(VIT_2, 3)
    split = split_digits(3)
    filling = DIGITS.images[split.train].mean(dim=0)
    expected = accuracy_hidden(
        model,
        *pictures(DIGITS, split.test),
        filling,
        HIDDEN,
        torch.Generator().manual_seed(3),
    )
    assert result.measures["hidden"] == pytest.approx(expected)


@pytest.mark.parametrize("variant", ["SVM", "nearest neighbours, augmented, 150 pictures"])
def test_a_rival_learns_from_the_same_pictures_as_a_reader(variant: str) -> None:
    name, settings = RIVALS[variant]
    split = settings.split(3)
    train = pictures(DIGITS, split.train)
    if "augmented" in variant:
        readers = READERS[f"{VIT_4}, 150 pictures"].split(3)
        assert torch.equal(split.train, readers.train)
        train = with_copies(train, Augmentation(), COPIES, torch.Generator().manual_seed(3))
        assert len(train[0]) == 1500
    model = best_rival(name, train, pictures(DIGITS, split.validation))
    answers = predict(model, DIGITS.images[split.test])
    _, history, result = digits.run(variant, 3)
    assert result.measures == {"wrong": split.test[answers != DIGITS.labels[split.test]].tolist()}
    assert result.accuracy == pytest.approx(1 - len(result.measures["wrong"]) / len(split.test))
    assert math.isnan(result.loss)
    assert history.steps == 0


# Property


@pytest.mark.parametrize("first_seed", [0, 5])
def test_right_answers_are_those_that_no_run_of_the_round_got_wrong(first_seed: int) -> None:
    runs = {
        seed: Result(0.0, 0.0, measures={"wrong": split_digits(seed).test[:seed].tolist()})
        for seed in range(10)
    }
    evidence = Evidence({}, {}, {}, {"a": runs})
    right = right_answers(evidence, "a", first_seed)
    assert right.shape == (1797,)
    assert (~right).sum() == sum(range(first_seed, first_seed + 5))
    for seed in range(first_seed, first_seed + 5):
        test = split_digits(seed).test
        assert not right[test[:seed]].any()
        assert right[test[seed:]].all()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", [VIT_4, "logistic regression, 150 pictures"])
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    _, _, result = digits.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    again = EXPERIMENT.run(variant, 3)
    assert (again.accuracy, again.measures) == (result.accuracy, result.measures)
    assert EXPERIMENT.run(variant, 4).measures != result.measures


def differences(one: DigitReader, other: DigitReader) -> dict[str, Any]:
    ours = asdict(other)
    return {name: ours[name] for name, value in asdict(one).items() if ours[name] != value}


def test_variants_differ_in_what_their_names_say() -> None:
    assert READERS[VIT_2] == DigitReader()
    expected: dict[str, dict[str, Any]] = {
        f"{VIT_4}, not augmented": {"augmentation": None},
        f"{VIT_4}, pixels scrambled": {"pixels_scrambled": True},
        f"{VIT_4}, pictures split": {"by_sheet": False},
        **{f"{VIT_4}, {n} pictures": {"train_size": n} for n in SIZES},
        **{
            f"{VIT_4}, not augmented, {n} pictures": {"augmentation": None, "train_size": n}
            for n in SIZES
        },
    }
    for name, changed in expected.items():
        assert differences(READERS[VIT_4], READERS[name]) == changed
    assert differences(READERS[VIT_2], READERS[VIT_4]) == {"patch_size": 4}
    assert differences(READERS[VIT_2], READERS[f"{VIT_2}, no positions"]) == {"positions": False}
    assert len(READERS) == len(expected) + 3
    for name in CHOICES:
        plain = RIVALS[name][1]
        assert differences(READERS[VIT_2], plain) == {"augmentation": None}
        assert RIVALS[f"{name}, augmented"] == (name, READERS[VIT_2])
        assert differences(plain, RIVALS[f"{name}, pictures split"][1]) == {"by_sheet": False}
        for n in SIZES:
            assert differences(plain, RIVALS[f"{name}, {n} pictures"][1]) == {"train_size": n}
            few = RIVALS[f"{name}, augmented, {n} pictures"][1]
            assert differences(READERS[VIT_2], few) == {"train_size": n}
    assert len(RIVALS) == 3 * (3 + 2 * len(SIZES))


def test_scrambled_readers_are_wrapped() -> None:
    assert isinstance(READERS[f"{VIT_4}, pixels scrambled"].model(), Scrambled)


# Border


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "digits"
    assert EXPERIMENT.variants == (*READERS, *RIVALS)
    assert EXPERIMENT.floors == {"chance": pytest.approx(math.log(10))}
    assert EXPERIMENT.settings == {
        "readers": {name: asdict(settings) for name, settings in READERS.items()},
        "rivals": {name: asdict(settings) for name, (_, settings) in RIVALS.items()},
        "choices": {name: list(choices) for name, choices in CHOICES.items()},
        "copies": 9,
        "hidden": 4,
    }

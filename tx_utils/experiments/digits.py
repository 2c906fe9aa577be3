"""Lesson 09's first experiment: a small Vision Transformer reads digits of hands it never met.

The variants change what it is told about pictures (augmentation, positions, the size of a patch,
the order of the pixels), how many pictures it learns from, and how they are split. Every run keeps
which test pictures it got wrong, so that any two can be compared picture by picture.
"""

import math
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from tx_utils._modes import observed
from tx_utils.experiments.attended import accuracy_hidden
from tx_utils.experiments.digit_reader import DigitReader, pictures
from tx_utils.experiments.evidence import Evidence, Experiment, Result
from tx_utils.experiments.rivals import CHOICES, best_rival, predict, with_copies
from tx_utils.tasks.digits import CLASSES, FOLDS, Digits, load_digits
from tx_utils.training import History, TokenCrossEntropy, evaluate, seed_everything

SIZES = (150, 300, 600)  # training pictures of the variants that get fewer
COPIES = 9  # changed copies of each training picture, for the rivals with augmentation
HIDDEN = 4  # patches, of 16


VIT_2, VIT_4 = "ViT/2", "ViT/4"  # by the size of a patch, as in Dosovitskiy et al.
SETTINGS = DigitReader()
PLAIN = replace(SETTINGS, augmentation=None)
LARGE = replace(SETTINGS, patch_size=4)
LARGE_PLAIN = replace(PLAIN, patch_size=4)
READERS: dict[str, DigitReader] = {
    VIT_2: SETTINGS,
    f"{VIT_2}, no positions": replace(SETTINGS, positions=False),
    VIT_4: LARGE,
    f"{VIT_4}, not augmented": LARGE_PLAIN,
    f"{VIT_4}, pixels scrambled": replace(LARGE, pixels_scrambled=True),
    f"{VIT_4}, pictures split": replace(LARGE, by_sheet=False),
    **{f"{VIT_4}, {n} pictures": replace(LARGE, train_size=n) for n in SIZES},
    **{f"{VIT_4}, not augmented, {n} pictures": replace(LARGE_PLAIN, train_size=n) for n in SIZES},
}
RIVALS: dict[str, tuple[str, DigitReader]] = {
    name + addition: (name, settings)
    for name in CHOICES
    for addition, settings in {
        "": PLAIN,
        ", augmented": SETTINGS,
        ", pictures split": replace(PLAIN, by_sheet=False),
        **{f", {n} pictures": replace(PLAIN, train_size=n) for n in SIZES},
        **{f", augmented, {n} pictures": replace(SETTINGS, train_size=n) for n in SIZES},
    }.items()
}


def run(variant: str, seed: int) -> tuple[Any, History, Result]:
    """Train one variant from one seed, and look once at its test pictures."""
    digits = load_digits()
    if variant in RIVALS:
        name, settings = RIVALS[variant]
        split = settings.split(seed)
        train_pictures = pictures(digits, split.train)
        if settings.augmentation is not None:
            generator = torch.Generator().manual_seed(seed)
            train_pictures = with_copies(train_pictures, settings.augmentation, COPIES, generator)
        model = best_rival(name, train_pictures, pictures(digits, split.validation))
        answers = predict(model, digits.images[split.test])
        return model, History(), _result(digits, split.test, answers)
    settings = READERS[variant]
    seed_everything(seed)
    model = settings.model()
    history = settings.fit(model, seed, label=variant)
    return model, history, measure(variant, model, seed, history)


def measure(variant: str, model: nn.Module, seed: int, history: History) -> Result:
    """Judge a trained reader by its test pictures, whole and with patches hidden."""
    digits, split = load_digits(), READERS[variant].split(seed)
    images, labels = pictures(digits, split.test)
    with observed(model):
        answers = model(images).argmax(dim=-1)
    measures: dict[str, Any] = {"validation": history.validation_loss}
    if variant == VIT_2:
        filling = digits.images[split.train].mean(dim=0)
        generator = torch.Generator().manual_seed(seed)
        measures["hidden"] = accuracy_hidden(model, images, labels, filling, HIDDEN, generator)
    loss = evaluate(model, [(images, labels)], TokenCrossEntropy())["loss"]
    return _result(digits, split.test, answers, loss, history, measures)


def _result(
    digits: Digits,
    places: Tensor,
    answers: Tensor,
    loss: float = math.nan,
    history: History | None = None,
    measures: dict[str, Any] | None = None,
) -> Result:
    """A run's result, with the places in the file of the pictures that it got wrong."""
    wrong = answers != digits.labels[places]
    accuracy = 1 - wrong.float().mean().item()
    curve, ends = (history.train_loss, history.epoch_end) if history else ([], [])
    return Result(
        loss, accuracy, curve, ends, {"wrong": places[wrong].tolist(), **(measures or {})}
    )


def right_answers(evidence: Evidence, variant: str, first_seed: int = 0) -> Tensor:
    """Which pictures of the file a variant gets right, each judged by the run that tests it.

    Args:
        evidence: This experiment's.
        variant: One of its variants.
        first_seed: A multiple of 5; the five seeds from it on test every picture once.

    Returns:
        True where the answer is right.  (1797,)
    """
    right = torch.ones(len(load_digits().labels), dtype=torch.bool)
    for seed in range(first_seed, first_seed + FOLDS):
        right[evidence.runs[variant][seed].measures["wrong"]] = False
    return right


EXPERIMENT = Experiment(
    name="digits",
    settings={
        "readers": {name: asdict(settings) for name, settings in READERS.items()},
        "rivals": {name: asdict(settings) for name, (_, settings) in RIVALS.items()},
        "choices": {name: list(choices) for name, choices in CHOICES.items()},
        "copies": COPIES,
        "hidden": HIDDEN,
    },
    floors={"chance": math.log(CLASSES)},
    variants=(*READERS, *RIVALS),
    run=lambda variant, seed: run(variant, seed)[2],
)

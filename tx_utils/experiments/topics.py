"""Lesson 10's experiment: a GPT on Python's help texts, on byte pairs and on single characters.

"characters" is the same model on single bytes, for as many multiplications; "longer" is "pairs"
with more steps, and with dropout, since without it would only learn by heart. The text comes with
Python and differs between its versions, so each result names the text that it was measured on,
and what n-grams come to there.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import torch

from tx_utils._modes import observed
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.language_model import Corpus, LanguageModel
from tx_utils.models import GPT
from tx_utils.ngrams import KneserNey
from tx_utils.tasks.python_topics import (
    digest,
    python_topics,
    split_blocks,
    split_paragraphs,
    without_repeats,
)
from tx_utils.training import History, TokenAccuracy, TokenCrossEntropy, evaluate, seed_everything

ORDERS = (5, 12)  # of the n-grams that a result is compared with
CHARACTERS = 0x110000  # all that Unicode has room for


SETTINGS = LanguageModel(vocab_size=1024, epochs=16)
PAIRS, ON_CHARACTERS, LONGER = "pairs", "characters", "longer"


def as_costly(settings: LanguageModel, other: LanguageModel) -> LanguageModel:
    """Give a recipe as many epochs as reach the other's multiplications.

    Example:
        >>> as_costly(replace(SETTINGS, num_layers=8), SETTINGS).epochs < SETTINGS.epochs
        True
    """
    budget = other.multiplications * other.total_steps
    epochs = math.ceil(budget / (settings.multiplications * settings.steps_per_epoch))
    return replace(settings, epochs=epochs)


VARIANTS: dict[str, LanguageModel] = {
    # So few that it costs nothing to run them again: within the warm-up, "pairs" does the same.
    "first steps": replace(SETTINGS, epochs=3, steps_per_epoch=20),
    PAIRS: SETTINGS,
    # Of 6e-3, 3e-3 and 1.5e-3 the rate that is best for it.
    ON_CHARACTERS: as_costly(replace(SETTINGS, vocab_size=256, learning_rate=3e-3), SETTINGS),
    LONGER: replace(SETTINGS, epochs=40, dropout=0.1),
}


@lru_cache(maxsize=1)
def corpus() -> Corpus:
    """This Python's help texts without repeats, every tenth block for validation."""
    paragraphs = without_repeats(split_paragraphs(python_topics()))
    return Corpus.of(*split_blocks(paragraphs))


@lru_cache(maxsize=4)
def ngram_bits(texts: Corpus, order: int) -> float:
    """Bits per character of the validation text, by characters counted in the training text."""
    model = KneserNey(texts.train, order=order, alphabet_size=CHARACTERS)
    return model.bits(texts.validation) / len(texts.validation)


def by_position(model: GPT, settings: LanguageModel, texts: Corpus) -> list[float]:
    """The mean cost in nats of a token, by its place in pieces as long as the model's positions.

    Places beyond `settings.context` were never trained.
    """
    pieces = settings.side_by_side(texts, settings.max_len)
    per_place = TokenCrossEntropy(reduction="none")
    sums, count = torch.zeros(settings.max_len), 0
    with observed(model):
        for read, target in pieces:
            sums += per_place(model(read), target).view(target.shape).sum(dim=0)
            count += len(target)
    return (sums / count).tolist()


def run(
    variant: str, seed: int, *, variants: Mapping[str, LanguageModel], texts: Corpus
) -> tuple[GPT, History, Result]:
    """Train one variant from one seed, and measure it on the validation text."""
    settings = variants[variant]
    seed_everything(seed)
    model, optimizer, schedule = settings.build()
    parts: dict[str, Any] = {"optimizer": optimizer, "schedule": schedule}
    history = settings.fit(model, texts, seed, **parts, label=variant)
    loss_fn, metrics = TokenCrossEntropy(), {"accuracy": TokenAccuracy()}
    scores = evaluate(model, settings.side_by_side(texts, settings.context), loss_fn, metrics)
    rates = {part: settings.bits_per_nat(texts, part=part) for part in ("train", "validation")}
    measures: dict[str, Any] = {
        "text": digest(texts.train + texts.validation),
        "training": [rates["train"] * loss for loss in history.train_loss],
        "validation": [rates["validation"] * loss for loss in history.validation_loss],
        "by position": by_position(model, settings, texts),
        **{f"{order}-gram": ngram_bits(texts, order) for order in ORDERS},
    }
    bits, curve = settings.bits(model, texts), history.train_loss
    return model, history, Result(bits, scores["accuracy"], curve, history.epoch_end, measures)


EXPERIMENT = Experiment(
    name="topics",
    settings={
        "variants": {
            name: {**asdict(settings), "betas": list(settings.betas)}
            for name, settings in VARIANTS.items()
        }
    },
    floors={},  # what n-grams come to hangs on the text: it stands in each result
    variants=tuple(VARIANTS),
    run=lambda variant, seed: run(variant, seed, variants=VARIANTS, texts=corpus())[2],
)

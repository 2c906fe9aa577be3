"""Lesson 07's experiment: translate number words, with the whole Transformer and without a part.

All variants have the same parameters, and all but the last two see the same batches; with the
same seed all start from the same weights.
For two of them theory says how good they can get at best: without sight of the source, and
without positions. Two more learn from other numbers: from small ones only, and are asked for
larger ones; from all alike, which are nearly all long, and are asked for short ones.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from tx_utils._modes import observed
from tx_utils.configs import TransformerConfig
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.translator import Translator
from tx_utils.generation import beam_search, exact_match
from tx_utils.models import Transformer
from tx_utils.recording import record_attention
from tx_utils.tasks.number_words import ENGLISH_TENS, LIMIT
from tx_utils.tasks.translation import NumberTranslation, Pair, collate
from tx_utils.tasks.vocabulary import END, PAD, START
from tx_utils.training import History, seed_everything

SETTINGS = Translator(
    limit=LIMIT,
    train_size=4800,
    epochs=8,
    learning_rate=3e-3,
    warmup_steps=200,
    zeros=0.4,  # so that short and round numbers are among those to learn from
    label_smoothing=0.0,  # with it, the loss has another floor
)
SMALL_LIMIT, SHORT_LIMIT = 10_000, 1_000
EXTRA_PADS = (0, 3, 6, 12, 24, 48)
WITH_BEAM = ("transformer", "label smoothing")


class Blind(Transformer):
    """A Transformer without sight of the source: cross-attention finds nothing but zeros."""

    def encode(self, source: Tensor) -> Tensor:
        """A memory of zeros.  (B, T_source) -> (B, T_source, d_model)."""
        return torch.zeros_like(super().encode(source))


class NoPositions(Transformer):
    """A Transformer whose tokens do not know where they stand, neither source nor target."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.positions = nn.Dropout(config.dropout)  # type: ignore[assignment]


class NoSourceMask(Transformer):
    """A Transformer that reads the source's padding as if it were words."""

    def source_mask(self, source: Tensor) -> Tensor:
        """Everything may be read.  (B, T_source) -> (B, 1, 1, T_source)."""
        return torch.ones_like(source, dtype=torch.bool)[:, None, None, :]


MODELS: dict[str, type[Transformer]] = {
    "transformer": Transformer,
    "label smoothing": Transformer,
    "no cross-attention": Blind,
    "no positions": NoPositions,
    "no source mask": NoSourceMask,
    "small numbers": Transformer,
    "all numbers alike": Transformer,
}


def settings_of(variant: str) -> Translator:
    """How a variant is trained: all alike, but for what these are named after."""
    changes: dict[str, dict[str, Any]] = {
        "label smoothing": {"label_smoothing": 0.1},
        "small numbers": {"limit": SMALL_LIMIT},
        "all numbers alike": {"zeros": None},
    }
    return replace(SETTINGS, **changes.get(variant, {}))


def build(variant: str) -> Transformer:
    """A new model; from one state of the random numbers, all variants start alike."""
    return MODELS[variant](settings_of(variant).config)


class Swap(NamedTuple):
    """Where units and tens stand that change places: "forty five", "fünf und vierzig".

    Attributes:
        source_tens: Position of "forty" in the source.
        source_units: Position of "five".
        target_units: Position of "fünf" among the labels.
        target_tens: Position of "vierzig".
    """

    source_tens: int
    source_units: int
    target_units: int
    target_tens: int


def swaps(task: NumberTranslation, number: int) -> list[Swap]:
    """Every such place of a number, from English to German.

    Example:
        >>> swaps(NumberTranslation(), 6045)
        [Swap(source_tens=3, source_units=4, target_units=2, target_tens=4)]
    """
    source, target = task.source_words(number), task.target_words(number)
    tens = [
        place
        for place, (word, following) in enumerate(pairwise(source))
        if word in ENGLISH_TENS and following != "thousand"
    ]
    links = [place for place, word in enumerate(target) if word == "und"]
    return [Swap(s, s + 1, t - 1, t + 1) for s, t in zip(tens, links, strict=True)]


def crossing(model: Transformer, task: NumberTranslation, numbers: list[int]) -> float:
    """Share of the swaps in which the model looks at the right word, both times.

    While it says "fünf", the last layer's cross-attention (the mean of its heads) gives "five"
    more weight than any other source token; while it says "vierzig", "forty".

    Raises:
        ValueError: if no number has such a place.
    """
    hits = list(_crossings(model, task, numbers))
    if not hits:
        raise ValueError(f"no units and tens change places in these {len(numbers)} numbers")
    return sum(hits) / len(hits)


def _crossings(model: Transformer, task: NumberTranslation, numbers: list[int]) -> Iterator[bool]:
    source, decoder_input, _ = collate(task.pairs(numbers))
    with record_attention(model) as maps, observed(model):
        model(source, decoder_input)
    last = f"decoder.layers.{len(model.decoder.layers) - 1}.cross_attention"
    looks_at = maps[last].mean(dim=1).argmax(dim=-1)  # (B, T_target): a source position
    for row, number in zip(looks_at.tolist(), numbers, strict=True):
        for swap in swaps(task, number):
            yield (row[swap.target_units], row[swap.target_tens]) == (
                swap.source_units,
                swap.source_tens,
            )


def beam_match(
    settings: Translator, model: Transformer, pairs: list[Pair], **options: Any
) -> float:
    """Share of the pairs that beam search translates without a fault; options as it takes them."""
    source, _, labels = collate(pairs)
    written, _ = beam_search(
        model,
        source,
        start_id=START,
        end_id=END,
        max_new_tokens=settings.max_new_tokens,
        **options,
    )
    return exact_match(written, labels, pad_id=PAD).float().mean().item()


def short_numbers(settings: Translator, seed: int) -> list[Pair]:
    """The numbers of at most three digits that a run has not learned from."""
    learned = {*settings.split(seed).train}
    return settings.task.pairs(n for n in range(SHORT_LIMIT) if n not in learned)


def run(variant: str, seed: int) -> tuple[Transformer, History, Result]:
    """Train one variant from one seed, and judge what it writes."""
    settings = settings_of(variant)
    seed_everything(seed)
    model = build(variant)
    averaged = settings.average(model)
    history = settings.fit(model, seed, label=variant, averaged=averaged)
    test = settings.split(seed).test
    pairs = settings.task.pairs(test)
    measures: dict[str, Any] = {
        "exact match, averaged": settings.exact_match(cast(Transformer, averaged.module), pairs),
        "exact match by extra pads": [
            settings.exact_match(model, pairs, extra_pads=pads) for pads in EXTRA_PADS
        ],
        "exact match, short numbers": settings.exact_match(model, short_numbers(settings, seed)),
        "crossing": crossing(model, settings.task, test),
    }
    if variant in WITH_BEAM:
        measures["exact match, beam"] = beam_match(settings, model, pairs)
        measures["exact match, beam stopped early"] = beam_match(
            settings, model, pairs, early_stopping=True
        )
    if variant == "small numbers":
        drawn = SETTINGS.split(seed).test
        larger = SETTINGS.task.pairs(n for n in drawn if n >= SMALL_LIMIT)
        measures["exact match, larger numbers"] = settings.exact_match(model, larger)
    return model, history, settings.measure(model, seed, history, measures)


EXPERIMENT = Experiment(
    name="translation",
    settings={
        "variants": {name: asdict(settings_of(name)) for name in MODELS},
        "short_limit": SHORT_LIMIT,
        "extra_pads": EXTRA_PADS,
    },
    floors={},
    variants=tuple(MODELS),
    run=lambda variant, seed: run(variant, seed)[2],
)

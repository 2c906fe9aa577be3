"""Translator: build, train and judge a small Transformer on number words (lessons 07 and 08)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from tx_utils.configs import TransformerConfig
from tx_utils.experiments.evidence import Result
from tx_utils.generation import exact_match, greedy_decode
from tx_utils.models import Transformer
from tx_utils.tasks.translation import NumberTranslation, Pair, Split, collate
from tx_utils.tasks.vocabulary import END, PAD, START
from tx_utils.training import (
    History,
    TokenAccuracy,
    TokenCrossEntropy,
    evaluate,
    train,
    warmup_cosine,
    warmup_inverse_sqrt,
)

SCHEDULES = ("constant", "inverse sqrt", "cosine")


@dataclass(frozen=True, kw_only=True)
class Translator:
    """How a translator is built and trained: everything that its numbers depend on, but the seed.

    The paper's Adam, dropout and label smoothing; post-norm, as in 2017.

    Attributes:
        limit: The numbers are 0 ... limit - 1.
        zeros: How likely a digit is to be 0, as in `NumberTranslation`.
        train_size: Numbers to learn from.
        validation_size: Numbers to watch the training by.
        test_size: Numbers to judge the result by; the model never sees them.
        num_layers: Layers of the encoder, and as many of the decoder.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        d_ff: Width of the feed-forward networks' hidden layer.
        dropout: Probability for sublayer outputs and for embeddings plus positions.
        label_smoothing: Share of each target's probability that is spread over all tokens.
        batch_size: Pairs per batch.
        epochs: Passes through the training numbers.
        learning_rate: Adam's, at its peak.
        schedule: One of `SCHEDULES`.
        warmup_steps: Steps of the rise to the peak; a constant rate has none.
        clip_norm: Longest gradient allowed; None for no limit.
        average_decay: How much of the running average of the weights is kept at each step.
        max_new_tokens: Where an answer is cut off.
    """

    limit: int
    train_size: int
    epochs: int
    learning_rate: float
    warmup_steps: int
    schedule: str = "inverse sqrt"
    num_layers: int = 1
    validation_size: int = 500
    test_size: int = 1000
    d_model: int = 64
    num_heads: int = 4
    d_ff: int = 256
    dropout: float = 0.1
    zeros: float | None = None
    label_smoothing: float = 0.1
    batch_size: int = 64
    clip_norm: float | None = None
    average_decay: float = 0.98
    max_new_tokens: int = 16

    def __post_init__(self) -> None:
        """Refuse a schedule that is not there."""
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}"
            )

    @cached_property
    def task(self) -> NumberTranslation:
        """From English to German."""
        return NumberTranslation(limit=self.limit, zeros=self.zeros)

    @property
    def config(self) -> TransformerConfig:
        """The model's sizes."""
        return TransformerConfig(
            len(self.task.source_vocabulary),
            len(self.task.target_vocabulary),
            d_model=self.d_model,
            num_heads=self.num_heads,
            num_layers=self.num_layers,
            d_ff=self.d_ff,
            max_len=4 * self.max_new_tokens,
            dropout=self.dropout,
            pad_id=PAD,
        )

    def split(self, seed: int) -> Split:
        """The numbers of a run; another seed draws others."""
        return self.task.split(
            train=self.train_size,
            validation=self.validation_size,
            test=self.test_size,
            seed=seed,
        )

    @property
    def total_steps(self) -> int:
        """Optimizer steps of a run."""
        return self.epochs * -(-self.train_size // self.batch_size)

    def optimizer(self, model: Transformer) -> tuple[optim.Adam, LRScheduler]:
        """The paper's Adam (section 5.3), and the schedule of its rate."""
        adam = optim.Adam(model.parameters(), lr=self.learning_rate, betas=(0.9, 0.98), eps=1e-9)
        if self.schedule == "inverse sqrt":
            return adam, warmup_inverse_sqrt(adam, warmup_steps=self.warmup_steps)
        if self.schedule == "cosine":
            steps = {"warmup_steps": self.warmup_steps, "total_steps": self.total_steps}
            return adam, warmup_cosine(adam, **steps, final_fraction=0.02)
        return adam, optim.lr_scheduler.ConstantLR(adam, factor=1.0, total_iters=0)

    def average(self, model: Transformer) -> AveragedModel:
        """The exponential moving average of the model's weights."""
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(self.average_decay))

    def fit(
        self,
        model: Transformer,
        seed: int,
        *,
        optimizer: optim.Optimizer | None = None,
        schedule: LRScheduler | None = None,
        **options: Any,
    ) -> History:
        """Train a model; validation is in plain cross-entropy.

        Args:
            model: Trained in place.
            seed: Names the split and the order of its training numbers.
            optimizer: With the schedule, what `optimizer` returned; new ones if None.
            schedule: Belongs to the optimizer.
            **options: More of `train`'s: a label, early stopping, an average of the weights ...
        """
        numbers = self.split(seed)
        if optimizer is None:
            optimizer, schedule = self.optimizer(model)
        return train(
            model,
            self.loader(numbers.train, seed),
            optimizer,
            TokenCrossEntropy(ignore_index=PAD, label_smoothing=self.label_smoothing),
            epochs=self.epochs,
            schedule=schedule,
            validation=[collate(self.task.pairs(numbers.validation))],
            validation_loss_fn=TokenCrossEntropy(ignore_index=PAD),
            clip_norm=self.clip_norm,
            **options,
        )

    def loader(self, numbers: Iterable[int], seed: int) -> DataLoader[Pair]:
        """Batches of training pairs, shuffled anew in every epoch."""
        return DataLoader(
            self.task.pairs(numbers),  # type: ignore[arg-type]
            batch_size=self.batch_size,
            shuffle=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),
        )

    def translate(self, model: Transformer, source: Tensor) -> Tensor:
        """Write the likeliest token each time, for every source.  (B, T_source) -> (B, T)."""
        return greedy_decode(
            model, source, start_id=START, end_id=END, max_new_tokens=self.max_new_tokens
        )

    def exact_match(
        self, model: Transformer, pairs: Sequence[Pair], *, extra_pads: int = 0
    ) -> float:
        """Share of the pairs that are translated without a fault, in free generation.

        Args:
            model: The trained model.
            pairs: What to translate, and into what.
            extra_pads: Padding added behind every source.
        """
        source, _, labels = collate(pairs)
        written = self.translate(model, F.pad(source, (0, extra_pads), value=PAD))
        return exact_match(written, labels, pad_id=PAD).float().mean().item()

    def measure(
        self, model: Transformer, seed: int, history: History, measures: dict[str, Any]
    ) -> Result:
        """Judge a trained model on the test numbers: plain cross-entropy, and what it writes."""
        test = self.task.pairs(self.split(seed).test)
        loss_fn = TokenCrossEntropy(ignore_index=PAD)
        accuracy = {"accuracy": TokenAccuracy(ignore_index=PAD)}
        scores = evaluate(model, [collate(test)], loss_fn, accuracy)
        measures = {
            "exact match": self.exact_match(model, test),
            "validation": history.validation_loss,
            **measures,
        }
        curve, ends = history.train_loss, history.epoch_end
        return Result(scores["loss"], scores["accuracy"], curve, ends, measures)

"""Language model: build, train and judge a small GPT on a text (lesson 10)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from tx_utils.bits import bits_per_character, token_nats
from tx_utils.configs import GPTConfig
from tx_utils.models import GPT
from tx_utils.positional import sinusoidal_encoding
from tx_utils.tasks.python_topics import join
from tx_utils.tasks.sampling import fresh_loader
from tx_utils.tokenizer import BPETokenizer
from tx_utils.training import History, TokenCrossEntropy, train, warmup_cosine


@dataclass(frozen=True)
class Corpus:
    """A text to learn from, and another one to be judged by.

    Attributes:
        train: The first.
        validation: The second; no paragraph is in both.
    """

    train: str
    validation: str

    @classmethod
    def of(cls, train: Sequence[str], validation: Sequence[str]) -> "Corpus":
        """Make the two texts of paragraphs."""
        return cls(join(train), join(validation))


@lru_cache(maxsize=8)
def trained_tokenizer(text: str, vocab_size: int) -> BPETokenizer:
    """A tokenizer with the merges of that text; the same call trains only once."""
    return BPETokenizer.train(text, vocab_size)


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """How a GPT is built and trained: everything that its numbers depend on, but text and seed.

    AdamW with a warm-up, then a cosine down to 0. The position vectors are learned, but begin as
    lesson 03's sines and cosines: from random ones, training starts later.

    Attributes:
        vocab_size: Ids of the tokenizer; 256 for bytes, which are characters here, by and large.
        context: Tokens that a training sequence has, T.
        max_len: Positions that the model has; those beyond `context` are never trained.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward networks' hidden layer.
        dropout: Probability for sublayer outputs and for embeddings plus positions.
        batch_size: Sequences per batch, cut from the text at random.
        steps_per_epoch: Batches between two looks at the validation text.
        epochs: Number of such rounds.
        learning_rate: AdamW's, at its peak.
        warmup_steps: Steps of the rise to the peak.
        betas: AdamW's.
        weight_decay: AdamW's, on matrices and tables; vectors have none.
        clip_norm: Longest gradient allowed.
    """

    vocab_size: int
    epochs: int
    context: int = 64
    max_len: int = 128
    d_model: int = 128
    num_heads: int = 4
    num_layers: int = 2
    d_ff: int = 512
    dropout: float = 0.0
    batch_size: int = 8
    steps_per_epoch: int = 100
    learning_rate: float = 6e-3
    warmup_steps: int = 50
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    @cached_property
    def config(self) -> GPTConfig:
        """The model's sizes."""
        return GPTConfig(
            self.vocab_size,
            d_model=self.d_model,
            num_heads=self.num_heads,
            num_layers=self.num_layers,
            d_ff=self.d_ff,
            max_len=self.max_len,
            dropout=self.dropout,
        )

    @property
    def total_steps(self) -> int:
        """Optimizer steps of a run."""
        return self.epochs * self.steps_per_epoch

    @property
    def multiplications(self) -> int:
        """Multiplications of one step's forward pass, in all matrix products.

        Four projections, scores and weighted sums (a position reads half of the others on
        average), two layers of the feed-forward network; then the output's. A backward pass costs
        twice as much.
        """
        attention = 4 * self.d_model**2 + (self.context + 1) * self.d_model
        layer = attention + 2 * self.d_model * self.d_ff
        token = self.num_layers * layer + self.d_model * self.vocab_size
        return self.batch_size * self.context * token

    def tokenizer(self, corpus: Corpus) -> BPETokenizer:
        """The tokenizer; it learns its merges from the training text alone."""
        return trained_tokenizer(corpus.train, self.vocab_size)

    def build(self) -> tuple[GPT, optim.AdamW, LRScheduler]:
        """A new model, its optimizer, and the schedule of its rate."""
        model = GPT(self.config)
        with torch.no_grad():
            model.positions.weight.copy_(sinusoidal_encoding(self.max_len, self.d_model))
        parameters = list(model.parameters())
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        adam = optim.AdamW(groups, lr=self.learning_rate, betas=self.betas, fused=True)
        steps = {"warmup_steps": self.warmup_steps, "total_steps": self.total_steps}
        return model, adam, warmup_cosine(adam, **steps)

    def batch(self, tokens: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut pieces out of a text, anywhere: what is read, and what follows each token.

        Args:
            tokens: The text.  (N,)
            size: Number of pieces, B.
            generator: Source of the randomness.

        Returns:
            Tokens and target.  Each (B, context)
        """
        starts = torch.randint(len(tokens) - self.context, (size, 1), generator=generator)
        pieces = tokens[starts + torch.arange(self.context + 1)]
        return pieces[:, :-1], pieces[:, 1:]

    def loader(self, corpus: Corpus, seed: int) -> DataLoader[tuple[Tensor, ...]]:
        """Batches of pieces of the training text; another seed cuts other ones."""
        text = torch.tensor(self.tokenizer(corpus).encode(corpus.train))
        return fresh_loader(
            lambda size, generator: self.batch(text, size, generator),
            batch_size=self.batch_size,
            batches=self.steps_per_epoch,
            seed=seed,
        )

    def fit(
        self,
        model: GPT,
        corpus: Corpus,
        seed: int,
        *,
        optimizer: optim.Optimizer,
        schedule: LRScheduler,
        **options: Any,
    ) -> History:
        """Train a model; validation is on the whole validation text, in pieces side by side.

        Args:
            model: Trained in place.
            corpus: The texts.
            seed: Names the stream of pieces.
            optimizer: What `build` returned with the model.
            schedule: Its schedule.
            **options: More of `train`'s: a history to go on from, a label ...
        """
        return train(
            model,
            self.loader(corpus, seed),
            optimizer,
            TokenCrossEntropy(),
            epochs=self.epochs,
            schedule=schedule,
            validation=self.side_by_side(corpus, self.context),
            clip_norm=self.clip_norm,
            **options,
        )

    def side_by_side(self, corpus: Corpus, length: int) -> list[tuple[Tensor, Tensor]]:
        """The validation text in pieces of one length, none overlapping; the rest is left out."""
        tokens = torch.tensor(self.tokenizer(corpus).encode(corpus.validation))
        pieces = (len(tokens) - 1) // length
        read = tokens[: pieces * length].view(pieces, length)
        target = tokens[1 : pieces * length + 1].view(pieces, length)
        return list(zip(read.split(32), target.split(32), strict=True))

    def bits_per_nat(self, corpus: Corpus, *, part: str = "validation") -> float:
        """What turns nats per token into bits per character: tokens / (ln 2 * characters)."""
        text: str = getattr(corpus, part)
        return len(self.tokenizer(corpus).encode(text)) / math.log(2) / len(text)

    def bits(self, model: GPT, corpus: Corpus, *, part: str = "validation") -> float:
        """Bits per character of a whole text, every token counted."""
        text: str = getattr(corpus, part)
        tokens = torch.tensor(self.tokenizer(corpus).encode(text))
        return bits_per_character(token_nats(model, tokens, context=self.context), text)

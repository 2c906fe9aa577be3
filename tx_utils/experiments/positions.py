"""Lesson 03's first experiment: reversing a queue, with positions of two kinds and without.

The models share everything but what is added to the embeddings: the paper's sinusoids, learned
vectors, or nothing. A fourth adds the sinusoids to embeddings that were not scaled up to them.
No residual leads around the attention, so that what a position says comes from where it looks.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import LRScheduler

from tx_utils.attention import MultiHeadAttention
from tx_utils.embedding import TokenEmbedding
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.positional import LearnedPositionalEncoding, PositionalEncoding
from tx_utils.tasks import Reverse
from tx_utils.tasks.sampling import Sample
from tx_utils.training import History, seed_everything, warmup_cosine

TASK = Reverse()


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 03's training runs have in common.

    Attributes:
        d_model: Width of a token's vector.
        warmup_steps: Steps in which the rate rises; after them it falls to 0 until the end, so
            that the last steps are small and a loss can settle.
    """

    d_model: int = 64
    warmup_steps: int = 20

    @property
    def steps(self) -> int:
        """Steps per run."""
        return self.batches_per_epoch * self.epochs


SETTINGS = Settings(batch_size=64, batches_per_epoch=10, epochs=40, learning_rate=3e-3)


class QueueModel(nn.Module):
    """Embed the tokens, add their positions, let one head look, read off a token.

    Args:
        vocab_size: Number of different tokens.
        d_model: Width of a token's vector.
        positions: Adds positions; (B, T, d_model) -> (B, T, d_model).
        scale_embedding: Whether embeddings are multiplied by sqrt(d_model).
    """

    def __init__(
        self, vocab_size: int, d_model: int, positions: nn.Module, *, scale_embedding: bool = True
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, d_model, scale=scale_embedding)
        self.positions = positions
        self.attention = MultiHeadAttention(d_model, num_heads=1, bias=False)
        self.readout = nn.Linear(d_model, vocab_size)

    def embed(self, tokens: Tensor) -> Tensor:
        """What each token is plus where it stands.  (B, T) -> (B, T, d_model)."""
        x: Tensor = self.positions(self.embedding(tokens))
        return x

    def forward(self, tokens: Tensor) -> Tensor:
        """Score every token as each position's answer.  (B, T) -> (B, T, vocab_size)."""
        x = self.embed(tokens)
        logits: Tensor = self.readout(self.attention(x, x, x))
        return logits

    def weights(self, tokens: Tensor) -> Tensor:
        """Where each position looks.  (B, T) -> (B, T, T)."""
        x = self.embed(tokens)
        return self.attention.weights(x, x)[:, 0]


Positions = Callable[[int, int], nn.Module]  # (d_model, max_len) -> the layer that adds them


def sinusoidal(d_model: int, max_len: int) -> nn.Module:
    """The paper's table."""
    return PositionalEncoding(d_model, max_len=max_len)


def learned(d_model: int, max_len: int) -> nn.Module:
    """A vector per position, learned like the embeddings."""
    return LearnedPositionalEncoding(d_model, max_len=max_len)


def none(d_model: int, max_len: int) -> nn.Module:
    """Nothing is added."""
    return nn.Identity()


POSITIONS: dict[str, Positions] = {
    "sinusoidal": sinusoidal,
    "learned": learned,
    "none": none,
    "unscaled": sinusoidal,
}


def build(variant: str) -> QueueModel:
    """The model of one variant, before training; from one seed, all start with the same weights."""
    scale = variant != "unscaled"
    model = QueueModel(TASK.vocab_size, SETTINGS.d_model, nn.Identity(), scale_embedding=scale)
    model.positions = POSITIONS[variant](SETTINGS.d_model, TASK.length)  # last: it may draw numbers
    return model


def optimizer_and_schedule(
    model: nn.Module, settings: Settings
) -> tuple[optim.Optimizer, LRScheduler]:
    """Adam, and a rate that rises for a few steps and then falls to 0."""
    optimizer = optim.Adam(model.parameters(), lr=settings.learning_rate)
    schedule = warmup_cosine(
        optimizer, warmup_steps=settings.warmup_steps, total_steps=settings.steps
    )
    return optimizer, schedule


def fit_queue(
    model: nn.Module, sample: Sample, settings: Settings, seed: int, label: str
) -> History:
    """Train a model as all of lesson 03's are trained."""
    optimizer, schedule = optimizer_and_schedule(model, settings)
    return fit(model, sample, settings, seed, optimizer=optimizer, schedule=schedule, label=label)


@torch.no_grad()
def mirror_weights(model: QueueModel, tokens: Tensor) -> Tensor:
    """How much each position looks at its mirror image.  (B, T) -> (B, T)."""
    return model.weights(tokens).flip(-1).diagonal(dim1=1, dim2=2)


def run(variant: str, seed: int) -> tuple[QueueModel, History, Result]:
    """Train one variant from one seed, exactly as the lesson does in the open."""
    seed_everything(seed)
    model = build(variant)
    history = fit_queue(model, TASK.sample, SETTINGS, seed, variant)
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    tokens, _ = TASK.sample(SETTINGS.test_size, generator)
    mass = mirror_weights(model, tokens)
    measures = {"mirror_weight": mass.mean().item(), "least_mirror_weight": mass.min().item()}
    return model, history, measure(model, TASK.sample, SETTINGS, history, measures=measures)


EXPERIMENT = Experiment(
    name="positions",
    settings={**asdict(SETTINGS), "task": asdict(TASK)},
    floors={"orderless": TASK.orderless_floor, "chance": TASK.chance},
    variants=tuple(POSITIONS),
    run=lambda variant, seed: run(variant, seed)[2],
)

"""Lesson 09's third experiment: is a picture intact, or are its patches in another order?

Two Vision Transformers differ in nothing but that one is told where each patch stands.
"""

from dataclasses import asdict, dataclass

import torch
from torch import nn, optim

from tx_utils.configs import ViTConfig
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.models import ViT
from tx_utils.tasks.digits import IMAGE_SIZE, load_digits, split_digits
from tx_utils.tasks.puzzles import Puzzles
from tx_utils.training import History, seed_everything, warmup_cosine

POSITIONS, ORDERLESS = "positions", "no positions"


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What the training runs have in common.

    Attributes:
        patch_size: Height and width of a patch, in pixels.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward networks' hidden layer.
        warmup_steps: Steps of the rise to the peak rate; half a cosine follows.
    """

    patch_size: int = 2
    d_model: int = 32
    num_heads: int = 4
    num_layers: int = 2
    d_ff: int = 64
    warmup_steps: int = 40

    @property
    def config(self) -> ViTConfig:
        """The model's sizes."""
        return ViTConfig(
            IMAGE_SIZE,
            self.patch_size,
            2,
            self.d_model,
            self.num_heads,
            self.num_layers,
            self.d_ff,
        )


SETTINGS = Settings(
    batch_size=64, batches_per_epoch=20, epochs=15, learning_rate=3e-3, test_size=1024
)


def puzzles(seed: int, *, test: bool = False) -> Puzzles:
    """The puzzles of a seed, from its training pictures, or from its test pictures."""
    split = split_digits(seed)
    return Puzzles(load_digits().images[split.test if test else split.train], SETTINGS.patch_size)


def build(variant: str) -> ViT:
    """The model of one variant before training; from one seed, both start with the same weights."""
    model = ViT(SETTINGS.config)
    if variant == ORDERLESS:
        model.positions = nn.Identity()  # type: ignore[assignment]
    return model


def run(variant: str, seed: int) -> tuple[ViT, History, Result]:
    """Train one variant from one seed, and measure it on puzzles of other hands' pictures."""
    seed_everything(seed)
    model = build(variant)
    optimizer = optim.Adam(model.parameters(), lr=SETTINGS.learning_rate)
    schedule = warmup_cosine(
        optimizer,
        warmup_steps=SETTINGS.warmup_steps,
        total_steps=SETTINGS.epochs * SETTINGS.batches_per_epoch,
    )
    history = fit(
        model,
        puzzles(seed).sample,
        SETTINGS,
        seed,
        optimizer=optimizer,
        schedule=schedule,
        label=variant,
    )
    return model, history, measure(model, puzzles(seed, test=True).sample, SETTINGS, history)


EXPERIMENT = Experiment(
    name="puzzles",
    settings=asdict(SETTINGS),
    floors={ORDERLESS: Puzzles(torch.zeros(1, 1, 2, 2)).floor},
    variants=(POSITIONS, ORDERLESS),
    run=lambda variant, seed: run(variant, seed)[2],
)

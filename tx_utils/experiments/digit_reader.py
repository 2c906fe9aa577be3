"""Digit reader: build and train a small Vision Transformer on handwritten digits (lesson 09)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim

from tx_utils.configs import ViTConfig
from tx_utils.models import ViT
from tx_utils.tasks.digits import (
    CLASSES,
    IMAGE_SIZE,
    Augmentation,
    Digits,
    DigitSampler,
    DigitSplit,
    load_digits,
    split_digits,
)
from tx_utils.tasks.sampling import fresh_loader
from tx_utils.training import (
    EarlyStopping,
    History,
    TokenAccuracy,
    TokenCrossEntropy,
    train,
    warmup_cosine,
)

LITTLE_CHANGES = Augmentation()


@dataclass(frozen=True, kw_only=True)
class DigitReader:
    """How a digit reader is built and trained: all that its numbers depend on, but the seed.

    Attributes:
        augmentation: How training pictures are changed; None for not at all.
        train_size: Number of training pictures; None for all of the split.
        by_sheet: Whether sheets stay together in the split.
        positions: Whether patches are told where they stand.
        pixels_scrambled: Whether all pictures have their pixels in one other order.
        patch_size: Height and width of a patch, in pixels.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward networks' hidden layer.
        batch_size: Pictures per batch.
        batches_per_epoch: Batches between two looks at the validation pictures.
        epochs: Such looks.
        learning_rate: AdamW's, at its peak.
        weight_decay: AdamW's.
        warmup_steps: Steps of the rise to the peak; a cosine follows.
    """

    augmentation: Augmentation | None = LITTLE_CHANGES
    train_size: int | None = None
    by_sheet: bool = True
    positions: bool = True
    pixels_scrambled: bool = False
    patch_size: int = 2
    d_model: int = 64
    num_heads: int = 4
    num_layers: int = 2
    d_ff: int = 128
    batch_size: int = 64
    batches_per_epoch: int = 25
    epochs: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup_steps: int = 150

    @property
    def config(self) -> ViTConfig:
        """The model's sizes."""
        return ViTConfig(
            IMAGE_SIZE,
            self.patch_size,
            CLASSES,
            self.d_model,
            self.num_heads,
            self.num_layers,
            self.d_ff,
        )

    def model(self) -> nn.Module:
        """A new model; from one seed, those with and without positions start alike."""
        model: nn.Module = ViT(self.config)
        if not self.positions:
            model.positions = nn.Identity()
        return Scrambled(model) if self.pixels_scrambled else model

    def split(self, seed: int) -> DigitSplit:
        """The pictures of a run, as positions in the file."""
        split = split_digits(seed, by_sheet=self.by_sheet)
        order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed))
        return split._replace(train=split.train[order[: self.train_size]])

    def optimizer(self, model: nn.Module) -> tuple[optim.Optimizer, optim.lr_scheduler.LambdaLR]:
        """AdamW, and the schedule of its rate."""
        optimizer = optim.AdamW(
            model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        return optimizer, warmup_cosine(
            optimizer,
            warmup_steps=self.warmup_steps,
            total_steps=self.epochs * self.batches_per_epoch,
            final_fraction=0.02,
        )

    def fit(self, model: nn.Module, seed: int, **options: Any) -> History:
        """Train a model, and give it back the weights of its lowest validation loss.

        Args:
            model: Trained in place.
            seed: Names the split and the stream of batches.
            **options: More of `train`'s: a label, ...
        """
        digits, split = load_digits(), self.split(seed)
        sampler = DigitSampler(*pictures(digits, split.train), self.augmentation)
        optimizer, schedule = self.optimizer(model)
        return train(
            model,
            fresh_loader(
                sampler.sample,
                batch_size=self.batch_size,
                batches=self.batches_per_epoch,
                seed=seed,
            ),
            optimizer,
            TokenCrossEntropy(),
            epochs=self.epochs,
            schedule=schedule,
            validation=[pictures(digits, split.validation)],
            metrics={"accuracy": TokenAccuracy()},
            early_stopping=EarlyStopping(patience=self.epochs),
            **options,
        )


class Scrambled(nn.Module):
    """Show a model every picture with its pixels in another order, always the same.

    Args:
        model: Reads square images of one channel.
        size: Height and width of an image.
    """

    order: Tensor

    def __init__(self, model: nn.Module, size: int = IMAGE_SIZE) -> None:
        super().__init__()
        self.model = model
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("order", torch.randperm(size**2, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, size, size) -> what the model makes of it."""
        return self.model(images.flatten(1)[:, self.order].view_as(images))


def pictures(digits: Digits, places: Tensor) -> tuple[Tensor, Tensor]:
    """The images and the labels at some places in the file."""
    return digits.images[places], digits.labels[places]

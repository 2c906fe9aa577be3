"""Digits: 1,797 small pictures of handwritten digits, by whose hand, and turned a little.

The pictures come with scikit-learn. Its description says that thirteen people wrote them, but not
who wrote which. The labels tell: fourteen times over they spell the same text of 130 digits, now
and then with a digit missing or another. So the file is fourteen sheets, filled in one after the
other. A split that keeps sheets whole asks for the digits of people that the model has never met.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from tx_utils._checks import check_positive

CLASSES = 10
IMAGE_SIZE = 8
DARKEST = 16  # of a pixel, in the file
SHEETS = 14
SHEET_STARTS = (
    *(0, 130, 256, 386, 516, 646, 776),
    *(906, 1029, 1157, 1287, 1415, 1545, 1667),
)
FOLDS = 5  # so many seeds test every picture once
VALIDATION_SHEETS = 2


class Digits(NamedTuple):
    """The pictures.

    Attributes:
        images: From 0, white, to 1, black.                  (1797, 1, 8, 8)
        labels: The digit that each of them shows.           (1797,)
        sheets: The sheet that it stands on, 0 to 13.        (1797,)
    """

    images: Tensor
    labels: Tensor
    sheets: Tensor


class DigitSplit(NamedTuple):
    """Three sets of pictures that share none, as positions in the file; ascending.

    Attributes:
        train: The pictures to learn from.
        validation: Those to choose by.
        test: Those to judge by.
    """

    train: Tensor
    validation: Tensor
    test: Tensor


def load_digits() -> Digits:
    """Read the pictures that scikit-learn brings along.

    Example:
        >>> images, labels, sheets = load_digits()
        >>> images.shape, labels[:12].tolist()
        (torch.Size([1797, 1, 8, 8]), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    """
    from sklearn import datasets  # here, since every lesson imports the tasks and one needs this

    data = datasets.load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / DARKEST
    labels = torch.from_numpy(data.target).long()
    starts = torch.tensor(SHEET_STARTS)
    sheets = torch.searchsorted(starts, torch.arange(len(labels)), right=True) - 1
    return Digits(images, labels, sheets)


def split_digits(seed: int, *, by_sheet: bool = True) -> DigitSplit:
    """Draw three sets of pictures; those of one sheet stay together.

    Five seeds in a row, from a multiple of 5 on, go through one order of the sheets: their test
    sets hold every picture once. Of the 14 sheets 3 (in one of the five: 2) are for the test, 2
    for validation.

    Args:
        seed: Names the split.
        by_sheet: False deals the pictures out to sheets at random first, so that every set has
            pictures of nearly every person.

    Raises:
        ValueError: if the seed is negative.

    Example:
        >>> [len(part) for part in split_digits(0)], [len(part) for part in split_digits(4)]
        ([1147, 260, 390], [1285, 260, 252])
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    sheets = load_digits().sheets
    shuffle, fold = divmod(seed, FOLDS)
    generator = torch.Generator().manual_seed(shuffle)
    order = torch.randperm(SHEETS, generator=generator)
    if not by_sheet:
        sheets = sheets[torch.randperm(len(sheets), generator=generator)]
    test = torch.isin(sheets, order[fold::FOLDS])
    next_fold = order[(fold + 1) % FOLDS :: FOLDS]
    validation = torch.isin(sheets, next_fold[:VALIDATION_SHEETS])
    parts = (~(test | validation), validation, test)
    return DigitSplit(*(part.nonzero().flatten() for part in parts))


def transform(
    images: Tensor, *, slant: Tensor, degrees: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """Slant, then turn, then enlarge, then move each image; what comes in from outside is white.

    Args:
        images: (B, 1, height, width), square.
        slant: How far the top moves to the right against the middle, in half heights.  (B,)
        degrees: How far each is turned, counter-clockwise.                             (B,)
        scale: How much larger each becomes; 1 leaves it.                               (B,)
        shift: By how many pixels each moves to the right, and down.                    (B, 2)

    Returns:
        The new images, interpolated between pixels.  (B, 1, height, width)

    Example:
        >>> image, still = torch.arange(9.0).view(1, 1, 3, 3), torch.zeros(1)
        >>> right = torch.tensor([[1.0, 0.0]])
        >>> transform(image, slant=still, degrees=still, scale=still + 1, shift=right).tolist()
        [[[[0.0, 0.0, 1.0], [0.0, 3.0, 4.0], [0.0, 6.0, 7.0]]]]
    """
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # Where each new pixel comes from: the way back, so everything is undone in reverse order.
    # The grid runs from -1 to 1, y downwards; one pixel is 2 / width of it.
    turn_back = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    one, zero = torch.ones_like(slant), torch.zeros_like(slant)
    back = torch.stack([one, slant, zero, one], dim=1).view(-1, 2, 2) @ turn_back
    offset = -back @ (shift * 2 / images.size(-1))[:, :, None]
    grid = F.affine_grid(torch.cat([back, offset], dim=2), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@dataclass(frozen=True)
class Augmentation:
    """Small changes that leave a digit the digit it is, drawn anew for every image.

    Attributes:
        slant: Largest slant, either way, in half heights.
        degrees: Largest turn, either way.
        scale: Largest change of the size, as a share of it.
        shift: Largest move to any side, in pixels.

    Example:
        >>> images = torch.zeros(3, 1, 8, 8)
        >>> Augmentation()(images, torch.Generator()).shape
        torch.Size([3, 1, 8, 8])
    """

    slant: float = 0.2
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 0.5

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change each image a little.  (B, 1, height, width) -> the same shape."""
        drawn = 2 * torch.rand(len(images), 5, generator=generator) - 1
        return transform(
            images,
            slant=self.slant * drawn[:, 0],
            degrees=self.degrees * drawn[:, 1],
            scale=1 + self.scale * drawn[:, 2],
            shift=self.shift * drawn[:, 3:],
        )


@dataclass(frozen=True)
class DigitSampler:
    """Batches of training pictures, each picture changed a little as it is drawn.

    Attributes:
        images: The pictures to draw from.  (N, 1, 8, 8)
        labels: Their digits.               (N,)
        augmentation: The changes; None for none.

    Example:
        >>> images, labels, _ = load_digits()
        >>> batch = DigitSampler(images, labels).sample(3, torch.Generator())
        >>> [part.shape for part in batch]
        [torch.Size([3, 1, 8, 8]), torch.Size([3])]
    """

    images: Tensor
    labels: Tensor
    augmentation: Augmentation | None = None

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw `size` pictures, each as likely as any other: (size, 1, 8, 8) and (size,)."""
        check_positive(size=size)
        chosen = torch.randint(len(self.images), (size,), generator=generator)
        images = self.images[chosen]
        if self.augmentation is not None:
            images = self.augmentation(images, generator)
        return images, self.labels[chosen]

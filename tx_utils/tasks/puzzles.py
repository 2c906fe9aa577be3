"""Puzzles: is a picture intact, or are its patches in another order?

The two differ in where the patches stand, and in nothing else. A model that sees a bag of patches
must give both the same answer, so it is right in half of the cases at most, however it is trained.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils.models import split_patches
from tx_utils.tasks.sampling import shuffled

INTACT, SHUFFLED = 0, 1


def reorder_patches(images: Tensor, order: Tensor, patch_size: int) -> Tensor:
    """Put each image together anew from its own patches.

    Args:
        images: (B, C, height, width), with height and width equal.
        order: Which patch comes to each place, row by row; one order each.  (B, T)
        patch_size: Height and width of a patch, in pixels.

    Returns:
        The new images.  (B, C, height, width)

    Raises:
        ValueError: if the orders do not name T patches for each of the B images.

    Example:
        >>> image = torch.arange(4).view(1, 1, 2, 2)
        >>> reorder_patches(image, torch.tensor([[3, 2, 1, 0]]), patch_size=1)[0, 0].tolist()
        [[3, 2], [1, 0]]
    """
    patches = split_patches(images, patch_size)
    if order.shape != patches.shape[:2]:
        raise ValueError(
            f"order must have shape {tuple(patches.shape[:2])}, got {tuple(order.shape)}"
        )
    patches = patches.gather(1, order[..., None].expand_as(patches))
    rows = images.size(2) // patch_size
    pieces = patches.view(len(images), rows, -1, images.size(1), patch_size, patch_size)
    return pieces.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


@dataclass(frozen=True)
class Puzzles:
    """Pictures, each once intact and once with its patches in a random order.

    Attributes:
        images: The pictures to draw from.  (N, C, size, size)
        patch_size: Height and width of a patch, in pixels.

    Example:
        >>> pictures, answer = Puzzles(torch.rand(5, 1, 4, 4)).sample(6, torch.Generator())
        >>> pictures.shape, answer.tolist()
        (torch.Size([6, 1, 4, 4]), [0, 0, 0, 1, 1, 1])
    """

    images: Tensor
    patch_size: int = 2

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw pairs.

        Args:
            size: Number of pictures: the first half intact, the second the same ones shuffled.
            generator: Source of the randomness.

        Returns:
            Pictures (size, C, height, width), and `INTACT` or `SHUFFLED` for each (size,).

        Raises:
            ValueError: if the size is odd, or not positive.
        """
        if size < 2 or size % 2:
            raise ValueError(f"size must be a positive even number, got {size}")
        chosen = torch.randint(len(self.images), (size // 2,), generator=generator)
        intact = self.images[chosen]
        num_patches = (self.images.size(-1) // self.patch_size) ** 2
        order = shuffled(size // 2, num_patches, generator)
        pictures = torch.cat([intact, reorder_patches(intact, order, self.patch_size)])
        answer = torch.tensor([INTACT, SHUFFLED]).repeat_interleave(size // 2)
        return pictures, answer

    @property
    def floor(self) -> float:
        """Least loss in nats of a model that sees a bag of patches: ln 2, on every single pair.

        It gives both pictures of a pair the same probability p of being intact, and pays
        -(ln p + ln (1 - p)) / 2, which is least at one half.
        """
        return math.log(2)

"""The Vision Transformer: an encoder that reads an image as a sequence of patches.

Source: Dosovitskiy et al. (2021), section 3.1, equations 1 to 4, and figure 1.
"""

import torch
from torch import Tensor, nn

from tx_utils._checks import check_positive
from tx_utils.configs import ViTConfig
from tx_utils.models.parts import xavier_
from tx_utils.positional import LearnedPositionalEncoding
from tx_utils.stacks import Encoder


def split_patches(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into square patches and write each one down as a row of numbers.

    Args:
        images: (B, C, height, width); `patch_size` divides height and width.
        patch_size: Height and width of a patch, in pixels.

    Returns:
        One token per patch, row by row from the top left; in a token the channels come one after
        the other, each row by row.  (B, T, C * patch_size**2)

    Raises:
        ValueError: if the images have not four dimensions, `patch_size` is not a positive integer,
            or the patches do not fill them.

    Example:
        >>> image = torch.arange(16).view(1, 1, 4, 4)
        >>> split_patches(image, 2)[0].tolist()
        [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    """
    check_positive(patch_size=patch_size)
    if images.dim() != 4:
        raise ValueError(f"images must have shape (B, C, height, width), got {tuple(images.shape)}")
    if images.size(2) % patch_size or images.size(3) % patch_size:
        raise ValueError(
            f"patch_size ({patch_size}) must divide height and width, got {tuple(images.shape[2:])}"
        )
    rows = images.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size))
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


class ViT(nn.Module):
    """Read an image patch by patch, and say what it shows.

    A learned token, [CLS], stands before the patches; what the encoder makes of it is the answer.

    Args:
        config: Sizes and choices.

    Example:
        >>> config = ViTConfig(8, 2, num_classes=10, d_model=8, num_heads=2, num_layers=1, d_ff=16)
        >>> ViT(config)(torch.zeros(3, 1, 8, 8)).shape
        torch.Size([3, 10])
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_proj = nn.Linear(config.channels * config.patch_size**2, config.d_model)
        self.class_token = nn.Parameter(torch.randn(config.d_model) * config.d_model**-0.5)
        self.positions = LearnedPositionalEncoding(
            config.d_model, max_len=1 + config.num_patches, dropout=config.dropout
        )
        nn.init.normal_(self.positions.weight, std=config.d_model**-0.5)
        self.encoder = Encoder(config)
        xavier_(self.encoder)
        self.output_proj = nn.Linear(config.d_model, config.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes.

        Args:
            images: (B, channels, image_size, image_size)

        Returns:
            Logits.  (B, num_classes)

        Raises:
            ValueError: if the images have another shape.
        """
        size = self.config.image_size
        if images.shape[1:] != (self.config.channels, size, size):
            raise ValueError(
                f"images must have shape (B, {self.config.channels}, {size}, {size}), "
                f"got {tuple(images.shape)}"
            )
        patches = self.patch_proj(split_patches(images, self.config.patch_size))
        first = self.class_token.expand(len(images), 1, -1)
        x = self.positions(torch.cat([first, patches], dim=1))
        return self.output_proj(self.encoder(x)[:, 0])

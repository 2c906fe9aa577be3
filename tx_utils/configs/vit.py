"""The sizes of a Vision Transformer."""

from dataclasses import dataclass

from tx_utils._checks import check_positive
from tx_utils.configs.stack import check_stack


@dataclass(frozen=True)
class ViTConfig:
    """The sizes and choices of a `ViT`, which reads square images patch by patch.

    Attributes:
        image_size: Height and width of an image, in pixels.
        patch_size: Height and width of a patch, in pixels; divides `image_size`.
        num_classes: Number of different answers.
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer; divides `d_model`.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward network's hidden layer.
        channels: Numbers per pixel: 1 for grey, 3 for colour.
        dropout: Probability for sublayer outputs and for patches plus positions.
        activation: "relu", "gelu" or "gelu_tanh".
        norm_eps: The LayerNorms' eps.

    Raises:
        ValueError: if a value is out of range; the message names it.

    Example:
        >>> ViTConfig(8, 2, 10, d_model=64, num_heads=4, num_layers=2, d_ff=256).num_patches
        16
    """

    image_size: int
    patch_size: int
    num_classes: int
    d_model: int
    num_heads: int
    num_layers: int
    d_ff: int
    channels: int = 1
    dropout: float = 0.0
    activation: str = "gelu"
    norm_eps: float = 1e-5

    @property
    def norm_first(self) -> bool:
        """A ViT is pre-norm, always."""
        return True

    @property
    def num_patches(self) -> int:
        """Number of patches in an image."""
        return (self.image_size // self.patch_size) ** 2

    def __post_init__(self) -> None:
        """Refuse values that no model can be built from."""
        check_stack(self)
        check_positive(
            image_size=self.image_size,
            patch_size=self.patch_size,
            num_classes=self.num_classes,
            channels=self.channels,
        )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size ({self.image_size}) must be divisible by patch_size "
                f"({self.patch_size})"
            )

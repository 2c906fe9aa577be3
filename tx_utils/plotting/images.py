"""Images: a gallery of small grey pictures, and where a model looks on them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from tx_utils.plotting.style import COLOURS, SIZES, LessonFigure, Size, styled, title_over

NAME: dict[str, Any] = {"loc": "center", "fontsize": 10, "fontweight": "normal", "pad": 3}


def plot_images(
    images: Tensor,
    *,
    names: Sequence[str] | None = None,
    columns: int | None = None,
    patch_size: int | None = None,
    title: str = "",
    alt: str = "",
    size: Size = "wide",
) -> LessonFigure:
    """Draw small pictures side by side: 0 is white, 1 is black.

    Args:
        images: (N, height, width), or (N, 1, height, width).
        names: What stands above each picture.
        columns: Pictures in a row; all in one row if None.
        patch_size: Height and width of the patches to be marked by lines; no lines if None.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if the images have other dimensions, or the names another number.

    Example:
        >>> import torch
        >>> figure = plot_images(torch.zeros(2, 8, 8), names=["a", "b"])
        >>> [axes.get_title() for axes in figure.axes]
        ['a', 'b']
    """
    pictures = _pictures(images)
    _check_names(names, len(pictures))
    columns = columns or len(pictures)
    rows = math.ceil(len(pictures) / columns)
    figure, panels = _grid(rows, columns, size, alt or f"Pictures. {title}")
    with styled():
        for axes in panels[len(pictures) :]:
            axes.set_axis_off()
        for number, (axes, picture) in enumerate(zip(panels, pictures, strict=False)):
            _draw(axes, picture)
            axes.set_title(names[number] if names else "", **NAME)
            if patch_size is not None:
                _mark_patches(axes, picture.shape, patch_size)
        title_over(figure, title)
    return figure


def plot_image_attention(
    images: Tensor,
    weights: Tensor,
    *,
    names: Sequence[str] | None = None,
    limit: float = 1.0,
    title: str = "",
    alt: str = "",
    size: Size = "wide",
) -> LessonFigure:
    """Draw pictures, and below each how much its patches are looked at.

    Args:
        images: (N, height, width), or (N, 1, height, width); square.
        weights: Attention weights of the patches, row by row.  (N, T)
        names: What stands above each picture.
        limit: The weight at the bright end of the colours, which begin at 0.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Raises:
        ValueError: if the weights do not fill a square for each image, or a number does not fit.

    Example:
        >>> import torch
        >>> figure = plot_image_attention(torch.zeros(2, 8, 8), torch.full((2, 16), 1 / 16))
        >>> figure.axes[-1].get_ylabel()
        'attention weight'
    """
    pictures = _pictures(images)
    _check_names(names, len(pictures))
    side = math.isqrt(weights.size(-1))
    if weights.dim() != 2 or len(weights) != len(pictures) or side**2 != weights.size(1):
        raise ValueError(
            f"weights must be (N, T) for N = {len(pictures)} images and a square T, "
            f"got {tuple(weights.shape)}"
        )
    maps = weights.detach().cpu().float().view(-1, side, side).numpy()
    figure, panels = _grid(2, len(pictures), size, alt or f"Attention over pictures. {title}")
    with styled():
        for number, (picture, looked_at) in enumerate(zip(pictures, maps, strict=True)):
            above, below = panels[number], panels[len(pictures) + number]
            _draw(above, picture)
            above.set_title(names[number] if names else "", **NAME)
            shown = below.imshow(looked_at, cmap="cividis", vmin=0.0, vmax=limit)
            _no_ticks(below)
        figure.colorbar(shown, ax=panels, label="attention weight", shrink=0.85)
        title_over(figure, title)
    return figure


def _pictures(images: Tensor) -> "np.ndarray[tuple[int, int, int], np.dtype[np.float32]]":
    if images.dim() == 4 and images.size(1) == 1:
        images = images[:, 0]
    if images.dim() != 3 or not len(images):
        raise ValueError(
            "images must be (N, height, width) or (N, 1, height, width), N above 0, "
            f"got {tuple(images.shape)}"
        )
    array: np.ndarray[tuple[int, int, int], np.dtype[np.float32]] = (
        images.detach().cpu().float().numpy()
    )
    return array


def _check_names(names: Sequence[str] | None, count: int) -> None:
    if names is not None and len(names) != count:
        raise ValueError(f"names must name all {count} images, got {len(names)} names")


def _grid(rows: int, columns: int, size: Size, alt: str) -> tuple[LessonFigure, list[Axes]]:
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    width, height = SIZES[size]
    needed = 0.7 + rows * (0.9 * width / columns + 0.35)  # inches: the title, and each row's names
    with styled():
        figure = LessonFigure(figsize=(width, min(height, needed)), layout="compressed")
        panels = figure.subplots(rows, columns, squeeze=False)
    figure.alt = alt
    return figure, list(panels.flat)


def _draw(axes: Axes, picture: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> None:
    axes.imshow(picture, cmap="gray_r", vmin=0.0, vmax=1.0)
    _no_ticks(axes)


def _no_ticks(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)


def _mark_patches(axes: Axes, shape: tuple[int, ...], patch_size: int) -> None:
    height, width = shape
    for row in range(patch_size, height, patch_size):
        axes.axhline(row - 0.5, color=COLOURS[1], lw=1.4)
    for column in range(patch_size, width, patch_size):
        axes.axvline(column - 0.5, color=COLOURS[1], lw=1.4)

"""Maps: attention weights, masks and positional encodings as pictures of a matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from tx_utils.plotting.style import COLOURS, LessonFigure, Size, new_figure, styled, title_over

READS, IS_READ = "query position (reads)", "key position (is read)"
MOST_NUMBERS = 10  # rows or columns of a map; larger maps show colours only


def plot_attention(
    weights: Tensor,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    panel_titles: Sequence[str] | None = None,
    outlined: Sequence[tuple[int, int]] = (),
    xlabel: str = IS_READ,
    ylabel: str = READS,
    value_label: str = "attention weight",
    title: str = "",
    alt: str = "",
    size: Size | None = None,
) -> LessonFigure:
    """Draw who looks at whom: one row per query, colour from 0 to 1.

    Args:
        weights: Attention weights, (T_q, T_k), or (H, T_q, T_k) for one panel per head.
        query_labels: A name for each row.
        key_labels: A name for each column.
        panel_titles: A title for each panel; "head 0", ... if None and there are several.
        outlined: Cells with a frame, by (row, column), in every panel.
        xlabel: What a column is.
        ylabel: What a row is.
        value_label: What the colours stand for.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large"; chosen by the number of panels if None.

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if the weights have another number of dimensions, or labels another number.

    Example:
        >>> import torch
        >>> plot_attention(torch.eye(3)).axes[0].get_ylabel()
        'query position (reads)'
    """
    if weights.dim() not in (2, 3):
        raise ValueError(f"weights must be (T_q, T_k) or (H, T_q, T_k), got {tuple(weights.shape)}")
    heads = weights.detach().cpu().float().reshape(-1, *weights.shape[-2:]).numpy()
    if panel_titles is None:
        panel_titles = [f"head {h}" for h in range(len(heads))] if len(heads) > 1 else [""]
    figure, panels = new_figure(
        size or ("small" if len(heads) == 1 else "wide"),
        columns=len(heads),
        alt=alt or f"Attention map. {title}",
        images=True,
    )
    with styled():
        for axes, head, name in zip(panels, heads, panel_titles, strict=True):
            image = axes.imshow(head, cmap="cividis", vmin=0.0, vmax=1.0)
            _label_cells(axes, query_labels, key_labels)
            if max(head.shape) <= MOST_NUMBERS and len(heads) * head.shape[1] <= 2 * MOST_NUMBERS:
                _write_numbers(axes, head)
            for row, column in outlined:
                axes.add_patch(
                    Rectangle(
                        (column - 0.5, row - 0.5), 1, 1, fill=False, ec=COLOURS[1], lw=2, zorder=3
                    )
                )
            axes.set_title(name, fontweight="normal")
            if len(heads) <= 4:
                axes.set_xlabel(xlabel)
        if len(heads) > 4:  # too narrow for a name each
            figure.supxlabel(xlabel, fontsize="medium")
        panels[0].set_ylabel(ylabel)
        figure.colorbar(image, ax=panels, label=value_label, shrink=0.85)
        title_over(figure, title)
    return figure


def plot_mask(
    mask: Tensor,
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    panel_titles: Sequence[str] | None = None,
    xlabel: str = IS_READ,
    ylabel: str = READS,
    title: str = "",
    alt: str = "",
) -> LessonFigure:
    """Draw a mask: blue with a tick where a query may attend, white where it may not.

    Args:
        mask: True = may attend; (T_q, T_k), or (N, T_q, T_k) for several side by side.
        query_labels: A name for each row.
        key_labels: A name for each column.
        panel_titles: A title for each panel; none if None.
        xlabel: What a column is.
        ylabel: What a row is.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.

    Raises:
        ValueError: if the mask has another number of dimensions, or labels another number.

    Example:
        >>> import torch
        >>> plot_mask(torch.eye(3, dtype=torch.bool)).axes[0].get_xlabel()
        'key position (is read)'
    """
    if mask.dim() not in (2, 3):
        raise ValueError(f"mask must be (T_q, T_k) or (N, T_q, T_k), got {tuple(mask.shape)}")
    masks = mask.cpu().reshape(-1, *mask.shape[-2:]).numpy()
    size: Size = "small" if len(masks) == 1 else "wide"
    figure, panels = new_figure(size, columns=len(masks), alt=alt or f"Mask. {title}", images=True)
    with styled():
        names = panel_titles or [""] * len(masks)
        for axes, allowed, name in zip(panels, masks, names, strict=True):
            axes.imshow(allowed, cmap=ListedColormap(["white", COLOURS[5]]), vmin=0, vmax=1)
            is_small = max(allowed.shape) <= 2 * MOST_NUMBERS
            for row, column in np.argwhere(allowed) if is_small else ():
                axes.text(column, row, "✓", ha="center", va="center")
            _label_cells(axes, query_labels, key_labels)
            axes.set_title(name, fontweight="normal")
            axes.set_xlabel(xlabel)
        panels[0].set_ylabel(ylabel)
        title_over(figure, title)
    return figure


def plot_positional_encoding(
    encoding: Tensor, *, title: str = "", alt: str = "", size: Size = "wide"
) -> LessonFigure:
    """Draw positional encodings: one row per position, red above zero, blue below.

    Args:
        encoding: One vector per position.  (T, d_model)
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Raises:
        ValueError: if the encoding is not two-dimensional.

    Example:
        >>> import torch
        >>> plot_positional_encoding(torch.zeros(5, 4)).axes[0].get_ylabel()
        'position'
    """
    if encoding.dim() != 2:
        raise ValueError(f"encoding must be (T, d_model), got {tuple(encoding.shape)}")
    figure, (axes,) = new_figure(size, alt=alt or f"Positional encoding. {title}")
    values = encoding.detach().cpu().float().numpy()
    limit = float(np.abs(values).max()) or 1.0
    with styled():
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="dimension of the encoding", ylabel="position")
        figure.colorbar(image, ax=axes, label="value")
        title_over(figure, title)
    return figure


def _label_cells(
    axes: Axes, query_labels: Sequence[str] | None, key_labels: Sequence[str] | None
) -> None:
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    length_q, length_k = axes.images[0].get_size()
    for name, labels, length in (
        ("query_labels", query_labels, length_q),
        ("key_labels", key_labels, length_k),
    ):
        if labels is not None and len(labels) != length:
            raise ValueError(f"{name} must name all {length} positions, got {len(labels)} names")
    if key_labels is not None:
        tilted = max(map(len, key_labels)) > 4
        axes.set_xticks(range(len(key_labels)), key_labels)
        axes.tick_params(axis="x", rotation=45 if tilted else 0)
    if query_labels is not None:
        axes.set_yticks(range(len(query_labels)), query_labels)


def _write_numbers(axes: Axes, matrix: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> None:
    for (row, column), value in np.ndenumerate(matrix):
        text = f"{value:.2f}".removeprefix("0").removesuffix(".00") or "0"
        colour = "white" if value < 0.5 else "black"  # cividis runs from dark to light
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)

"""Alignments: which word of one sentence looks at which word of another, as lines between them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from torch import Tensor

from tx_utils.plotting.style import COLOURS, GREY, LessonFigure, Size, new_figure, styled, wrapped

MOST_CHARACTERS = 68  # of a sentence in full size; longer ones are written smaller
FAINTEST = 0.02  # weights below draw no line
THICKEST = 9.0  # points, for a weight of 1
TEXT = "#222222"


def plot_alignment(
    weights: Tensor,
    *,
    query_labels: Sequence[str],
    key_labels: Sequence[str],
    highlighted: Sequence[int] = (),
    query_name: str = "writes",
    key_name: str = "reads",
    title: str = "",
    alt: str = "",
    size: Size = "wide",
) -> LessonFigure:
    """Draw two sentences, one above the other, and a line for every attention weight between them.

    A line is as thick and as dark as its weight is large. The upper sentence is read (the keys),
    the lower one is written (the queries).

    Args:
        weights: Attention weights.  (T_q, T_k)
        query_labels: The words below, one per row of the weights.
        key_labels: The words above, one per column.
        highlighted: Rows whose lines have a colour of their own; two colours take turns.
        query_name: What happens to the words below, written before them.
        key_name: What happens to the words above.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if the weights are not two-dimensional or are empty, the labels are of another
            number, or a highlighted row is not there.

    Example:
        >>> import torch
        >>> figure = plot_alignment(torch.eye(2), query_labels=["a", "b"], key_labels=["c", "d"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['c', 'd', 'a', 'b', 'reads', 'writes']
    """
    if weights.shape != (len(query_labels), len(key_labels)):
        raise ValueError(
            f"weights must be ({len(query_labels)}, {len(key_labels)}), one row per query label "
            f"and one column per key label, got {tuple(weights.shape)}"
        )
    if not weights.numel() or any(not 0 <= row < len(weights) for row in highlighted):
        raise ValueError(
            f"highlighted must name rows of weights that are not empty, got {list(highlighted)} "
            f"for {tuple(weights.shape)}"
        )
    colours = {row: (COLOURS[1], COLOURS[2])[number % 2] for number, row in enumerate(highlighted)}
    figure, (axes,) = new_figure(size, alt=alt or f"Alignment. {title}")
    with styled():
        _draw_lines(axes, weights.detach().cpu().float(), colours)
        _write_words(axes, key_labels, 1.0, [TEXT] * len(key_labels))
        _write_words(axes, query_labels, 0.0, [colours.get(r, TEXT) for r in range(len(weights))])
        for name, height in ((key_name, 1.0), (query_name, 0.0)):
            axes.text(-0.02, height, name, ha="right", va="center", color=GREY, style="italic")
        axes.set(xlim=(-0.1, 1.02), ylim=(-0.12, 1.12))
        axes.axis("off")
        axes.set_title(wrapped(figure, title))
    return figure


def _places(count: int) -> list[float]:
    """Where the words of a sentence stand: evenly from 0 to 1."""
    return [(number + 0.5) / count for number in range(count)]


def _draw_lines(axes: Axes, weights: Tensor, colours: dict[int, str]) -> None:
    above, below = _places(weights.size(1)), _places(weights.size(0))
    for row, column in (weights > FAINTEST).nonzero().tolist():
        weight, start, end = float(weights[row, column]), below[row], above[column]
        curve = [(start, 0.07), (start, 0.5), (end, 0.5), (end, 0.93)]
        axes.add_patch(
            PathPatch(
                Path(curve, [Path.MOVETO, *[Path.CURVE4] * 3]),
                facecolor="none",
                edgecolor=colours.get(row, COLOURS[0]),
                linewidth=THICKEST * weight,
                alpha=0.15 + 0.7 * weight,
                capstyle="butt",
                zorder=2 if row in colours else 1,
            )
        )


def _write_words(axes: Axes, words: Sequence[str], height: float, colours: Sequence[str]) -> None:
    widest = max(map(len, words)) * len(words)  # as if all words were as long as the longest
    fontsize = 10.5 * min(1.0, (MOST_CHARACTERS / widest) ** 0.5)
    for place, word, colour in zip(_places(len(words)), words, colours, strict=True):
        axes.text(
            *(place, height, word),
            ha="center",
            va="center",
            color=colour,
            fontsize=fontsize,
            fontweight="normal" if colour == TEXT else "bold",
        )

"""Distributions and figures side by side: how likely each token is, how good each model is."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from torch import Tensor

from tx_utils.plotting.axes import check_labels
from tx_utils.plotting.style import (
    COLOURS,
    GREY,
    LessonFigure,
    Size,
    new_figure,
    styled,
    title_over,
    wrapped,
)

MOST_PANELS = 4
BAR = 0.72  # of the room that a bar has


def plot_distributions(
    distributions: Mapping[str, Tensor],
    *,
    labels: Sequence[str],
    outline: Tensor | None = None,
    xlabel: str = "probability",
    title: str = "",
    alt: str = "",
    size: Size = "wide",
) -> LessonFigure:
    """Draw distributions over the same few tokens, one panel each, side by side.

    Args:
        distributions: Probabilities by the panel's name.  (number of tokens,) each
        labels: The tokens, from top to bottom.
        outline: A distribution drawn as an outline into every panel, to compare with.
        xlabel: What the bars' length is.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if there is no panel or more than four, or a distribution has not one
            probability for each label.

    Example:
        >>> import torch
        >>> figure = plot_distributions({"a coin": torch.tensor([0.5, 0.5])}, labels=["0", "1"])
        >>> [float(bar.get_width()) for bar in figure.axes[0].patches]
        [0.5, 0.5]
    """
    if not 1 <= len(distributions) <= MOST_PANELS:
        raise ValueError(f"1 to {MOST_PANELS} distributions fit, got {len(distributions)}")
    for name, drawn in {
        **distributions,
        **({} if outline is None else {"outline": outline}),
    }.items():
        if drawn.shape != (len(labels),):
            raise ValueError(
                f"{name!r} needs one probability for each of {len(labels)} labels, "
                f"got {tuple(drawn.shape)}"
            )
    figure, panels = new_figure(
        size, columns=len(distributions), alt=alt or f"{', '.join(distributions)}. {title}"
    )
    longest = max(float(drawn.max()) for drawn in distributions.values())
    with styled():
        for axes, (name, drawn) in zip(panels, distributions.items(), strict=True):
            _draw_bars(axes, drawn.tolist(), labels if axes is panels[0] else [""] * len(labels))
            if outline is not None:
                axes.barh(
                    range(len(labels)), outline.tolist(), BAR, fill=False, edgecolor=GREY, lw=1.0
                )
            axes.set(xlim=(0, 1.08 * longest), xlabel=xlabel)
            axes.set_title(name, fontweight="normal", fontsize=10.5)
        title_over(figure, title)
    return figure


def plot_bars(
    values: Mapping[str, float],
    *,
    xlabel: str,
    highlighted: Sequence[str] = (),
    digits: int = 2,
    title: str = "",
    alt: str = "",
    size: Size = "wide",
) -> LessonFigure:
    """Draw numbers as bars with their values at the end, from top to bottom.

    Args:
        values: A number for each name.
        xlabel: What the numbers are, with their unit.
        highlighted: Names whose bars have a colour of their own.
        digits: After the point, of the values that are written.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if there is nothing to draw, or a highlighted name is not there.

    Example:
        >>> figure = plot_bars({"one": 1.0, "two": 2.0}, xlabel="size", highlighted=["two"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['1.00', '2.00']
    """
    if not values:
        raise ValueError("values must have at least one entry, got none")
    check_labels("highlighted", dict.fromkeys(highlighted), values)
    figure, (axes,) = new_figure(size, alt=alt or f"Bars. {title}")
    with styled():
        _draw_bars(axes, list(values.values()), list(values))
        for place, (name, value) in enumerate(values.items()):
            if name in highlighted:
                axes.patches[place].set(facecolor=COLOURS[1], hatch="//", edgecolor="white")
            axes.annotate(
                f"{value:.{digits}f}",
                (value, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.5,
            )
        axes.set(xlim=(0, 1.1 * max(values.values())), xlabel=xlabel)
        axes.set_title(wrapped(figure, title))
    return figure


def _draw_bars(axes: Axes, lengths: Sequence[float], labels: Sequence[str]) -> None:
    axes.barh(range(len(lengths)), lengths, BAR, color=COLOURS[0])
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(lengths) - 0.5, -0.5)  # the first on top

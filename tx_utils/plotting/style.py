"""The look of every figure: three sizes, colour-blind safe colours, alt text, one background.

A figure is an object that a notebook shows when it is a cell's last value; it never goes through
pyplot's list of open figures, so nothing is shown twice and nothing piles up.
"""

import io
import textwrap
from contextlib import AbstractContextManager
from typing import Any, Literal, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Size = Literal["small", "wide", "large"]
SIZES: dict[Size, tuple[float, float]] = {  # inches; 100 dots per inch
    "small": (4.8, 3.8),
    "wide": (7.8, 3.9),
    "large": (7.8, 6.2),
}

# Okabe and Ito (2008), without the yellow, which is too light for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The second cue, for those who see the colours alike.
DASHES = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (2, 1)))
MARKERS = "osD^v<>"
GREY = "#595959"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 10.0,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.dpi": 100,
    "figure.facecolor": "white",  # opaque, so that the text reads on a dark page too
    "font.size": 10.5,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "white",
    "text.color": "black",
    "xtick.color": GREY,
    "ytick.color": GREY,
}


class LessonFigure(Figure):
    """A matplotlib figure that tells a notebook how to show it, alt text included."""

    alt: str = ""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        buffer = io.BytesIO()
        with styled():
            self.draw_without_rendering()
            self.set_layout_engine("none")  # laid out once, so that it never moves by a hair
            self.savefig(buffer, format="png", dpi=100)
        data = {"image/png": buffer.getvalue(), "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt.strip()}}


def styled() -> AbstractContextManager[None]:
    """The look of the series, for the lines of a `with` block."""
    return mpl.rc_context(cast(Any, STYLE))


def wrapped(figure: Figure, title: str) -> str:
    """The title in lines that are no longer than the figure is wide."""
    return textwrap.fill(title, width=int(9 * (figure.get_figwidth() - 1)))  # 9 fit into an inch


def title_over(figure: Figure, title: str) -> None:
    """Write the title over the whole figure, since its panels may be narrower than it."""
    if title:
        figure.suptitle(wrapped(figure, title), x=0.01, ha="left", fontsize=11.5, fontweight="bold")


def use_style() -> None:
    """Give the reader's own pyplot figures the look of the series.

    Example:
        >>> with mpl.rc_context():
        ...     use_style()
        ...     mpl.rcParams["axes.titleweight"]
        'bold'
    """
    mpl.rcParams.update(cast(Any, STYLE))


def new_figure(
    size: Size = "wide", *, columns: int = 1, alt: str = "", images: bool = False
) -> tuple[LessonFigure, list[Axes]]:
    """Make an empty figure in the style of the series.

    Args:
        size: "small", "wide" or "large".
        columns: Panels side by side.
        alt: What the picture shows, for those who cannot see it.
        images: Whether the panels hold images, whose height follows from their width.

    Returns:
        The figure, and its panels from left to right.

    Raises:
        ValueError: if the size is unknown.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    with styled():
        figure = LessonFigure(figsize=SIZES[size], layout="compressed" if images else "constrained")
        panels = figure.subplots(1, columns, squeeze=False)
    figure.alt = alt
    return figure, list(panels.flat)

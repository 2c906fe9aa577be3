"""What every plot of lines has in common: colours with a second cue, floors, legend and title."""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from tx_utils.plotting.style import COLOURS, DASHES, GREY, LessonFigure, wrapped

NAME_HEIGHT = 0.055  # of a floor's name, as a fraction of the axes
LEGEND_CHARACTERS = 45  # in all labels, up to which four fit into a row, or three into each of two


def check_labels(
    name: str, given: Mapping[str, object] | None, drawn: Mapping[str, object]
) -> None:
    """Raise a ValueError if something is labelled that is not drawn."""
    unknown = sorted(set(given or ()) - set(drawn))
    if unknown:
        raise ValueError(
            f"{name} must be labelled as the lines are ({', '.join(drawn)}), "
            f"got {', '.join(unknown)}"
        )


def cues(index: int) -> dict[str, Any]:
    """The colour and the dashes of a plot's line, by its number."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def draw_floors(axes: Axes, floors: Mapping[str, float]) -> None:
    """Dashed lines across the axes; `finish` names them in the right margin."""
    for value in floors.values():
        axes.axhline(value, color=GREY, lw=1.1, ls=(0, (4, 3)), zorder=1.5)


def _name_floors(axes: Axes, floors: Mapping[str, float]) -> None:
    """Write each floor's name at its height, or as close to it as the names beside it allow."""
    to_pixels, to_axes, left = axes.transData, axes.transAxes.inverted(), axes.get_xlim()[0]
    lowest = -1.0
    for label, value in sorted(floors.items(), key=lambda item: item[1]):
        height = float(to_axes.transform(to_pixels.transform((left, value)))[1])
        lowest = max(height, lowest + NAME_HEIGHT)
        axes.annotate(
            label, (1.01, lowest), xycoords="axes fraction", va="center", fontsize=9.5, color=GREY
        )


def finish(figure: LessonFigure, axes: Axes, title: str, floors: Mapping[str, float]) -> None:
    """Name the floors, the lines (in a legend above the axes, where it hides no data), the plot."""
    _name_floors(axes, floors)
    handles, labels = axes.get_legend_handles_labels()
    short = sum(map(len, labels)) < LEGEND_CHARACTERS
    columns = (4 if len(labels) <= 4 else 3) if short else 2
    rows = math.ceil(len(labels) / columns)
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        handlelength=2.6,
        borderaxespad=0.3,
        borderpad=0.0,
    )
    axes.set_title(wrapped(figure, title), pad=8 + 17 * rows)

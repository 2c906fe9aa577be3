"""Reading a figure back: what it shows, where its texts lie, and its PNG."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from PIL import Image

from tx_utils import History
from tx_utils.plotting.style import LessonFigure


def history(*losses: float, validation: tuple[float, ...] = ()) -> History:
    """A run of ten steps an epoch."""
    ends = [10 * (n + 1) for n in range(len(losses))]
    return History(train_loss=list(losses), epoch_end=ends, validation_loss=list(validation))


def drawn(figure: LessonFigure) -> RendererBase:
    """Lay the figure out, as showing it does."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    renderer: RendererBase = canvas.get_renderer()
    return renderer


def png(figure: LessonFigure) -> bytes:
    """What a notebook would store."""
    data: bytes = figure._repr_mimebundle_()[0]["image/png"]
    return data


def pixels(picture: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


def is_cut(figure: LessonFigure) -> bool:
    """Whether any part of the figure reaches beyond its edge."""
    inked = figure.get_tightbbox(drawn(figure))
    width, height = figure.get_size_inches()
    return not (0 <= inked.x0 <= inked.x1 <= width and 0 <= inked.y0 <= inked.y1 <= height)


def curves(axes: Axes) -> dict[str, list[Line2D]]:
    """The lines by the legend's names; the seeds after the first share its colour."""
    data = [line for line in axes.lines if line.get_transform() == axes.transData]
    handles, labels = axes.get_legend_handles_labels()
    return {
        label: [line for line in data if line.get_color() == handle.get_color()]
        for handle, label in zip(handles, labels, strict=True)
        if isinstance(handle, Line2D)
    }


def points(line: Line2D) -> list[Any]:
    return [np.asarray(values).tolist() for values in line.get_data()]

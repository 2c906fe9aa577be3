"""Every figure: shown once, with alt text, on white, the same each time, leaving no trace."""

import io
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args

import matplotlib as mpl
import pytest
import torch
from drawn import history, is_cut, pixels, png
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from PIL import Image

from tx_utils.plotting import (
    new_figure,
    plot_attention,
    plot_lines,
    plot_loss,
    plot_mask,
    plot_positional_encoding,
    use_style,
)
from tx_utils.plotting.style import (
    COLOURS,
    DASHES,
    MARKERS,
    SIZES,
    STYLE,
    LessonFigure,
    Size,
    styled,
)

Draw = Callable[..., LessonFigure]
NAMES = ["Alexandra", "Bartholomew", "Christopher"]
LONG_TITLE = "Only attention finds the friend; every other model stays on its floor of ln 8"


def draw_loss(**more: Any) -> LessonFigure:
    runs = {"query, key and value attention": history(2, 1), "the network alone": history(2, 3)}
    floors = {"uniform attention, ln 8": 2.08, "alone, ln 15": 2.71}
    return plot_loss(runs, floors=floors, **more)


def draw_lines(**more: Any) -> LessonFigure:
    series: dict[str, Any] = {
        "scores as they are": ([16, 64], [1, 2]),
        "scores divided": ([16, 64], [1, 1]),
    }
    labels: dict[str, Any] = {
        "xlabel": "width of queries and keys",
        "ylabel": "median gradient of a row",
    }
    return plot_lines(series, **labels, **more)


def draw_map(**more: Any) -> LessonFigure:
    return plot_attention(torch.eye(3), query_labels=NAMES, key_labels=NAMES, **more)


def draw_heads(**more: Any) -> LessonFigure:
    weights = torch.eye(3).expand(4, 3, 3)
    return plot_attention(weights, query_labels=NAMES, key_labels=NAMES, **more)


def draw_mask(**more: Any) -> LessonFigure:
    return plot_mask(torch.eye(3).bool(), query_labels=NAMES, key_labels=NAMES, **more)


def draw_positions(**more: Any) -> LessonFigure:
    return plot_positional_encoding(torch.eye(3, 5), **more)


DEFAULT_ALT = {
    draw_loss: "Loss curves. T",
    draw_lines: "median gradient of a row against width of queries and keys. T",
    draw_map: "Attention map. T",
    draw_heads: "Attention map. T",
    draw_mask: "Mask. T",
    draw_positions: "Positional encoding. T",
}
SMALL = (draw_map, draw_mask)
every_figure = pytest.mark.parametrize("draw", DEFAULT_ALT)


@cache
def shown(draw: Draw) -> bytes:
    return png(draw(title="T"))


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    """No test here may change the reader's settings or open one of pyplot's figures."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


# Property


@every_figure
def test_a_notebook_shows_a_png_with_its_alt_text(draw: Draw) -> None:
    data, metadata = DisplayFormatter().format(draw(title="T", alt="A cat."))
    assert Image.open(io.BytesIO(data["image/png"])).format == "PNG"
    assert metadata == {"image/png": {"alt": "A cat."}}
    assert data["text/plain"].startswith("<LessonFigure size ")
    assert " at 0x" not in data["text/plain"]  # an address would differ from run to run
    assert draw(title="T").alt == DEFAULT_ALT[draw]


@every_figure
def test_the_background_is_white_and_opaque(draw: Draw) -> None:
    image = pixels(shown(draw))
    assert (image[..., 3] == 255).all()
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge == 255).all()
    assert (image[..., :3] < 128).any()  # and there is something on it


@every_figure
def test_equal_input_gives_equal_bytes(draw: Draw) -> None:
    assert png(draw(title="T")) == shown(draw)


@pytest.mark.parametrize("draw", [draw_loss, draw_heads, draw_positions])
def test_a_figure_looks_the_same_when_it_is_shown_again(draw: Draw) -> None:
    figure = draw(title="T")
    assert png(figure) == png(figure)


@pytest.mark.parametrize("draw", [draw_loss, draw_map])
def test_the_readers_own_settings_do_not_reach_the_figure(draw: Draw) -> None:
    with mpl.rc_context({"text.color": "white", "axes.facecolor": "black"}):  # dark_background's
        assert png(draw(title="T")) == shown(draw)


@pytest.mark.parametrize("size", SIZES)
def test_a_figure_has_the_stated_size(size: Size) -> None:
    width, height = (round(100 * inches) for inches in SIZES[size])
    assert pixels(png(draw_map(size=size))).shape == (height, width, 4)
    for draw in (draw_loss, draw_lines, draw_map, draw_positions):
        assert repr(draw(size=size)).startswith(f"<LessonFigure size {width}x{height} ")


def test_figures_that_are_not_told_a_size_have_a_fitting_one() -> None:
    sizes = {draw.__name__: pixels(shown(draw)).shape[1] for draw in DEFAULT_ALT}
    assert sizes["draw_map"] == sizes["draw_mask"] == 480
    assert sizes["draw_heads"] == sizes["draw_loss"] == sizes["draw_lines"] == 780


@every_figure
def test_no_label_is_cut(draw: Draw) -> None:
    assert not is_cut(draw(title="Short and clear"))


@pytest.mark.parametrize("draw", [draw_loss, draw_heads, *SMALL])
def test_no_long_title_is_cut(draw: Draw) -> None:
    assert not is_cut(draw(title=LONG_TITLE))


def test_use_style_gives_pyplot_the_look_and_styled_takes_it_back() -> None:
    with mpl.rc_context():
        mpl.rcdefaults()
        with styled():
            assert dict(mpl.rcParams).items() >= STYLE.items()
        assert mpl.rcParams["axes.titleweight"] == "normal"
        use_style()
        assert dict(mpl.rcParams).items() >= STYLE.items()
    assert not STYLE["axes.spines.top"]


def test_every_line_has_a_second_cue_besides_its_colour() -> None:
    assert len(set(COLOURS)) == len(COLOURS) == len(set(MARKERS)) == len(MARKERS)
    assert len(set(DASHES)) == len(DASHES) == 5  # shares no divisor with 7: 35 different cues


def test_panels_come_from_left_to_right() -> None:
    figure, panels = new_figure("wide", columns=3, alt="Three panels.")
    assert figure.axes == panels
    places = [axes.get_position().x0 for axes in panels]
    assert places == sorted(set(places))
    assert len({axes.get_position().y0 for axes in panels}) == 1
    assert figure.alt == "Three panels."
    assert new_figure()[0].alt == LessonFigure().alt == ""


# Border


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    assert get_args(Size) == tuple(SIZES)
    message = r"^size must be one of small, wide, large, got 'huge'$"
    with pytest.raises(ValueError, match=message):
        new_figure("huge")  # type: ignore[arg-type]

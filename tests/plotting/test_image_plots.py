"""Galleries and attention over images: what is drawn, what it is named, and what is refused."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from drawn import is_cut, png
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from torch import Tensor

from tx_utils.plotting.images import plot_image_attention, plot_images
from tx_utils.plotting.style import SIZES, LessonFigure


def pictures(count: int, height: int = 6, width: int = 4) -> Tensor:
    return torch.rand(count, height, width, generator=torch.Generator().manual_seed(0))


def matrix(axes: Axes) -> Any:
    (image,) = axes.images
    return np.asarray(image.get_array()).tolist()


def drawn_panels(figure: LessonFigure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def place(axes: Axes) -> tuple[int, int]:
    spec = axes.get_subplotspec()
    assert spec is not None
    return spec.rowspan.start, spec.colspan.start


# Oracle


@pytest.mark.parametrize("channel", [False, True])
def test_every_picture_is_drawn_in_reading_order(channel: bool) -> None:
    images = pictures(5)
    figure = plot_images(images[:, None] if channel else images, columns=3)
    panels = drawn_panels(figure)
    assert [matrix(axes) for axes in panels] == images.tolist()
    assert [place(axes) for axes in panels] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    (empty,) = [axes for axes in figure.axes if not axes.images]
    assert not empty.axison


def test_all_stand_in_one_row_unless_columns_are_given() -> None:
    assert [place(axes) for axes in plot_images(pictures(4)).axes] == [(0, n) for n in range(4)]


@pytest.mark.parametrize(("value", "grey"), [(0.0, 1.0), (1.0, 0.0)])
def test_0_is_white_and_1_is_black_whatever_else_is_in_the_picture(
    value: float, grey: float
) -> None:
    for draw in (
        plot_images(torch.full((1, 2, 2), value)),
        plot_image_attention(torch.full((1, 2, 2), value), torch.ones(1, 1)),
    ):
        (image,) = draw.axes[0].images
        assert to_rgb(tuple(image.to_rgba(np.array([value]))[0])) == (grey,) * 3


def test_attention_stands_below_its_picture_patch_by_patch() -> None:
    images, weights = pictures(3, 8, 8), torch.rand(3, 4).softmax(dim=-1)
    figure = plot_image_attention(images, weights, names=["a", "b", "c"], limit=0.5, title="T")
    panels = drawn_panels(figure)
    assert [matrix(axes) for axes in panels[:3]] == images.tolist()
    assert [matrix(axes) for axes in panels[3:]] == weights.view(3, 2, 2).tolist()
    assert [axes.get_title() for axes in panels] == ["a", "b", "c", "", "", ""]
    assert [place(axes) for axes in panels] == [(r, c) for r in range(2) for c in range(3)]
    for axes in panels[3:]:
        (image,) = axes.images
        assert (image.get_clim(), image.get_cmap().name) == ((0.0, 0.5), "cividis")
    (bar,) = [axes for axes in figure.axes if not axes.images]
    assert (bar.get_ylabel(), bar.get_ylim()) == ("attention weight", (0.0, 0.5))
    assert figure.get_suptitle() == "T"


def test_colours_run_to_1_unless_a_limit_is_given() -> None:
    figure = plot_image_attention(pictures(1), torch.full((1, 4), 0.25))
    (image,) = figure.axes[1].images
    assert image.get_clim() == (0.0, 1.0)


def test_lines_mark_the_patches() -> None:
    (axes,) = plot_images(pictures(1, 6, 4), patch_size=2).axes
    places = [np.asarray(line.get_data()).tolist() for line in axes.lines]
    assert places == [
        [[0, 1], [1.5, 1.5]],
        [[0, 1], [3.5, 3.5]],
        [[1.5, 1.5], [0, 1]],
    ]
    assert not plot_images(pictures(1)).axes[0].lines


# Property


def test_names_title_and_alt_text_say_what_is_to_be_seen() -> None:
    figure = plot_images(pictures(2), names=["one", "two"], title="The finding", alt="Two greys.")
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert (figure.get_suptitle(), figure.alt) == ("The finding", "Two greys.")
    assert plot_images(pictures(2), title="T").alt == "Pictures. T"
    attention = plot_image_attention(pictures(1), torch.ones(1, 1), title="T")
    assert attention.alt == "Attention over pictures. T"
    assert plot_images(pictures(1)).get_suptitle() == ""
    assert [axes.get_title() for axes in plot_images(pictures(2)).axes] == ["", ""]


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_and_no_figure_is_larger_than_its_size(size: Any) -> None:
    names, title = ["a name"] * 12, "A title as long as a sentence, which says what is to be seen"
    for figure in (
        plot_images(pictures(12), names=names, columns=6, title=title, size=size),
        plot_image_attention(
            pictures(5), torch.ones(5, 4), names=names[:5], title=title, size=size
        ),
    ):
        width, height = figure.get_size_inches()
        assert width == SIZES[size][0]
        assert height <= SIZES[size][1]
        assert not is_cut(figure)
        assert png(figure).startswith(b"\x89PNG")


def test_a_figure_with_fewer_rows_is_lower() -> None:
    one, two = (plot_images(pictures(8), columns=n) for n in (8, 4))
    assert one.get_figheight() < two.get_figheight()


def test_drawing_changes_no_input_and_takes_tensors_with_a_graph() -> None:
    images, weights = pictures(2).requires_grad_(), torch.rand(2, 4).requires_grad_()
    before = images.detach().clone(), weights.detach().clone()
    plot_images(images)
    plot_image_attention(images, weights)
    assert torch.equal(images, before[0])
    assert torch.equal(weights, before[1])


# Border


@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 3, 3), (0, 3, 3)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = "images must be (N, height, width) or (N, 1, height, width), N above 0, got "
    for draw in (plot_images, lambda images: plot_image_attention(images, torch.ones(2, 4))):
        with pytest.raises(ValueError, match=f"^{re.escape(message + str(shape))}$"):
            draw(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 3), (3, 4), (4,), (2, 2, 2)])
def test_weights_that_fill_no_square_are_refused(shape: tuple[int, ...]) -> None:
    message = f"weights must be (N, T) for N = 2 images and a square T, got {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        plot_image_attention(pictures(2), torch.ones(shape))


def test_every_picture_needs_its_name() -> None:
    message = "^names must name all 2 images, got 3 names$"
    with pytest.raises(ValueError, match=message):
        plot_images(pictures(2), names=["a", "b", "c"])
    with pytest.raises(ValueError, match=message):
        plot_image_attention(pictures(2), torch.ones(2, 4), names=["a", "b", "c"])


def test_unknown_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^size must be one of small, wide, large, got 'huge'$"):
        plot_images(pictures(1), size="huge")  # type: ignore[arg-type]

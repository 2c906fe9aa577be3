"""Maps: the colours and numbers are the matrix, on a fixed scale, with the axes named."""

import re
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from drawn import drawn, is_cut
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from torch import Tensor

from tx_utils import causal_mask, sinusoidal_encoding
from tx_utils.plotting import plot_attention, plot_mask, plot_positional_encoding
from tx_utils.plotting.maps import MOST_NUMBERS
from tx_utils.plotting.style import LessonFigure

READS, IS_READ = "query position (reads)", "key position (is read)"


def weights_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)


def panels(figure: LessonFigure) -> list[Axes]:
    """The axes with a matrix; the colour bar's are the others."""
    return [axes for axes in figure.axes if axes.images]


def image(axes: Axes) -> AxesImage:
    (picture,) = axes.images
    return picture


def matrix(axes: Axes) -> Any:
    return np.asarray(image(axes).get_array()).tolist()


def numbers(axes: Axes) -> dict[tuple[int, int], str]:
    """The texts by (row, column)."""
    places = [(text.get_position(), text.get_text()) for text in axes.texts]
    return {(round(row), round(column)): text for (column, row), text in places}


def colour_of(picture: AxesImage, value: float) -> tuple[float, float, float]:
    return to_rgb(tuple(picture.to_rgba(np.array([value]))[0]))


def ticks(labels: list[Any]) -> list[str]:
    return [label.get_text() for label in labels]


# Oracle


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 99), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3))
def test_each_head_has_a_panel_with_its_weights(seed: int, t_q: int, t_k: int, heads: int) -> None:
    weights = weights_of(heads, t_q, t_k, seed=seed)
    found = panels(plot_attention(weights))
    assert [matrix(axes) for axes in found] == weights.tolist()
    names = [axes.get_title(loc="left") for axes in found]
    assert names == ([f"head {h}" for h in range(heads)] if heads > 1 else [""])
    assert [axes.get_xlabel() for axes in found] == [IS_READ] * heads
    assert [axes.get_ylabel() for axes in found] == [READS] + [""] * (heads - 1)
    (alone,) = panels(plot_attention(weights[0]))
    assert matrix(alone) == weights[0].tolist()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_colours_run_from_0_to_1_whatever_the_weights(value: float) -> None:
    figure = plot_attention(torch.full((2, 3), value))
    picture = image(panels(figure)[0])
    assert (picture.get_clim(), picture.get_cmap().name) == ((0.0, 1.0), "cividis")
    (bar,) = [axes for axes in figure.axes if not axes.images]
    assert (bar.get_ylabel(), bar.get_ylim()) == ("attention weight", (0.0, 1.0))


def test_small_maps_show_the_numbers_in_their_cells() -> None:
    weights = torch.tensor([[0.0, 0.004, 0.25], [0.994, 0.9951, 1.0]])
    assert numbers(panels(plot_attention(weights))[0]) == {
        (0, 0): "0", (0, 1): "0", (0, 2): ".25", (1, 0): ".99", (1, 1): "1", (1, 2): "1",
    }  # fmt: skip


def test_large_maps_show_colours_only() -> None:
    for shape in ((MOST_NUMBERS + 1, 2), (2, MOST_NUMBERS + 1)):
        assert numbers(panels(plot_attention(weights_of(*shape)))[0]) == {}
    most = weights_of(MOST_NUMBERS, MOST_NUMBERS)
    assert len(numbers(panels(plot_attention(most))[0])) == MOST_NUMBERS**2


def test_names_stand_at_their_rows_and_columns() -> None:
    queries, keys = ["ich", "bin", "hier"], ["I", "am"]
    weights = weights_of(3, 2)
    attention = plot_attention(weights, query_labels=queries, key_labels=keys, title="T")
    mask = plot_mask(weights > 0.5, query_labels=queries, key_labels=keys, title="T")
    for axes in (panels(attention)[0], panels(mask)[0]):
        assert (axes.get_yticks().tolist(), ticks(axes.get_yticklabels())) == ([0, 1, 2], queries)
        assert (axes.get_xticks().tolist(), ticks(axes.get_xticklabels())) == ([0, 1], keys)
        assert (axes.get_xlabel(), axes.get_ylabel()) == (IS_READ, READS)
    assert attention.get_suptitle() == mask.get_suptitle() == "T"


@pytest.mark.parametrize("heads", [2, 5])
def test_rows_and_columns_of_attention_can_be_named_otherwise(heads: int) -> None:
    figure = plot_attention(weights_of(heads, 2, 3), xlabel="entry", ylabel="question")
    assert panels(figure)[0].get_ylabel() == "question"
    shared = figure._supxlabel.get_text() if heads > 4 else ""  # type: ignore[attr-defined]
    names = [axes.get_xlabel() for axes in panels(figure)]
    assert (shared, names) == (("entry", [""] * 5) if heads > 4 else ("", ["entry"] * 2))


def test_panels_have_the_titles_given_and_the_figure_the_finding() -> None:
    figure = plot_attention(
        weights_of(2, 3, 3), panel_titles=["before", "after"], title="It learns"
    )
    assert [axes.get_title(loc="left") for axes in panels(figure)] == ["before", "after"]
    assert figure.get_suptitle() == "It learns"
    assert plot_attention(weights_of(2, 3, 3)).get_suptitle() == ""


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 5), st.integers(1, 7), st.data())
def test_a_mask_is_ticked_exactly_where_it_is_true(t_q: int, t_k: int, data: st.DataObject) -> None:
    row = st.lists(st.booleans(), min_size=t_k, max_size=t_k)
    allowed = data.draw(st.lists(row, min_size=t_q, max_size=t_q))
    (axes,) = panels(plot_mask(torch.tensor(allowed)))
    expected = {(q, k) for q in range(t_q) for k in range(t_k) if allowed[q][k]}
    assert set(numbers(axes)) == expected
    assert set(numbers(axes).values()) <= {"✓"}
    assert matrix(axes) == allowed


def test_several_masks_stand_side_by_side_each_under_its_title() -> None:
    masks = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    figure = plot_mask(masks, panel_titles=["a", "b", "c"], key_labels=["I", "am"], title="T")
    found = panels(figure)
    assert [matrix(axes) for axes in found] == masks.tolist()
    assert [set(numbers(axes)) for axes in found] == [
        set(map(tuple, mask.nonzero().tolist())) for mask in masks
    ]
    assert [axes.get_title(loc="left") for axes in found] == ["a", "b", "c"]
    assert [ticks(axes.get_xticklabels()) for axes in found] == [["I", "am"]] * 3
    assert [axes.get_xlabel() for axes in found] == [IS_READ] * 3
    assert [axes.get_ylabel() for axes in found] == [READS, "", ""]
    assert figure.get_suptitle() == "T"
    assert len({axes.get_position().y0 for axes in found}) == 1
    assert not is_cut(figure)
    assert figure.get_figwidth() > plot_mask(masks[0]).get_figwidth()
    untitled = panels(plot_mask(masks))
    assert [axes.get_title(loc="left") for axes in untitled] == [""] * 3


def test_a_masks_axes_can_be_named_otherwise() -> None:
    figure = plot_mask(torch.ones(2, 3, 3).bool(), xlabel="changed token", ylabel="output")
    found = panels(figure)
    assert [axes.get_xlabel() for axes in found] == ["changed token"] * 2
    assert [axes.get_ylabel() for axes in found] == ["output", ""]


def test_large_masks_show_colours_only() -> None:
    for shape in ((2 * MOST_NUMBERS + 1, 2), (2, 2 * MOST_NUMBERS + 1)):
        assert numbers(panels(plot_mask(torch.ones(shape).bool()))[0]) == {}
    most = torch.ones(2 * MOST_NUMBERS, 1).bool()
    assert len(numbers(panels(plot_mask(most))[0])) == 2 * MOST_NUMBERS


@pytest.mark.parametrize("value", [False, True])
def test_a_masks_colours_mean_the_same_when_all_cells_are_alike(value: bool) -> None:
    picture = image(panels(plot_mask(torch.full((2, 3), value)))[0])
    assert (colour_of(picture, value) == (1.0, 1.0, 1.0)) == (not value)
    assert matrix(picture.axes) == [[value] * 3] * 2


def test_positions_are_rows_coloured_around_zero() -> None:
    encoding = sinusoidal_encoding(7, 5) * torch.tensor([1.0, 1, 1, 1, 3])
    figure = plot_positional_encoding(encoding, title="T")
    (axes,) = panels(figure)
    assert matrix(axes) == encoding.tolist()
    assert image(axes).get_cmap().name == "RdBu_r"
    limit = encoding.abs().max().item()
    assert image(axes).get_clim() == (-limit, limit)
    low, middle, high = (colour_of(image(axes), v) for v in (-limit, 0.0, limit))
    assert min(middle) > 0.9  # white, between blue and red
    assert (low[2] > low[0], high[0] > high[2]) == (True, True)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dimension of the encoding", "position")
    assert figure.get_suptitle() == "T"
    assert figure.axes[-1].get_ylabel() == "value"


# Property


def luminance(colour: Any) -> float:
    """Relative luminance, by the definition of WCAG 2.2."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def test_numbers_are_white_on_dark_and_black_on_light() -> None:
    cividis = mpl.colormaps["cividis"]
    for start in torch.linspace(0, 0.9, 10):
        values = start + torch.arange(10) / 100
        (axes,) = panels(plot_attention(values[None]))
        for value, text in zip(values.tolist(), axes.texts, strict=True):
            text_light, cell_light = luminance(text.get_color()), luminance(cividis(value))
            light, dark = max(text_light, cell_light), min(text_light, cell_light)
            assert text_light in (0.0, pytest.approx(1.0))
            assert (light + 0.05) / (dark + 0.05) > 4.0  # near 4.5; large text needs 3
    (axes,) = panels(plot_attention(torch.tensor([[0.1, 0.9]])))
    assert [text.get_color() for text in axes.texts] == ["white", "black"]


@pytest.mark.parametrize(("heads", "length"), [(1, 10), (2, 10), (4, 4)])
def test_numbers_fit_into_their_cells(heads: int, length: int) -> None:
    figure = plot_attention(torch.full((heads, length, length), 0.25))
    renderer, axes = drawn(figure), panels(figure)[0]
    cell = axes.get_window_extent(renderer).width / length
    assert max(text.get_window_extent(renderer).width for text in axes.texts) < cell


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_axis_names_of_neighbours_do_not_touch(heads: int) -> None:
    figure = plot_attention(torch.eye(3).expand(heads, 3, 3))
    renderer = drawn(figure)
    boxes = [axes.xaxis.label.get_window_extent(renderer) for axes in panels(figure)]
    for left, right in pairwise(boxes):
        assert Bbox.intersection(left, right) is None


def test_drawing_changes_no_input_and_takes_tensors_with_a_graph() -> None:
    weights = weights_of(2, 3).requires_grad_()
    before = weights.detach().clone()
    plot_attention(weights)
    plot_positional_encoding(weights)
    plot_mask(causal_mask(3))
    assert torch.equal(weights, before)
    assert weights.requires_grad


# Border


def test_positions_of_zeros_are_white() -> None:
    picture = image(panels(plot_positional_encoding(torch.zeros(3, 2)))[0])
    assert picture.get_clim() == (-1.0, 1.0)
    assert min(colour_of(picture, 0.0)) > 0.9


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 3)])
def test_weights_of_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"weights must be (T_q, T_k) or (H, T_q, T_k), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        plot_attention(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 3)])
def test_masks_of_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"mask must be (T_q, T_k) or (N, T_q, T_k), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        plot_mask(torch.zeros(shape).bool())


@pytest.mark.parametrize("shape", [(3,), (1, 3, 3)])
def test_encodings_of_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"encoding must be (T, d_model), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        plot_positional_encoding(torch.zeros(shape))


def test_every_panel_needs_its_title() -> None:
    with pytest.raises(ValueError, match="shorter"):
        plot_attention(weights_of(3, 2, 2), panel_titles=["one", "two"])
    with pytest.raises(ValueError, match="shorter"):
        plot_mask(weights_of(3, 2, 2) > 0.5, panel_titles=["one", "two"])


@pytest.mark.parametrize("count", [1, 5])
def test_every_row_and_column_needs_its_name(count: int) -> None:
    with pytest.raises(ValueError, match=rf"{count}.*3|3.*{count}"):
        plot_attention(weights_of(3, 3), key_labels=["a"] * count)


@pytest.mark.parametrize("heads", [1, 2])
def test_outlined_cells_have_a_frame_in_every_panel(heads: int) -> None:
    figure = plot_attention(weights_of(heads, 3, 4), outlined=[(0, 3), (2, 1)])
    for axes in panels(figure):
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [frame.get_bbox().bounds for frame in frames] == [
            (2.5, -0.5, 1.0, 1.0),
            (0.5, 1.5, 1.0, 1.0),
        ]
        assert not any(frame.get_fill() for frame in frames)
    assert not [
        axes.patches[:] for axes in panels(plot_attention(weights_of(3, 4))) if axes.patches
    ]


def test_the_colour_bar_says_what_its_values_are() -> None:
    for options, expected in (({}, "attention weight"), ({"value_label": "share"}, "share")):
        figure = plot_attention(weights_of(3, 4), **options)  # type: ignore[arg-type]
        (bar,) = [axes for axes in figure.axes if not axes.images]
        assert bar.get_ylabel() == expected

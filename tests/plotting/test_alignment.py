"""Alignments: a line for every weight, as thick as it is large, between the right two words."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from drawn import drawn, is_cut
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from matplotlib.transforms import Bbox
from torch import Tensor

from tx_utils.plotting import plot_alignment
from tx_utils.plotting.alignment import FAINTEST
from tx_utils.plotting.style import COLOURS, LessonFigure

WRITTEN, READ = ["ein", "und", "sechzig"], ["sixty", "one"]
WEIGHTS = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.99, 0.01]])


def figure_of(weights: Tensor = WEIGHTS, **options: Any) -> LessonFigure:
    return plot_alignment(weights, query_labels=WRITTEN, key_labels=READ, **options)


def only(figure: LessonFigure) -> Axes:
    (axes,) = figure.axes
    return axes


def words(axes: Axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in axes.texts}


def lines(axes: Axes) -> dict[tuple[float, float], PathPatch]:
    """The lines by where they start below and end above."""
    found = {}
    for line in axes.patches:
        assert isinstance(line, PathPatch)
        corners = np.asarray(line.get_path().vertices)
        assert corners[0, 1] < corners[-1, 1]
        found[float(corners[0, 0]), float(corners[-1, 0])] = line
    return found


# Oracle


def test_every_weight_has_a_line_of_its_thickness_between_its_words() -> None:
    axes = only(figure_of())
    places, found = words(axes), lines(axes)
    expected = {
        (places[WRITTEN[row]][0], places[READ[column]][0]): float(WEIGHTS[row, column])
        for row, column in (WEIGHTS > FAINTEST).nonzero().tolist()
    }
    assert found.keys() == expected.keys()
    assert len(expected) == 5  # of six: one weight is too faint
    unit = found[places["sechzig"][0], places["sixty"][0]].get_linewidth() / 0.99
    for ends, weight in expected.items():
        assert found[ends].get_linewidth() == pytest.approx(weight * unit)


def test_what_is_read_stands_above_what_is_written_and_both_from_left_to_right() -> None:
    places = words(only(figure_of(query_name="says", key_name="sees")))
    assert {places[word][1] for word in [*READ, "sees"]} == {1.0}
    assert {places[word][1] for word in [*WRITTEN, "says"]} == {0.0}
    for sentence in (["says", *WRITTEN], ["sees", *READ]):
        across = [places[word][0] for word in sentence]
        assert across == sorted(set(across))


def test_highlighted_rows_and_their_words_share_a_colour_and_take_turns() -> None:
    axes = only(figure_of(highlighted=[0, 2]))
    colour = {text.get_text(): to_hex(text.get_color()).upper() for text in axes.texts}
    assert (colour["ein"], colour["sechzig"]) == (COLOURS[1], COLOURS[2])
    assert len({colour["und"], *(colour[word] for word in READ)}) == 1
    row_of = {place[0]: word for word, place in words(axes).items() if word in WRITTEN}
    for (start, _), line in lines(axes).items():
        expected = {"ein": COLOURS[1], "sechzig": COLOURS[2], "und": COLOURS[0]}
        assert to_hex(line.get_edgecolor()).upper() == expected[row_of[start]]


# Property


@pytest.mark.parametrize("count", [3, 12])
def test_no_words_overlap_and_nothing_is_cut(count: int) -> None:
    labels = [f"dreißig{n}"[: 7 + n % 3] for n in range(count)]
    figure = plot_alignment(
        torch.eye(count), query_labels=labels, key_labels=labels, title="A title " * 12
    )
    renderer = drawn(figure)
    assert not is_cut(figure)
    boxes = [text.get_window_extent(renderer) for text in only(figure).texts]
    pairs = [(a, b) for n, a in enumerate(boxes) for b in boxes[:n]]
    assert not [pair for pair in pairs if Bbox.intersection(*pair) is not None]


def test_the_alt_text_says_the_title_if_nothing_else_is_given() -> None:
    assert figure_of(title="They cross").alt == "Alignment. They cross"
    assert figure_of(title="They cross", alt="An X").alt == "An X"


def test_the_weights_stay_as_they_are() -> None:
    weights = WEIGHTS.clone().requires_grad_()
    figure_of(weights)
    assert torch.equal(weights, WEIGHTS)
    assert weights.requires_grad


# Border


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (3,), (1, 3, 2)])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(
        f"weights must be (3, 2), one row per query label and one column per key label, got {shape}"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        figure_of(torch.zeros(shape))


@pytest.mark.parametrize("row", [-1, 3])
def test_rows_that_are_not_there_cannot_be_highlighted(row: int) -> None:
    message = re.escape(f"got {[0, row]} for (3, 2)")
    with pytest.raises(ValueError, match=f"^highlighted must name rows .*{message}$"):
        figure_of(highlighted=[0, row])


def test_sentences_without_words_are_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        plot_alignment(torch.zeros(0, 0), query_labels=[], key_labels=[])

"""Curves: what is drawn is what was given, named once, with the floors at their heights."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from drawn import curves, drawn, history, points
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.transforms import Bbox

from tx_utils import History
from tx_utils.plotting import plot_lines, plot_loss
from tx_utils.plotting.style import LessonFigure

LABELS: dict[str, Any] = {"xlabel": "n", "ylabel": "time (s)"}


def only(figure: LessonFigure) -> Axes:
    (axes,) = figure.axes
    return axes


def legend(axes: Axes) -> list[str]:
    shown = axes.get_legend()
    return [] if shown is None else [text.get_text() for text in shown.get_texts()]


def bands(axes: Axes) -> list[tuple[str, dict[float, tuple[float, float]]]]:
    """The colour of each band, and its lowest and highest y at each x."""
    found = []
    for band in axes.collections:
        assert isinstance(band, PolyCollection)
        (path,) = band.get_paths()
        corners = np.asarray(path.vertices)
        edges = {
            x: (corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max())
            for x in set(corners[:, 0].tolist())
        }
        found.append((to_hex(np.asarray(band.get_facecolor())[0]).upper(), edges))
    return found


def floor_heights(axes: Axes) -> list[float]:
    """The heights of the dashed lines that cross the whole axes."""
    across = [line for line in axes.lines if line.get_transform() != axes.transData]
    assert all(points(line)[0] == [0, 1] and line.get_linestyle() == "--" for line in across)
    return [points(line)[1][0] for line in across]


# Oracle


def test_one_run_shows_its_training_and_its_validation_loss() -> None:
    axes = only(plot_loss(history(3.0, 2.0, 1.0, validation=(3.5, 2.5, 2.25)), title="It falls"))
    drawn_lines = {label: list(map(points, lines)) for label, lines in curves(axes).items()}
    steps = [10, 20, 30]
    assert drawn_lines == {
        "training": [[steps, [3.0, 2.0, 1.0]]],
        "validation": [[steps, [3.5, 2.5, 2.25]]],
    }
    assert legend(axes) == ["training", "validation"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "loss (nats)")
    assert axes.get_title(loc="left") == "It falls"
    assert legend(only(plot_loss(history(2.0, 1.0)))) == ["training"]


def test_a_loss_in_another_unit_is_named_so() -> None:
    axes = only(plot_loss(history(2.0, 1.0), ylabel="mean squared error"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "mean squared error")


losses = st.lists(st.floats(0.01, 10.0), min_size=2, max_size=5)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.lists(losses, min_size=1, max_size=3), min_size=1, max_size=5), st.booleans())
def test_the_runs_of_a_label_share_a_colour_and_one_name(
    given_losses: list[list[list[float]]], log: bool
) -> None:
    runs = {f"r{n}": [history(*run) for run in runs] for n, runs in enumerate(given_losses)}
    axes = only(plot_loss(runs, log=log))
    assert legend(axes) == list(runs)
    shown = curves(axes)
    for label, histories in runs.items():
        expected = [[run.epoch_end, run.train_loss] for run in histories]
        assert list(map(points, shown[label])) == expected
        assert len({line.get_linestyle() for line in shown[label]}) == 1
    assert len(axes.lines) == sum(map(len, runs.values()))
    assert (axes.get_yscale(), axes.get_xlim()[0]) == ("log" if log else "linear", 0.0)
    assert log or axes.get_ylim()[0] == 0.0


def test_a_run_without_a_list_is_a_list_of_one() -> None:
    runs: dict[str, Any] = {"one": history(2.0, 1.0), "two": [history(3.0, 2.0)]}
    shown = curves(only(plot_loss(runs)))
    assert [len(lines) for lines in shown.values()] == [1, 1]
    assert points(shown["one"][0])[1] == [2.0, 1.0]


def floors_of(axes: Axes) -> list[tuple[str, float]]:
    return [(text.get_text(), text.get_position()[1]) for text in axes.texts]


@pytest.mark.parametrize("log", [False, True])
def test_floors_are_dashed_lines_at_their_values_with_their_names(log: bool) -> None:
    floors = {"alone, ln 15": 2.708, "uniform, ln 8": 2.079, "found": 0.25}
    loss = plot_loss(history(3.0, 0.5), floors=floors, log=log)
    lines = plot_lines({"a": ([1, 2], [0.1, 3.0])}, **LABELS, floors=floors, log_y=log)
    for figure in (loss, lines):
        axes = only(figure)
        assert sorted(floor_heights(axes)) == sorted(floors.values())
        assert all(axes.get_ylim()[0] <= value <= axes.get_ylim()[1] for value in floors.values())
        renderer = drawn(figure)
        for text in axes.texts:  # each name stands at its line's height
            box = text.get_window_extent(renderer)
            height = axes.transData.transform((1, floors[text.get_text()]))[1]
            assert box.y0 - box.height / 2 <= height <= box.y1 + box.height / 2
        assert Counter(text.get_text() for text in axes.texts) == Counter(floors.keys())


def test_names_of_floors_close_together_do_not_cover_each_other() -> None:
    floors = {"chance, ln 16": 2.773, "alone, ln 15": 2.708, "uniform, ln 8": 2.079, "two": 2.08}
    figure = plot_loss(history(3.0, 0.5), floors=floors)
    renderer, texts = drawn(figure), only(figure).texts
    boxes = sorted((text.get_window_extent(renderer) for text in texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))


stored = st.lists(st.lists(st.floats(0.01, 10.0), min_size=3, max_size=3), min_size=1, max_size=5)


@settings(deadline=None, max_examples=10)
@given(stored)
def test_the_band_reaches_from_the_lowest_to_the_highest_seed(seeds: list[list[float]]) -> None:
    runs = {"without": history(2.0, 2.0), "with": history(2.0, 1.0)}
    spread = {"with": [([10.0, 20.0, 30.0], seed) for seed in seeds]}
    axes = only(plot_loss(runs, spread=spread))
    ((colour, edges),) = bands(axes)
    assert colour == curves(axes)["with"][0].get_color()
    for n, x in enumerate((10.0, 20.0, 30.0)):
        assert edges[x] == pytest.approx((min(s[n] for s in seeds), max(s[n] for s in seeds)))
    assert not any(label.startswith("with ") for label in legend(axes))


def test_the_band_ends_where_a_diverged_seed_ends() -> None:
    spread = {"a": [([10.0, 20.0], [1.0, 2.0]), ([10.0], [3.0]), ([], [])]}
    ((_, edges),) = bands(only(plot_loss({"a": history(2.0, 1.0)}, spread=spread)))
    assert edges[10.0] == pytest.approx((1.0, 3.0))


def test_lines_show_their_points_with_marks_and_names() -> None:
    series = {"square": ([1.0, 2.0, 4.0], [1.0, 4.0, 16.0]), "cube": ([1.0, 3.0], [1.0, 27.0])}
    axes = only(plot_lines(series, **LABELS, title="Cubes grow faster"))
    shown = curves(axes)
    for label, (x, y) in series.items():
        assert [points(line) for line in shown[label]] == [[x, y]]
    cues = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in axes.lines]
    assert all(first != second for first, second in zip(*cues, strict=True))
    assert legend(axes) == ["square", "cube"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n", "time (s)")
    assert axes.get_title(loc="left") == "Cubes grow faster"
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_lines_have_the_bands_that_belong_to_them() -> None:
    series = {"a": ([1.0, 2.0], [2.0, 3.0]), "b": ([1.0, 2.0], [5.0, 6.0])}
    axes = only(plot_lines(series, **LABELS, bands={"b": ([4.0, 5.5], [6.0, 6.5])}))
    ((colour, edges),) = bands(axes)
    assert colour == curves(axes)["b"][0].get_color()
    assert edges == {1.0: (4.0, 6.0), 2.0: (5.5, 6.5)}


def test_logarithmic_axes_are_ticked_where_it_was_measured() -> None:
    series: dict[str, Any] = {"a": ([64, 16], [1.0, 2.0]), "b": ([16, 250.5], [1.0, 3.0])}
    axes = only(plot_lines(series, **LABELS, log_x=True, log_y=True))
    assert axes.get_xticks().tolist() == [16.0, 64.0, 250.5]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "64", "250.5"]
    assert axes.get_xticks(minor=True).tolist() == []
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


# Property


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_the_legend_and_the_names_cover_no_data(count: int) -> None:
    floors = {"a floor with a name": 0.5}
    names = [f"variant number {n}" for n in range(count)]
    loss = plot_loss({name: history(2.0, 1.0) for name in names}, floors=floors, title="T")
    lines = plot_lines({name: ([1, 2], [2, 1]) for name in names}, **LABELS, floors=floors)
    for figure in (loss, lines):
        renderer, axes = drawn(figure), only(figure)
        box, frame = axes.get_legend(), axes.get_window_extent(renderer)
        assert box is not None
        legend_box = box.get_window_extent(renderer)
        assert Bbox.intersection(legend_box, frame) is None
        title = axes._left_title.get_window_extent(renderer)  # type: ignore[attr-defined]
        for text in axes.texts:
            assert Bbox.intersection(text.get_window_extent(renderer), frame) is None
        assert Bbox.intersection(legend_box, title) is None or not title.width


def test_seven_labels_are_told_apart_by_colour() -> None:
    axes = only(plot_loss({f"r{n}": history(2.0, 1.0) for n in range(7)}))
    assert len({to_rgb(lines[0].get_color()) for lines in curves(axes).values()}) == 7


@pytest.mark.parametrize("count", [8, 20])
def test_many_labels_are_told_apart_by_colour_and_dash(count: int) -> None:
    names = [f"r{n}" for n in range(count)]
    loss = only(plot_loss({name: history(2.0, 1.0) for name in names}))
    lines = only(plot_lines({name: ([1, 2], [2, 1]) for name in names}, **LABELS))
    for axes in (loss, lines):
        assert legend(axes) == names
        cues = {(line.get_color(), str(line._dash_pattern)) for line in axes.lines}  # type: ignore[attr-defined]
        assert len(cues) == count
        assert len({dash for _, dash in cues}) > 4


def test_several_runs_show_their_validation_loss_if_asked() -> None:
    runs = {"a": history(3.0, 2.0, validation=(3.5, 2.5)), "b": history(1.0, validation=(1.5,))}
    for validation, expected in ((False, [[3.0, 2.0], [1.0]]), (True, [[3.5, 2.5], [1.5]])):
        drawn_lines = curves(only(plot_loss(runs, validation=validation)))
        assert [points(lines[0])[1] for lines in drawn_lines.values()] == expected


# Border


def test_a_validation_loss_that_is_not_there_cannot_be_drawn() -> None:
    message = r"^validation needs histories with a validation loss, got one without$"
    with pytest.raises(ValueError, match=message):
        plot_loss({"a": history(2.0, validation=(2.0,)), "b": [history(2.0)]}, validation=True)


def test_nothing_to_name_needs_no_legend() -> None:
    assert legend(only(plot_lines({}, **LABELS))) == []


@pytest.mark.parametrize("runs", [History(), {"a": History()}, {"a": [history(1.0), History()]}])
def test_a_run_without_a_finished_epoch_is_refused(runs: Any) -> None:
    message = r"^a history to plot needs at least one finished epoch, got none$"
    with pytest.raises(ValueError, match=message):
        plot_loss(runs)


def test_a_floor_at_zero_can_be_drawn_on_a_logarithmic_axis() -> None:
    figure = plot_loss(history(2.0, 1.0), floors={"found": 0.0, "chance": 2.5}, log=True)
    drawn(figure)
    assert only(figure).get_ylim()[0] > 0.0


def test_what_stands_behind_a_line_needs_the_line() -> None:
    with pytest.raises(ValueError, match=r"^spread must be labelled as .* \(a\), got b$"):
        plot_loss({"a": history(2.0, 1.0)}, spread={"b": []})
    with pytest.raises(ValueError, match=r"^bands must be labelled as .* \(a\), got b, c$"):
        plot_lines({"a": ([1], [1])}, **LABELS, bands={"c": ([0], [2]), "b": ([0], [2])})

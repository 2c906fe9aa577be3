"""Distributions and bars: lengths are the numbers given, in their order, with nothing cut off."""

import re

import numpy as np
import pytest
import torch
from drawn import drawn, is_cut
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from torch import Tensor

from tx_utils.plotting.distributions import plot_bars, plot_distributions
from tx_utils.plotting.style import COLOURS

LABELS = ["the", "a function", "this"]
OWN = torch.tensor([0.5, 0.375, 0.125])
PANELS = {"sharp": torch.tensor([0.75, 0.25, 0.0]), "own": OWN}


def rectangles(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def lengths(axes: Axes, *, filled: bool) -> list[float]:
    bars = [bar for bar in rectangles(axes) if bar.get_fill() == filled]
    assert [round(bar.get_y() + bar.get_height() / 2) for bar in bars] == list(range(len(bars)))
    assert all(bar.get_x() == 0 for bar in bars)
    return [bar.get_width() for bar in bars]


def tick_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


# Oracle


def test_each_panel_has_its_distribution_and_the_outline_of_another() -> None:
    figure = plot_distributions(PANELS, labels=LABELS, outline=OWN, title="Bent", xlabel="p")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["sharp", "own"]
    for axes, values in zip(figure.axes, PANELS.values(), strict=True):
        assert lengths(axes, filled=True) == values.tolist()
        assert lengths(axes, filled=False) == OWN.tolist()
        assert axes.get_xlabel() == "p"
        assert axes.get_xlim() == pytest.approx((0, 0.81))  # one scale for all
        assert axes.get_ylim() == (2.5, -0.5)  # the first on top
    assert tick_labels(figure.axes[0]) == LABELS
    assert tick_labels(figure.axes[1]) == [""] * 3
    assert figure.get_suptitle() == "Bent"


def test_bars_have_their_values_at_their_ends() -> None:
    values = {"gzip": 2.371, "3-gram": 2.45, "GPT": 1.6}
    axes = plot_bars(values, xlabel="bits", highlighted=["GPT"], digits=1, title="It wins").axes[0]
    assert lengths(axes, filled=True) == list(values.values())
    assert tick_labels(axes) == list(values)
    assert [text.get_text() for text in axes.texts] == ["2.4", "2.5", "1.6"]
    ends = [tuple(np.asarray(text.xy)) for text in axes.texts]  # type: ignore[attr-defined]
    assert ends == [(2.371, 0), (2.45, 1), (1.6, 2)]
    assert (axes.get_xlabel(), axes.get_title(loc="left")) == ("bits", "It wins")
    colours = [to_hex(bar.get_facecolor()).upper() for bar in rectangles(axes)]
    assert colours == [COLOURS[0], COLOURS[0], COLOURS[1]]
    hatches = [bool(bar.get_hatch()) for bar in rectangles(axes)]
    assert hatches == [False, False, True]  # a second cue


# Property


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "title", ["", "A title that is so long that it has to go on in a line of its own"]
)
def test_nothing_is_cut_off(panels: int, title: str) -> None:
    names = {f"temperature {number}": OWN for number in range(panels)}
    figure = plot_distributions(names, labels=["a rather long token", "b", "c"], title=title)
    assert not is_cut(figure)
    bars = plot_bars({"a rather long name": 1234.5, "b": 0.0}, xlabel="bits", title=title)
    assert not is_cut(bars)
    right = bars.axes[0].get_window_extent(drawn(bars)).x1
    assert all(text.get_window_extent().x1 <= right + 20 for text in bars.axes[0].texts)


def test_alt_text_is_given_or_made_from_the_title() -> None:
    assert plot_distributions(PANELS, labels=LABELS, title="Bent").alt == "sharp, own. Bent"
    assert plot_distributions(PANELS, labels=LABELS, alt="Two panels").alt == "Two panels"
    assert plot_bars({"a": 1.0}, xlabel="bits", title="One").alt == "Bars. One"
    assert plot_bars({"a": 1.0}, xlabel="bits", alt="A bar").alt == "A bar"


# Border


def test_too_few_and_too_many_panels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^1 to 4 distributions fit, got 0$"):
        plot_distributions({}, labels=LABELS)
    with pytest.raises(ValueError, match=r"^1 to 4 distributions fit, got 5$"):
        plot_distributions({str(number): OWN for number in range(5)}, labels=LABELS)


@pytest.mark.parametrize(
    ("panels", "outline", "name", "shape"),
    [
        ({"a": OWN, "b": OWN[:2]}, None, "b", "(2,)"),
        ({"a": OWN}, OWN[None], "outline", "(1, 3)"),
    ],
)
def test_other_numbers_of_probabilities_are_refused(
    panels: dict[str, Tensor], outline: Tensor | None, name: str, shape: str
) -> None:
    message = f"'{name}' needs one probability for each of 3 labels, got {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        plot_distributions(panels, labels=LABELS, outline=outline)


def test_bars_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^values must have at least one entry, got none$"):
        plot_bars({}, xlabel="bits")
    with pytest.raises(ValueError, match=r"^highlighted must be labelled .*\(a\), got b$"):
        plot_bars({"a": 1.0}, xlabel="bits", highlighted=["b"])

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from nbformat import NotebookNode
from PIL import Image, ImageChops

from notebook_building import code, figure, notebook, png, save
from notebook_figures import STRICT, compare, measure, stale_figures

ROOT = Path(__file__).resolve().parents[1]
STEPS = np.arange(600)
TITLE = "Without attention the loss stays at chance"


def losses(seed: int, drift: float = 0.0) -> npt.NDArray[np.float64]:
    """A noisy loss that falls from 2.5 to 0.3; `drift` grows along the way, as in training."""
    noise = np.random.default_rng(seed).normal(size=STEPS.size)
    smooth = np.convolve(noise, np.ones(41) / 41, "same") * 6.4
    curve = 0.3 + 2.2 * np.exp(-STEPS / 90) + 0.03 * noise
    return np.asarray(curve * np.exp(drift * smooth * STEPS / STEPS.size))


def draw(
    *curves: npt.NDArray[np.float64],
    title: str = TITLE,
    colours: Sequence[str] = ("#0072B2", "#D55E00"),
    top: float = 3.0,
    floor: float = 2.4,
) -> Image.Image:
    file = io.BytesIO()
    with mpl.rc_context({"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.3}):
        page = Figure(figsize=(7, 3.5), layout="constrained")
        axes = page.subplots()
        for curve, colour in zip(curves, colours, strict=False):
            axes.plot(STEPS, curve, color=colour)
        axes.axhline(floor, color="0.3", linestyle=":")
        axes.set(title=title, xlabel="step", ylabel="loss", ylim=(0, top), xlim=(0, 600))
        page.savefig(file, format="png")
    return Image.open(file)


CURVES = losses(0), losses(1) + 0.8
STORED = draw(*CURVES)
DRIFTED = draw(losses(0, drift=0.05), losses(1, drift=0.01) + 0.8)
STALE = {
    "title": draw(*CURVES, title="With attention the loss falls to nearly zero"),
    "limits": draw(*CURVES, top=3.6),
    "missing curve": draw(CURVES[0]),
    "colour": draw(*CURVES, colours=("#0072B2", "#009E73")),
    "other curve": draw(CURVES[0], 2.2 - STEPS / 600),
}


def stale(new: Image.Image, *, ignored: bool) -> list[str]:
    return stale_figures([figure(png(STORED))], [figure(png(new))], ignored=ignored)


@pytest.mark.parametrize("ignored", [False, True])
def test_same_figure_passes(ignored: bool) -> None:
    assert stale(STORED.copy(), ignored=ignored) == []


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("change", STALE)
def test_stale_figure_is_caught(change: str, ignored: bool) -> None:
    (problem,) = stale(STALE[change], ignored=ignored)
    assert problem.startswith("figure 1 differs from the stored one: ")


def test_drift_of_a_trained_curve_passes_in_ignored_cells_only() -> None:
    assert stale(DRIFTED, ignored=True) == []
    assert len(stale(DRIFTED, ignored=False)) == 1


def test_one_level_of_every_pixel_passes() -> None:
    darker = ImageChops.subtract(STORED.convert("RGB"), Image.new("RGB", STORED.size, (1, 1, 1)))
    assert stale(darker, ignored=False) == []


def test_small_changes_of_the_text_are_caught() -> None:
    assert len(stale(draw(*CURVES, title=TITLE.replace("stays", "stags")), ignored=False)) == 1
    assert len(stale(draw(*CURVES, floor=2.5), ignored=False)) == 1


def test_measure_of_equal_figures_is_zero() -> None:
    blank = Image.new("RGB", (50, 40), "white")
    assert measure(blank, blank) == {"detail": 0, "text": 0, "shape": 0, "hue": 0}


def test_figures_are_counted_and_their_sizes_compared() -> None:
    one = [figure(png(STORED))]
    assert stale_figures([], []) == []
    assert stale_figures(one, []) == ["1 figures are stored, 0 are drawn now"]
    assert stale_figures([], one) == ["0 figures are stored, 1 are drawn now"]
    reason = compare(png(STORED), png(STORED.resize((700, 349))), STRICT)
    assert reason == "stored with (700, 350) pixels, now drawn with (700, 349)"


def test_transparent_figures_are_seen_on_white() -> None:
    clear, white = (Image.new(mode, (9, 9), (255,) * len(mode)) for mode in ("RGBA", "RGB"))
    clear.putalpha(0)
    assert compare(png(clear), png(white), STRICT) is None


def test_alt_texts_are_compared() -> None:
    old, new, other = (
        [figure(png(STORED), alt)]
        for alt in ("Loss falls to 0.036.", "Loss falls to 0.05.", "Loss stays.")
    )
    assert stale_figures(old, new, ignored=True) == []
    for wrong, ignored in ((new, False), (other, False), (other, True)):
        (problem,) = stale_figures(old, wrong, ignored=ignored)
        assert "another alt text" in problem


def drawing_cell(stored: Image.Image, drawn: Image.Image) -> NotebookNode:
    text = f"display({{'image/png': '{png(drawn)}', 'text/plain': '<Figure>'}}, raw=True)"
    return code(text, outputs=[figure(png(stored), alt="")], tags=["nbval-ignore-output"])


def test_nbval_run_fails_on_a_stale_figure_and_on_nothing_else(tmp_path: Path) -> None:
    blue, red = (Image.new("RGB", (64, 64), colour) for colour in ("blue", "red"))
    cells = [drawing_cell(blue, blue), drawing_cell(red, blue), code("x = 1")]
    save(notebook(cells), tmp_path / "00_figures.ipynb")
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text("utf-8"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-n1"]
    command += ["--dist=loadscope", "-p", "no:cacheprovider", "--color=no", "00_figures.ipynb"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    environment.pop("PYTEST_XDIST_WORKER", None)
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "1 failed, 2 passed" in result.stdout
    assert "FAILED 00_figures.ipynb::Cell 1" in result.stdout
    assert "00_figures.ipynb, cell with id cell-2:" in result.stdout
    assert "figure 1 differs from the stored one: shape 170.00" in result.stdout
    assert "make notebooks" in result.stdout

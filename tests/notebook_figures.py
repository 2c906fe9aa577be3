"""Are the stored figures still those that the code draws?

nbval runs every cell and compares its text, but never a PNG. Here its own run is used a second
time: after each cell the figures just drawn are held against the stored ones. Pixels are not
compared one by one: another processor moves antialiased edges, and a little the curves of a
trained model. So each measure first blurs, then looks for the worst place of the figure.
"""

import base64
import io
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from nbval.plugin import IPyNbCell  # type: ignore[import-untyped]
from PIL import Image, ImageFilter

IGNORE_TAG = "nbval-ignore-output"
# Measured on loss curves (linear, log, raw, smoothed), heat maps and bars at 100 dpi. Another
# instruction set or a 1e-6 push on the initial weights, then 600 steps: `detail` <= 0.61. Stale:
# one letter of the title >= 1.16, a line moved, recoloured, missing or of another seed >= 4.4.
STRICT = {"detail": 1.0}
# In ignored cells, where trained results drift: losses moved by up to 10 % (linear axis) or 3 %
# (log): text <= 2.7, shape <= 5.9, hue <= 0.12. Stale: another title or label (text >= 9.6, mostly
# 13 to 46), other limits or another curve (shape 20 to 130), a curve recoloured or missing (hue
# 0.16 to 0.48). An axis that scales itself to a drifting minimum moves its ticks (text 10).
LOOSE = {"text": 9.0, "shape": 16.0, "hue": 0.15}

TILE = 32  # pixels: a few words of text, or a piece of a curve
COLOURED = 24  # the least spread of R, G, B that makes a pixel coloured; text and axes have none

Array = npt.NDArray[np.float64]
Output = Mapping[str, Any]


def pictures(outputs: Sequence[Output]) -> list[tuple[str, str]]:
    """The figures among a cell's outputs: their PNG in base64 and their alt text."""
    return [
        (
            output["data"]["image/png"],
            output.get("metadata", {}).get("image/png", {}).get("alt", ""),
        )
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def decode(png: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    page = Image.new("RGBA", image.size, "white")  # transparent parts show the page
    return Image.alpha_composite(page, image).convert("RGB")


def blurred(image: Image.Image, radius: float) -> Array:
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64)


def worst_tile(difference: Array) -> float:
    """The largest mean over TILE x TILE pixels: a mean over the whole white page hides a title."""
    height, width = difference.shape
    padded = np.pad(difference, ((0, -height % TILE), (0, -width % TILE)))
    tiles = padded.reshape(padded.shape[0] // TILE, TILE, padded.shape[1] // TILE, TILE)
    return float(tiles.mean(axis=(1, 3)).max())


def spread(image: Image.Image) -> Array:
    return np.ptp(np.asarray(image, dtype=np.float64), axis=2)


def ink_per_hue(image: Image.Image) -> Array:
    hue = np.asarray(image.convert("HSV"))[..., 0]
    return np.histogram(hue, bins=12, range=(0, 256), weights=spread(image))[0]


def measure(stored: Image.Image, new: Image.Image) -> dict[str, float]:
    """How far two figures of one size are apart, in levels of 0..255 (`hue`: as a share).

    detail: the worst place anywhere. text: the same, but only where nothing coloured is near, so
    curves do not count and titles, labels and ticks do. shape: the worst place after a blur so
    wide that a small shift of a curve fades. hue: the coloured ink that is not there in the other
    figure, wherever it lies.
    """
    fine = np.abs(blurred(stored, 2) - blurred(new, 2)).mean(axis=2)
    coarse = np.abs(blurred(stored, 8) - blurred(new, 8)).mean(axis=2)
    coloured = Image.fromarray(np.maximum(spread(stored), spread(new)) >= COLOURED).convert("L")
    near_colour = np.asarray(coloured.filter(ImageFilter.MaxFilter(15))) > 0
    ink, new_ink = ink_per_hue(stored), ink_per_hue(new)
    return {
        "detail": worst_tile(fine),
        "text": worst_tile(np.where(near_colour, 0.0, fine)),
        "shape": worst_tile(coarse),
        "hue": float(np.abs(ink - new_ink).sum() / max(1.0, ink.sum())),
    }


def compare(stored: str, new: str, limits: Mapping[str, float]) -> str | None:
    """Why the new figure (PNG in base64) is not the stored one; None if it is."""
    if stored.split() == new.split():
        return None
    before, after = decode(stored), decode(new)
    if before.size != after.size:
        return f"stored with {before.size} pixels, now drawn with {after.size}"
    measured = measure(before, after)
    above = [
        f"{name} {measured[name]:.2f} (limit {limit:g})"
        for name, limit in limits.items()
        if measured[name] > limit
    ]
    return f"differs from the stored one: {', '.join(above)}" if above else None


def stale_figures(
    stored: Sequence[Output], new: Sequence[Output], *, ignored: bool = False
) -> list[str]:
    """What is stale among the stored figures of a cell; `ignored` allows for trained results."""
    before, after = pictures(stored), pictures(new)
    if len(before) != len(after):
        return [f"{len(before)} figures are stored, {len(after)} are drawn now"]
    problems = []
    for number, ((old_png, old_alt), (png, alt)) in enumerate(zip(before, after, strict=True), 1):
        if reason := compare(old_png, png, LOOSE if ignored else STRICT):
            problems.append(f"figure {number} {reason}")
        if ignored:  # alt texts may quote trained numbers
            old_alt, alt = (re.sub(r"\d+", "0", text) for text in (old_alt, alt))
        if old_alt != alt:
            problems.append(f"figure {number} has another alt text now: {alt!r}")
    return problems


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Compare the figures of a notebook's cell right after nbval has run and compared the rest."""
    result = yield
    if isinstance(item, IPyNbCell):
        ignored = IGNORE_TAG in item.cell.metadata.get("tags", [])
        problems = stale_figures(item.cell.outputs, item.test_outputs, ignored=ignored)
        if problems:
            where = f"{item.path.name}, cell with id {item.cell.get('id')}"
            advice = "If the new figures are right, run `make notebooks` and look at them."
            item.raise_cell_error("\n".join([f"{where}:", *problems, advice]))
    return result

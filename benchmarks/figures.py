"""The README's pictures; `python -m benchmarks.figures` draws those of the stored results."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter

from tx_utils.plotting import new_figure, plot_lines
from tx_utils.plotting.style import COLOURS, GREY, MARKERS, LessonFigure, styled

FOLDER = Path(__file__).parent.parent / "images"
STORED = Path(__file__).parent / "results.json"
PANELS = {
    "toy": "toy GPT",
    "small": "small GPT",
    "medium": "medium GPT",
    "translation": "encoder-decoder",
}
TITLE_CHARACTERS = 56  # in a line above panels with names at their left
LEGEND: dict[str, Any] = {"handlelength": 0.8, "columnspacing": 1.2, "borderaxespad": 0.3}


def draw(results: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Write the three pictures into the folder."""
    pictures = {
        "benchmark_training": training_figure(results["workloads"]),
        "benchmark_generation": generation_figure(results["workloads"]),
        "benchmark_memory": memory_figure(results["attention"]),
    }
    for name, figure in pictures.items():
        with styled():
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})


def training_figure(workloads: Mapping[str, Any]) -> LessonFigure:
    """Each contender's training step, as a multiple of ours."""
    series = {
        label: {
            name: row["ratio"]
            for name, row in workloads[key]["contenders"].items()
            if name != "tx_utils"
        }
        for key, label in PANELS.items()
    }
    peers = [
        median
        for ratios in series.values()
        for name, (median, *_) in ratios.items()
        if not name.startswith("tx_utils")
    ]
    return dot_figure(
        series,
        xlabel="time of a training step, as a multiple of that of tx_utils",
        title=f"A peer's training step takes {min(peers):.2f} to {max(peers):.2f} times as long "
        "as that of tx_utils",
    )


def generation_figure(workloads: Mapping[str, Any]) -> LessonFigure:
    """Tokens per second, with the cache and without."""
    series, rates = {}, {}
    for key, label in (("write-1", "one sequence"), ("write-8", "eight side by side")):
        rows = workloads[key]["contenders"]
        rates[key] = {name: row["tokens_per_second"] for name, row in rows.items()}
        series[label] = {name: (rate, rate, rate) for name, rate in rates[key].items()}
    gain = [by_name["tx_utils"] / by_name["tx_utils, no cache"] for by_name in rates.values()]
    return dot_figure(
        series,
        xlabel="tokens per second, all sequences together (logarithmic)",
        title=f"With its cache tx_utils writes one sequence {gain[0]:.1f} times as fast, eight "
        f"side by side {gain[1]:.1f} times",
        log=True,
    )


def memory_figure(attention: Mapping[str, Any]) -> LessonFigure:
    """Memory of an attention layer, forward and backward, by sequence length."""
    lengths = sorted(map(int, next(iter(attention.values()))))
    megabytes = {
        form: [by_length[str(length)]["megabytes"] for length in lengths]
        for form, by_length in attention.items()
    }
    written_out, *_, causal = megabytes.values()
    return plot_lines(
        {form: (lengths, values) for form, values in megabytes.items()},
        xlabel="sequence length",
        ylabel="peak memory (MB)",
        title=f"At length {lengths[-1]:,} the formula written out takes "
        f"{written_out[-1] / causal[-1]:.0f} times the memory of the fused kernel",
        log_x=True,
        log_y=True,
    )


def dot_figure(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    xlabel: str,
    title: str,
    log: bool = False,
) -> LessonFigure:
    """A row for each contender, a dot for each series, a bar from its lowest to its highest.

    Args:
        series: By its label: median, low and high, by contender.
        xlabel: What is measured, with its unit.
        title: The finding.
        log: Whether the axis is logarithmic; else it starts at 0, with a line at 1, ours.
    """
    names = list(dict.fromkeys(name for by_name in series.values() for name in by_name))
    figure, (axes,) = new_figure("wide" if len(names) < 6 else "large", alt=f"{xlabel}. {title}")
    with styled():
        for index, (label, by_name) in enumerate(series.items()):
            shift = 0.6 * ((index + 0.5) / len(series) - 0.5)
            rows = [names.index(name) + shift for name in by_name]
            middle, low, high = zip(*by_name.values(), strict=True)
            axes.hlines(rows, low, high, color=COLOURS[index], lw=1.6)
            axes.plot(middle, rows, MARKERS[index], label=label, color=COLOURS[index], ms=6)
        _name_rows(axes, names)
        _scale(axes, log=log)
        axes.set_xlabel(xlabel)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, **LEGEND)
        axes.set_title(textwrap.fill(title, width=TITLE_CHARACTERS), pad=25)
    return figure


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [name.replace(", ", ",\n") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _scale(axes: Axes, *, log: bool) -> None:
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.minorticks_off()
    else:
        axes.axvline(1.0, color=GREY, lw=1.1, ls=(0, (4, 3)), zorder=0)
        axes.set_xlim(left=0)


if __name__ == "__main__":
    draw(json.loads(STORED.read_text(encoding="utf-8")))

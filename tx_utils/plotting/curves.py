"""Curves: the loss against the floors that theory gives for it, and lines in general."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from tx_utils.plotting.axes import check_labels, cues, draw_floors, finish
from tx_utils.plotting.style import MARKERS, LessonFigure, Size, new_figure, styled
from tx_utils.training.history import History

Curve = tuple[Sequence[float], Sequence[float]]  # (x, y)


def plot_loss(
    runs: History | Mapping[str, History | Sequence[History]],
    *,
    validation: bool = False,
    floors: Mapping[str, float] | None = None,
    spread: Mapping[str, Sequence[Curve]] | None = None,
    ylabel: str = "loss (nats)",
    title: str = "",
    alt: str = "",
    size: Size = "wide",
    log: bool = False,
) -> LessonFigure:
    """Draw training losses by step, with floors and chance levels as dashed lines.

    Args:
        runs: One run, drawn with its training and validation loss; or several runs by label,
            drawn with their training loss, a list (one run per seed) sharing one colour.
        validation: Whether several runs are drawn with their validation loss instead.
        floors: Horizontal reference lines, by their label.
        spread: Stored curves of more seeds, by the label of the runs that they stand behind,
            drawn as a band from the lowest to the highest.
        ylabel: What the loss is, with its unit.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".
        log: Whether the loss has a logarithmic axis.

    Returns:
        The figure; as a cell's last value it is shown.

    Raises:
        ValueError: if a run has no finished epoch, or no validation loss where that is to be
            drawn, or `spread` has a label that `runs` has not.

    Example:
        >>> history = History(train_loss=[2.0, 1.0], epoch_end=[10, 20])
        >>> plot_loss(history, floors={"chance": 2.08}).axes[0].get_xlabel()
        'training step'
    """
    curves_by_label = _labelled_curves(runs, validation=validation)
    check_labels("spread", spread, curves_by_label)
    figure, (axes,) = new_figure(size, alt=alt or f"Loss curves. {title}")
    with styled():
        for index, (label, curves) in enumerate(curves_by_label.items()):
            if spread and label in spread:
                _draw_band(axes, spread[label], cues(index)["color"])
            for number, (x, y) in enumerate(curves):
                width = 1.8 if len(curves) == 1 else 1.2
                marker = "o" if len(x) == 1 else ""  # one epoch makes no line
                axes.plot(
                    x,
                    y,
                    lw=width,
                    marker=marker,
                    label=label if number == 0 else None,
                    **cues(index),
                )
        draw_floors(axes, floors or {})
        axes.set(xlabel="training step", ylabel=ylabel)
        axes.set_xlim(left=0)
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        finish(figure, axes, title, floors or {})
    return figure


def plot_lines(
    series: Mapping[str, Curve],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    alt: str = "",
    size: Size = "wide",
    log_x: bool = False,
    log_y: bool = False,
    floors: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> LessonFigure:
    """Draw measured points joined by lines, one line per label.

    Args:
        series: (x, y) by label.
        xlabel: What x is, with its unit.
        ylabel: What y is, with its unit.
        title: The finding, in a sentence.
        alt: What the picture shows; made from the title if empty.
        size: "small", "wide" or "large".
        log_x: Whether x has a logarithmic axis, ticked at the measured points.
        log_y: Whether y has one.
        floors: Horizontal reference lines, by their label.
        bands: Lowest and highest y over the seeds, by the label of the line they belong to.

    Example:
        >>> figure = plot_lines({"square": ([1, 2, 3], [1, 4, 9])}, xlabel="n", ylabel="n squared")
        >>> figure.axes[0].get_ylabel()
        'n squared'
    """
    check_labels("bands", bands, series)
    figure, (axes,) = new_figure(size, alt=alt or f"{ylabel} against {xlabel}. {title}")
    with styled():
        for index, (label, (x, y)) in enumerate(series.items()):
            axes.plot(
                x,
                y,
                label=label,
                marker=MARKERS[index % len(MARKERS)],
                markersize=5,
                **cues(index),
            )
            if bands and label in bands:
                axes.fill_between(x, *bands[label], color=cues(index)["color"], alpha=0.22, lw=0)
        if log_x:
            axes.set_xscale("log", base=2)
            ticks = sorted({float(value) for x, _ in series.values() for value in x})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        if log_y:
            axes.set_yscale("log")
        draw_floors(axes, floors or {})
        axes.set(xlabel=xlabel, ylabel=ylabel)
        finish(figure, axes, title, floors or {})
    return figure


def _labelled_curves(
    runs: History | Mapping[str, History | Sequence[History]], *, validation: bool
) -> dict[str, list[Curve]]:
    if isinstance(runs, History):
        curves = {"training": [_curve(runs, runs.train_loss)]}
        if runs.validation_loss:
            curves["validation"] = [_curve(runs, runs.validation_loss)]
        return curves
    listed = {
        label: [run] if isinstance(run, History) else list(run) for label, run in runs.items()
    }
    if validation and not all(run.validation_loss for runs in listed.values() for run in runs):
        raise ValueError("validation needs histories with a validation loss, got one without")
    return {
        label: [_curve(run, run.validation_loss if validation else run.train_loss) for run in runs]
        for label, runs in listed.items()
    }


def _curve(history: History, losses: Sequence[float]) -> Curve:
    if not losses:
        raise ValueError("a history to plot needs at least one finished epoch, got none")
    return history.epoch_end, losses


def _draw_band(axes: Axes, curves: Sequence[Curve], colour: str) -> None:
    """From the lowest to the highest; a seed that diverged is in it as far as it came."""
    steps = max((x for x, _ in curves), key=len, default=[])
    reached = [[y[n] for _, y in curves if n < len(y)] for n in range(len(steps))]
    low, high = [min(losses) for losses in reached], [max(losses) for losses in reached]
    axes.fill_between(steps, low, high, color=colour, alpha=0.22, lw=0)

"""The report: what rounds of times say, as numbers to store and as a table to read."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TypedDict

from benchmarks.ratios import Times, median_ratio, paired

CEILING = "matrix product"  # the contender that shows what the machine can do


class Row(TypedDict):
    """One contender in one workload.

    `ratio` is its time over ours in the same round: the median and its 95 % interval.
    `of_ceiling` is its model FLOPs per second over those of the matrix product in the same round.
    """

    parameters: int
    milliseconds: float
    ratio: tuple[float, float, float]
    rounds: int
    of_ceiling: float | None
    tokens_per_second: float | None


def summarise(
    times: Mapping[str, Times],
    reference: str,
    *,
    parameters: Mapping[str, int],
    flops: int = 0,
    ceiling_flops: int = 0,
    tokens: int = 0,
) -> dict[str, Row]:
    """Compare every contender with the reference, and if it has model FLOPs with the ceiling.

    Args:
        times: Seconds by round, by contender; with the matrix product's if `flops` is given.
        reference: The contender that the others are compared with.
        parameters: Of each contender's model.
        flops: The model's in one call.
        ceiling_flops: The matrix product's.
        tokens: Tokens written in one call.

    Returns:
        A row for each contender but the matrix product.
    """
    rows: dict[str, Row] = {}
    for name, taken in times.items():
        if name == CEILING:
            continue
        ratio, seconds = paired(taken, times[reference]), statistics.median(taken.values())
        share = flops / ceiling_flops / paired(taken, times[CEILING]).median if flops else None
        rows[name] = Row(
            parameters=parameters[name],
            milliseconds=1e3 * seconds,
            ratio=(ratio.median, ratio.low, ratio.high),
            rounds=ratio.pairs,
            of_ceiling=share,
            tokens_per_second=tokens / seconds if tokens else None,
        )
    return rows


def gflops(times: Times, flops: int) -> float:
    """Floating-point operations per nanosecond, in the median round.

    Example:
        >>> gflops({0: 1.0, 1: 4.0, 2: 2.0}, flops=10**9)
        0.5
    """
    return flops / median_ratio(list(times.values())).median / 1e9


def table(rows: Mapping[str, Row]) -> str:
    """The rows as aligned text, fastest first; below six rounds the interval is the whole range."""
    last = "tokens/s" if any(row["tokens_per_second"] for row in rows.values()) else "of ceiling"
    lines = [("", "parameters", "time / ours", "95 % interval", "rounds", "ms", last)]
    for name, row in sorted(rows.items(), key=lambda item: item[1]["ratio"][0]):
        median, low, high = row["ratio"]
        known = row["rounds"] > 1 and low < high  # not from one round, and not ours by itself
        lines.append(
            (
                name,
                f"{row['parameters']:,}",
                f"{median:.2f}",
                f"{low:.2f} to {high:.2f}" if known else "",
                str(row["rounds"]),
                f"{row['milliseconds']:,.1f}",
                _last_column(row),
            )
        )
    return aligned(lines)


def attention_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Memory and time by length, one column for each form."""
    lines: list[Sequence[str]] = [("length", *(f"{form}: MB / ms" for form in found))]
    for length in next(iter(found.values())):
        cells = (by_length[length] for by_length in found.values())
        texts = (f"{cell['megabytes']:,.0f} / {cell['milliseconds']:,.1f}" for cell in cells)
        lines.append((f"{int(length):,}", *texts))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text: the first to the left, the others to the right.

    Example:
        >>> print(aligned([("a", "long"), ("bc", "1")]))
        a   long
        bc     1
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _last_column(row: Row) -> str:
    if row["tokens_per_second"] is not None:
        return f"{row['tokens_per_second']:,.0f}"
    return "" if row["of_ceiling"] is None else f"{row['of_ceiling']:.0%}"

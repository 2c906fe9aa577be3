"""Progress: one line that is right in JupyterLab, in a terminal and in a log."""

import sys
from typing import NoReturn

from tqdm import tqdm


def progress_bar(label: str, total: int | None, done: int, *, enabled: bool) -> "tqdm[NoReturn]":
    """Open a progress line that counts steps.

    It writes to stdout, where a notebook keeps its last state as plain text. In a log, where
    nobody watches, it stays silent.

    Args:
        label: What is running.
        total: Number of steps in the end, if known.
        done: Number of steps done before.
        enabled: False silences it everywhere.
    """
    return tqdm(
        total=total,
        initial=done,
        desc=label,
        file=sys.stdout,
        disable=not (enabled and _is_watched()),
        mininterval=0.25,
        bar_format="{desc}: |{bar:24}| {n_fmt}/{total_fmt} steps{postfix} [{elapsed}]",
    )


def _is_watched() -> bool:
    """Whether stdout is a terminal, or belongs to a notebook's kernel."""
    return sys.stdout.isatty() or type(sys.stdout).__module__.startswith("ipykernel")

"""Run the notebooks and store their outputs: `make notebooks`.

Nothing is stored that differs between runs or machines (times, paths, the Python version, new ids):
a second run changes no byte of a deterministic notebook. A cell that raises or writes to stderr
makes its notebook fail, and the file stays as it was.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CELL_TIMEOUT_S = 600
IGNORE_TAG = "nbval-ignore-output"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# What editors and executions leave behind; other keys are taken as deliberate and kept.
CHURN = {"widgets", "signature", "orig_nbformat", "orig_nbformat_minor", "vscode", "papermill"}
CELL_CHURN = {"execution", "ExecuteTime", "collapsed", "scrolled", "vscode", "papermill"}
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Not after a word or a dot: ../tmp/ and https://example.org/home/ belong to no machine.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|private)/|[A-Za-z]:\\+Users")
ANSI_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook whose outputs must not be stored; the text says which cell and why."""


class CurrentPython(KernelSpecManager):
    """Answers every kernel name with the Python that runs this program."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Describe the running Python's kernel, whatever the notebook asks for."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def read(path: Path) -> NotebookNode:
    """Read a notebook as it is: `nbformat.read` would repair ids and versions silently."""
    text = path.read_text(encoding="utf-8")
    notebook: NotebookNode = nbformat.v4.reads(text)
    if notebook.get("nbformat") != 4:
        raise NotebookError(f"nbformat is {notebook.get('nbformat')}, expected 4")
    return notebook


def tags(cell: NotebookNode) -> list[str]:
    """List the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def normalise(notebook: NotebookNode) -> None:
    """Bring metadata and ids, in place, to the form in which notebooks are stored."""
    for key in CHURN & notebook.metadata.keys():
        del notebook.metadata[key]
    notebook.metadata |= {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat_minor = max(5, notebook.nbformat_minor)  # from 4.5 on cells have ids
    seen: set[str] = set()
    for cell in notebook.cells:
        for key in CELL_CHURN & cell.metadata.keys():
            del cell.metadata[key]
        if cell.get("id") in seen or not CELL_ID.fullmatch(cell.get("id", "")):
            cell["id"] = uuid.uuid4().hex[:8]
        seen.add(cell["id"])


def tidy_outputs(cell: NotebookNode) -> None:
    """Bring a cell's outputs, in place, to the form in which they are stored.

    Only ignored cells have text changed: nbval compares the others letter by letter.
    """
    for output in cell.outputs:
        if output.output_type == "error":
            # The full traceback names files and lines of this machine; nbval does not compare it.
            output.traceback = [f"{output.ename}: {output.evalue}"]
        elif output.output_type == "stream" and IGNORE_TAG in tags(cell):
            output.text = final_state(output.text)
    cell.outputs = [output for output in cell.outputs if output.get("text", "text")]


def final_state(text: str) -> str:
    r"""Reduce lines that were redrawn with carriage returns to what a terminal shows last.

    Example:
        >>> final_state(" 50%\r100%  \nloss 0.1\n")
        '100%\nloss 0.1\n'
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    shown = [line.rpartition("\r")[2].rstrip() for line in lines]
    return "\n".join(shown) if any(shown) else ""


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in place, in a new kernel that starts in `folder`.

    Raises:
        NotebookError: If a cell raises without the tag raises-exception, takes too long, writes to
            stderr or shows a path of this machine.
    """
    started: list[int] = []
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=CurrentPython()),
        timeout=CELL_TIMEOUT_S,
        record_timing=False,
        coalesce_streams=True,
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    # One thread, so that sums are added in the same order wherever the outputs are made.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = {"cwd": str(folder), "env": environment, "stderr": subprocess.DEVNULL}
    try:
        client.execute(cleanup_kc=True, **process)
    except (CellControlSignal, CellExecutionError, DeadKernelError) as error:
        where = describe(notebook, started[-1]) if started else "the kernel"
        text = getattr(error, "traceback", "") or str(error)
        raise NotebookError(f"{where} failed:\n{ANSI_COLOUR.sub('', text).rstrip()}") from None
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            tidy_outputs(cell)
            refuse_unclean(cell, describe(notebook, index))


def describe(notebook: NotebookNode, index: int) -> str:
    """Name a cell as its reader sees it, by its number among the code cells."""
    number = sum(cell.cell_type == "code" for cell in notebook.cells[: index + 1])
    return f"code cell {number} (id {notebook.cells[index]['id']})"


def refuse_unclean(cell: NotebookNode, where: str) -> None:
    """Raise `NotebookError` where a cell's outputs hold what readers should not see."""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            raise NotebookError(f"{where} wrote to stderr:\n{output.text.rstrip()}")
        if found := MACHINE_PATH.search(shown_text(output)):
            raise NotebookError(f"{where} shows a path of this machine: {found.group()}...")


def shown_text(output: NotebookNode) -> str:
    """Join what an output shows as text: everything but the bytes of images."""
    data = output.get("data", {})
    texts = [str(value) for kind, value in data.items() if not kind.startswith("image/")]
    texts += [output.get(key, "") for key in ("text", "ename", "evalue")]
    return "\n".join([*texts, *output.get("traceback", [])])


def write(notebook: NotebookNode, path: Path) -> None:
    """Replace the file in one step, so that an interrupted run leaves the old one whole."""
    text = nbformat.v4.writes(notebook) + "\n"
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        file.write(text)
    shutil.copymode(path, file.name)
    os.replace(file.name, path)


def run(path: Path) -> str:
    """Run one notebook, store its outputs and return a line that sums it up."""
    start = time.perf_counter()
    notebook = read(path)
    normalise(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # nothing old survives in a cell that is not run
            cell.outputs, cell.execution_count = [], None
    execute(notebook, path.resolve().parent)
    normalise(notebook)  # the kernel has added its language_info
    write(notebook, path)
    seconds, size = time.perf_counter() - start, path.stat().st_size / 1000
    return f"{path.name}: {len(notebook.cells)} cells, {seconds:.1f} s, {size:.0f} kB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebooks named on the command line, or all of them; return the exit status."""
    parser = argparse.ArgumentParser(description="Run notebooks and store their outputs.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all, in order")
    paths = parser.parse_args(arguments).notebooks or sorted(NOTEBOOKS.glob("*.ipynb"))
    failed = [] if paths else ["no notebook found"]
    for path in paths:
        try:
            print(run(path), flush=True)
        except (NotebookError, OSError, ValueError) as error:
            failed.append(f"{path.name}: {error}")
            print(f"{path.name}: not stored", flush=True)
    print(*failed, sep="\n\n", end="\n" if failed else "", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

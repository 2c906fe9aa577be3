"""What every notebook keeps to: each rule takes a notebook and returns the problems it finds."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from notebook_form import FORM_RULES, code_cells
from run_notebooks import CELL_ID, IGNORE_TAG, MACHINE_PATH, normalise, shown_text, tags

# nbval reads two things in an ignored cell: that it raises nothing, and its figures. So a lesson
# of 25 code cells may have five: its trainings, and what shows times or trained numbers.
MAX_IGNORED_SHARE = 0.2
MIN_ALT_CHARACTERS = 20
WIDGET = "application/vnd.jupyter.widget-view+json"
NBVAL_COMMENT = re.compile(r"^\s*#\s*(NBVAL_|PYTEST_VALIDATE)", re.MULTILINE)


def read(path: Path) -> NotebookNode:
    """Read without nbformat's silent repairs, and remember where the notebook lies."""
    notebook: NotebookNode = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    notebook["path"] = path
    return notebook


def cells_are_executed_in_order(notebook: NotebookNode) -> Iterator[str]:
    # nbval compares nothing where the count is null, so a stripped notebook would pass it.
    for number, cell in enumerate(code_cells(notebook), 1):
        if not cell.source.strip():
            yield f"code cell {number} is empty"
        if cell.execution_count != number:
            yield f"code cell {number} has execution count {cell.execution_count}"


def ids_are_unique(notebook: NotebookNode) -> Iterator[str]:
    if notebook.nbformat_minor < 5:
        yield f"nbformat 4.{notebook.nbformat_minor} has no cell ids, 4.5 has"
    ids = [str(cell.get("id", "")) for cell in notebook.cells]
    for number, cell_id in enumerate(ids, 1):
        if not CELL_ID.fullmatch(cell_id):
            yield f"cell {number} has the id {cell_id!r}"
        elif cell_id in ids[: number - 1]:
            yield f"cell {number} repeats the id {cell_id}"


def outputs_are_clean(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if bool(errors) != ("raises-exception" in tags(cell)):
            yield f"code cell {number}: an error and the tag raises-exception belong together"
        for output in cell.outputs:
            if output.get("name") == "stderr":
                yield f"code cell {number} wrote to stderr"
            if "\r" in shown_text(output):
                yield f"code cell {number} shows a carriage return: ignore or print once"
            if WIDGET in output.get("data", {}):
                yield f"code cell {number} shows a widget, which needs a kernel"


def no_machine_paths(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(notebook.cells, 1):
        outputs = cell.get("outputs", [])
        for text in (cell.source, *(shown_text(output) for output in outputs)):
            if found := MACHINE_PATH.search(text):
                yield f"cell {number} names a path of one machine: {found.group()}..."


def metadata_is_normalised(notebook: NotebookNode) -> Iterator[str]:
    normal = copy.deepcopy(notebook)
    normalise(normal)
    if normal.metadata != notebook.metadata:
        yield "the notebook's metadata are not as `make notebooks` writes them"
    for number, (cell, other) in enumerate(zip(notebook.cells, normal.cells, strict=True), 1):
        if cell.metadata != other.metadata:
            yield f"cell {number} has metadata that `make notebooks` removes"


def few_cells_are_ignored(notebook: NotebookNode) -> Iterator[str]:
    cells = code_cells(notebook)
    ignored = 0
    for number, cell in enumerate(cells, 1):
        if NBVAL_COMMENT.search(cell.source):
            yield f"code cell {number} speaks to nbval in a comment, where nothing counts it"
        for tag in tags(cell):
            if tag == "skip-execution" or (tag.startswith("nbval-") and tag != IGNORE_TAG):
                yield f"code cell {number} has the tag {tag}"
        if IGNORE_TAG in tags(cell):
            ignored += 1
            if not cell.outputs:
                yield f"code cell {number} is ignored but shows nothing"
    if ignored > MAX_IGNORED_SHARE * len(cells):
        yield f"{ignored} of {len(cells)} code cells are ignored, {MAX_IGNORED_SHARE:.0%} may be"


def figures_are_described(notebook: NotebookNode) -> Iterator[str]:
    for index, cell in enumerate(notebook.cells):
        figures = [out for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
        for figure in figures:
            alt = figure.metadata.get("image/png", {}).get("alt", "")
            if len(alt.strip()) <= MIN_ALT_CHARACTERS:
                yield f"cell {index + 1} has a figure whose alt text is {alt!r}"
        following = notebook.cells[index + 1 : index + 2]
        if figures and not (following and following[0].cell_type == "markdown"):
            yield f"cell {index + 1} has a figure without a caption in the next cell"


def setup_cells_are_identical(notebooks: list[NotebookNode]) -> Iterator[str]:
    """The rule that concerns all notebooks: their first code cell is the same."""
    setups = [[cell.source for cell in code_cells(notebook)[:1]] for notebook in notebooks]
    for notebook, setup in zip(notebooks, setups, strict=True):
        if setup != setups[0]:
            yield f"{notebook.path.name} has another setup cell than {notebooks[0].path.name}"


def navigation_leads_through_the_series(notebooks: list[NotebookNode]) -> Iterator[str]:
    """Another rule for all: first and last cell link to the neighbours, by file and title."""
    for before, after in itertools.pairwise(notebooks):
        for here, there, way in ((before, after, "next"), (after, before, "previous")):
            title = there.cells[0].source.split("\n")[0].removeprefix("# ")
            link = f"{way}: [{title}]({there.path.name})"
            for place in (0, -1):
                if link not in here.cells[place].source:
                    yield f"{here.path.name}, cell {place}: {link} is missing"


RULES: list[Callable[[NotebookNode], Iterator[str]]] = [
    cells_are_executed_in_order,
    ids_are_unique,
    outputs_are_clean,
    no_machine_paths,
    metadata_is_normalised,
    few_cells_are_ignored,
    figures_are_described,
    *FORM_RULES,
]

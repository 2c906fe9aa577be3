"""The notebooks' form: sizes, lengths, links, and code that belongs to the package."""

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 1_000_000
CODE_CELLS = (20, 40)
MOST_CODE_CELLS_IN_LONG_LESSONS = 60
LONG_LESSONS = range(7, 11)
MAX_MEDIAN_LINES, MAX_USUAL_LINES, MAX_LINES = 6, 15, 25
USUAL_SHARE = 0.9
MAX_WORDS = 90
MAX_SETUP_LINES = 8

CODE_BLOCK = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
FORMULA = re.compile(r"\$\$.+?\$\$|\\begin\{(\w+\*?)\}.+?\\end\{\1\}|\$[^$\n]+\$", re.DOTALL)
TABLE_ROW = re.compile(r"^ *\|.*$", re.MULTILINE)
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^>]*>", re.DOTALL)
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK_TARGET = re.compile(r"\]\(\s*<?([^)\s>]+)[^)]*\)|^ *\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HTML_TARGET = re.compile(r"""<[^>]*\b(?:src|href)\s*=\s*["']([^"']+)["']""")
WORD = re.compile(r"\w+(?:[-'’.,]\w+)*")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def line_count(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def word_count(markdown: str) -> int:
    """Words of prose: a code span is one; blocks of code, formulas, tables, images are none."""
    for pattern in (CODE_BLOCK, IMAGE, FORMULA, TABLE_ROW):
        markdown = pattern.sub(" ", markdown)
    markdown = TAG.sub(" ", CODE_SPAN.sub(" code ", markdown))
    return len(WORD.findall(LINK_TARGET.sub(" ", markdown)))


def file_is_small(notebook: NotebookNode) -> Iterator[str]:
    if (size := notebook.path.stat().st_size) >= MAX_BYTES:
        yield f"the file has {size} bytes, fewer than {MAX_BYTES} are allowed"


def code_cells_are_short(notebook: NotebookNode) -> Iterator[str]:
    lengths = [line_count(cell.source) for cell in code_cells(notebook)] or [0]
    if (median := statistics.median(lengths)) > MAX_MEDIAN_LINES:
        yield f"the median code cell has {median} lines, more than {MAX_MEDIAN_LINES}"
    usual = sum(length <= MAX_USUAL_LINES for length in lengths) / len(lengths)
    if usual < USUAL_SHARE:
        yield f"only {usual:.0%} of the code cells have {MAX_USUAL_LINES} lines or fewer"
    for number, length in enumerate(lengths, 1):
        if length > MAX_LINES:
            yield f"code cell {number} has {length} lines, more than {MAX_LINES}"
    if lengths[0] > MAX_SETUP_LINES:
        yield f"the setup cell has {lengths[0]} lines, more than {MAX_SETUP_LINES}"


def prose_comes_in_small_cells(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown" and (words := word_count(cell.source)) > MAX_WORDS:
            yield f"cell {number} has {words} words, more than {MAX_WORDS}"


def cells_are_balanced(notebook: NotebookNode) -> Iterator[str]:
    lesson = re.match(r"(\d\d)_\w+\.ipynb$", notebook.path.name)
    if lesson is None:
        yield f"the file is named {notebook.path.name}, expected NN_words.ipynb"
    fewest, most = CODE_CELLS
    if lesson and int(lesson[1]) in LONG_LESSONS:
        most = MOST_CODE_CELLS_IN_LONG_LESSONS
    code = len(code_cells(notebook))
    markdown = sum(cell.cell_type == "markdown" for cell in notebook.cells)
    if not fewest <= code <= most:
        yield f"{code} code cells, expected {fewest} to {most}"
    if markdown <= code:
        yield f"{markdown} markdown cells, expected more than the {code} code cells"


def definitions(tree: ast.AST) -> Iterator[str]:
    """The functions and classes that code defines, a named lambda included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            yield from (name.id for name in node.targets if isinstance(name, ast.Name))


@cache
def package_names() -> frozenset[str]:
    """What tx_utils defines at the top level of its modules, private names included."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "tx_utils").rglob("*.py")]
    kinds = (ast.FunctionDef, ast.ClassDef)
    return frozenset(node.name for tree in trees for node in tree.body if isinstance(node, kinds))


def package_code_is_not_copied(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(code_cells(notebook), 1):
        # Lines for IPython (%magic, !shell, name?) are not Python; they define nothing.
        code = re.sub(r"^\s*[%!].*$|^.*\?\s*$", "", cell.source, flags=re.MULTILINE)
        try:
            defined = set(definitions(ast.parse(code)))
        except SyntaxError as error:
            if "raises-exception" not in cell.metadata.get("tags", []):
                yield f"code cell {number} is no Python: {error.msg}"
            continue
        for name in sorted(defined & package_names()):
            yield f"code cell {number} defines {name}, which tx_utils has: import and show it"


def targets(markdown: str) -> Iterator[str]:
    """The links and images of a markdown text, code and formulas left out."""
    for pattern in (CODE_BLOCK, CODE_SPAN, FORMULA):
        markdown = pattern.sub(" ", markdown)
    for match in (*LINK_TARGET.finditer(markdown), *HTML_TARGET.finditer(markdown)):
        yield next(group for group in match.groups() if group)


def links_lead_somewhere(notebook: NotebookNode) -> Iterator[str]:
    for number, cell in enumerate(notebook.cells, 1):
        for target in targets(cell.source) if cell.cell_type == "markdown" else ():
            parts = urlsplit(target)
            relative = parts.path and not parts.scheme
            if relative and not (notebook.path.parent / unquote(parts.path)).exists():
                yield f"cell {number} links to {target}, which is not there"


FORM_RULES: list[Callable[[NotebookNode], Iterator[str]]] = [
    file_is_small,
    code_cells_are_short,
    prose_comes_in_small_cells,
    cells_are_balanced,
    package_code_is_not_copied,
    links_lead_somewhere,
]

"""What a notebook needs beyond Python itself: the package's source, displayed as it stands."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from IPython.display import Markdown

DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def show_source(*objects: Callable[..., Any], docstring: bool = True) -> Markdown:
    """Display the source of functions or classes: the very code that runs, never a copy.

    Args:
        objects: Functions, methods or classes, shown one below the other.
        docstring: False leaves the docstrings out, where the page has said the same already.

    Returns:
        A code block in the colours of the reader's theme; as a cell's last value it is shown.

    Raises:
        ValueError: if nothing is given, or an object has no Python source.

    Example:
        >>> print(show_source(show_source).data.splitlines()[1])
        def show_source(*objects: Callable[..., Any], docstring: bool = True) -> Markdown:
    """
    if not objects:
        raise ValueError("show_source needs at least one function or class, got none")
    try:
        sources = [textwrap.dedent(inspect.getsource(item)).rstrip() for item in objects]
    except (OSError, TypeError) as error:
        raise ValueError(f"no Python source to show: {error}") from error
    if not docstring:
        sources = [_without_docstrings(source) for source in sources]
    code = "\n\n\n".join(sources)
    return Markdown(f"```python\n{code}\n```")


def _without_docstrings(source: str) -> str:
    lines: list[str | None] = list(source.splitlines())
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, DOCUMENTED) or ast.get_docstring(node) is None:
            continue
        text = node.body[0]
        if text.lineno > node.lineno:  # a definition in one line stays whole
            end = text.end_lineno or text.lineno
            alone = "pass" if len(node.body) == 1 else None
            lines[text.lineno - 1] = alone and " " * text.col_offset + alone
            lines[text.lineno : end] = [None] * (end - text.lineno)
    return "\n".join(line for line in lines if line is not None)

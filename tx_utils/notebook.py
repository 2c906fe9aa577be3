"""What a notebook needs beyond Python itself: the package's source, displayed as it stands."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from IPython.display import Markdown


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
    dropped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            text = node.body[0]
            dropped.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return "\n".join(line for number, line in lines if number not in dropped)

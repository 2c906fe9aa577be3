"""`show_source`: the source as it stands, and without docstrings still the same program."""

import ast
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.display import Markdown

import tx_utils
from tx_utils.notebook import show_source


def double(x: int) -> int:
    """Two times x."""
    return 2 * x


# A comment above belongs to nobody.
@functools.cache
def outer(x: int) -> Callable[[int], str]:
    """Make a function.

    This text has 'quotes', a # sign and a last line.
    """

    # why it is so
    def inner(y: int) -> str:
        "A docstring in single quotes."
        return """not a docstring"""  # nor is this a reason to drop the line

    return inner


class Thing:
    """A thing with a method."""

    size = 3

    def method(self) -> int:
        r"""Say \n how large."""
        text = "kept"
        return self.size + len(text)


def bare(x: int) -> int:
    return x


class EmptyError(Exception):
    """A class that is nothing but its docstring."""


# fmt: off
def short() -> int: "One line holds it all."; return 1  # noqa: E702
# fmt: on


async def later() -> int:
    """It will come."""
    return 1


def code(shown: Markdown) -> str:
    text: str = shown.data
    assert text.startswith("```python\n")
    assert text.endswith("\n```")
    return text.removeprefix("```python\n").removesuffix("\n```")


def without_docstrings(source: str) -> str:
    """The oracle: the syntax tree with every docstring taken out, `pass` where nothing is left."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def assert_only_docstrings_are_gone(source: str, shown: str) -> None:
    assert ast.dump(ast.parse(shown)) == without_docstrings(source)
    lines = iter(source.splitlines())
    # Nothing reordered, and nothing added but the `pass` that an empty body needs.
    assert all(line in lines or line.strip() == "pass" for line in shown.splitlines())


PUBLIC = [getattr(tx_utils, name) for name in tx_utils.__all__]


# Oracle


def test_source_is_shown_as_the_file_has_it() -> None:
    assert code(show_source(double)) == (
        'def double(x: int) -> int:\n    """Two times x."""\n    return 2 * x'
    )
    assert code(show_source(Thing.method)).splitlines()[:2] == [
        "def method(self) -> int:",
        '    r"""Say \\n how large."""',
    ]
    assert code(show_source(outer)).startswith("@functools.cache\ndef outer")


@pytest.mark.parametrize("item", PUBLIC, ids=lambda item: item.__name__)
def test_every_public_name_shows_the_lines_of_its_file(item: Any) -> None:
    shown = code(show_source(item))
    file = inspect.getsourcefile(inspect.unwrap(item))
    assert file is not None
    assert f"\n{shown}\n" in Path(file).read_text("utf-8")
    (node,) = ast.parse(shown).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    assert node.name == item.__name__


def test_docstrings_go_and_the_rest_stays() -> None:
    lines = code(show_source(outer, docstring=False)).splitlines()
    assert [line for line in lines if line] == [
        "@functools.cache",
        "def outer(x: int) -> Callable[[int], str]:",
        "    # why it is so",
        "    def inner(y: int) -> str:",
        '        return """not a docstring"""  # nor is this a reason to drop the line',
        "    return inner",
    ]


# Property


@pytest.mark.parametrize("item", [double, outer, Thing, Thing.method, bare])
def test_without_docstrings_the_program_is_the_same(item: Callable[..., Any]) -> None:
    source = code(show_source(item))
    assert_only_docstrings_are_gone(source, code(show_source(item, docstring=False)))


@pytest.mark.parametrize("item", PUBLIC, ids=lambda item: item.__name__)
def test_without_docstrings_every_public_name_is_the_same_program(
    item: Any,
) -> None:
    source = code(show_source(item))
    assert_only_docstrings_are_gone(source, code(show_source(item, docstring=False)))


@pytest.mark.parametrize("item", [EmptyError, later])
def test_without_docstrings_rare_forms_are_the_same_program(item: Callable[..., Any]) -> None:
    shown = code(show_source(item, docstring=False))
    assert ast.dump(ast.parse(shown)) == without_docstrings(code(show_source(item)))


def test_a_definition_in_one_line_is_shown_whole() -> None:
    assert code(show_source(short, docstring=False)) == code(show_source(short))


@pytest.mark.parametrize("docstring", [True, False])
def test_several_objects_stand_below_one_another_in_one_block(docstring: bool) -> None:
    parts = [code(show_source(item, docstring=docstring)) for item in (Thing, bare, double)]
    assert code(show_source(Thing, bare, double, docstring=docstring)) == "\n\n\n".join(parts)


def test_it_is_shown_in_colours_as_a_cells_last_value() -> None:
    assert show_source(bare)._repr_markdown_() == (
        "```python\ndef bare(x: int) -> int:\n    return x\n```"
    )


# Border


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^show_source needs at least one function or class, got"):
        show_source()


@pytest.mark.parametrize("item", [len, 3, SimpleNamespace(), eval("lambda: 1")])
def test_what_has_no_python_source_is_refused(item: Any) -> None:
    with pytest.raises(ValueError, match=r"^no Python source to show: .") as caught:
        show_source(bare, item)
    assert isinstance(caught.value.__cause__, OSError | TypeError)

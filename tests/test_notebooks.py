"""The stored notebooks keep every rule; that their outputs are right is nbval's to say."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from notebook_rules import (
    RULES,
    navigation_leads_through_the_series,
    read,
    setup_cells_are_identical,
)

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS, "no notebook found: the tests below would check nothing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(rule: Callable[[NotebookNode], Iterator[str]], path: Path) -> None:
    assert list(rule(read(path))) == []


def test_setup_cell_is_the_same_everywhere() -> None:
    assert list(setup_cells_are_identical([read(path) for path in NOTEBOOKS])) == []


def test_navigation_leads_through_the_series() -> None:
    assert list(navigation_leads_through_the_series([read(path) for path in NOTEBOOKS])) == []

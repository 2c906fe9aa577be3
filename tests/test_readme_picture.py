"""The README shows what the lesson's code gives, and nothing that it links to is missing."""

import re
from pathlib import Path

import pytest

from readme_picture import PICTURES, ROOT, stored_figure

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_the_picture_is_the_one_that_the_lesson_stores(picture: Path) -> None:
    assert picture.read_bytes() == stored_figure(*PICTURES[picture]), "run `make notebooks`"
    assert picture.relative_to(ROOT).as_posix() in README


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_map_leads_to_every_notebook() -> None:
    linked = re.findall(r"^\| \[.*?\]\((notebooks/.*?)\)", README, re.MULTILINE)
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert linked == [path.relative_to(ROOT).as_posix() for path in notebooks]


def test_every_module_that_the_map_names_exists() -> None:
    rows = re.findall(r"^\| .*?\(planned\).*|^\| \[.*", README, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(rows) == 11
    for name in names:
        module = ROOT / "tx_utils" / name
        assert module.with_suffix(".py").exists() or module.is_dir(), name


def test_a_cell_without_a_figure_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"01_self_attention\.ipynb has no .* in a cell 'title'"):
        stored_figure(ROOT / "notebooks" / "01_self_attention.ipynb", "title")

"""The diagrams: the files are what the code draws, and each is a self-contained, readable SVG."""

import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

import draw_images
from draw_images import IMAGES, main, render_all, stale

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = render_all()


# Oracle


def test_the_files_are_what_the_code_draws() -> None:
    files = {path.name: path.read_bytes() for path in IMAGES.glob("*.svg")}
    assert files == {name: picture.encode() for name, picture in PICTURES.items()}, (
        "run `make images`"
    )


def test_drawing_again_draws_the_same() -> None:
    assert render_all() == PICTURES


# Property


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_an_svg_that_says_what_it_shows(name: str) -> None:
    root = ElementTree.fromstring(PICTURES[name])
    assert (root.tag, root.get("role")) == (f"{SVG}svg", "img")
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    title, description = (root[n].text or "" for n in (0, 1))
    assert title.strip()
    assert len(description) > len(title)
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_needs_nothing_from_outside_and_runs_nothing(name: str) -> None:
    forbidden = {
        "script",
        "foreignObject",
        "image",
        "use",
        "a",
        "style",
        "iframe",
        "animate",
        "set",
    }
    for element in ElementTree.fromstring(PICTURES[name]).iter():
        assert element.tag.removeprefix(SVG) not in forbidden
        for attribute, value in element.attrib.items():
            assert not attribute.startswith("on")
            assert "href" not in attribute
            assert not re.search(r"://|javascript:|url\((?!#)", value)
    assert "<!" not in PICTURES[name]  # no entity, no comment
    assert "<?" not in PICTURES[name]


def test_every_lesson_has_a_picture_of_its_own_with_its_own_words() -> None:
    lessons = [name for name in PICTURES if re.fullmatch(r"transformer_\d\d\.svg", name)]
    assert [name[12:14] for name in lessons] == [f"{n:02}" for n in range(len(lessons))]
    descriptions = [
        ElementTree.fromstring(PICTURES[name]).findtext(f"{SVG}desc") for name in PICTURES
    ]
    assert len(set(PICTURES.values())) == len(PICTURES)
    assert len(set(descriptions)) >= len(PICTURES) - 1


# Border: the command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of our own in the place of the repository's."""
    folder = tmp_path / "images"
    monkeypatch.setattr(draw_images, "IMAGES", folder)
    monkeypatch.setattr(draw_images, "stale", partial(stale, folder=folder))
    return folder


def test_pictures_are_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == PICTURES
    assert main([]) == 0
    count = len(PICTURES)
    assert capsys.readouterr().out.splitlines() == [
        f"{count} pictures in images/, {count} of them new or changed",
        f"{count} pictures in images/, 0 of them new or changed",
    ]


def test_check_names_what_is_stale_or_missing_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([])
    assert main(["--check"]) == 0
    old, lost, *_ = PICTURES
    (folder / old).write_text("<svg/>", "utf-8")
    (folder / lost).unlink()
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"images/{name} is out of date: run `make images`" for name in (old, lost)
    ]
    assert (folder / old).read_text("utf-8") == "<svg/>"
    assert not (folder / lost).exists()
    assert stale(PICTURES, folder) == [old, lost]


def test_another_line_ending_is_another_file(folder: Path) -> None:
    main([])
    name = next(iter(PICTURES))
    (folder / name).write_bytes(PICTURES[name].replace("\n", "\r\n").encode())
    assert stale(PICTURES, folder) == [name]

from collections.abc import Sequence
from pathlib import Path

import pytest
from nbformat import NotebookNode

import run_notebooks
from notebook_building import code, display, error, markdown, notebook, save, stream
from run_notebooks import final_state, main, normalise, read

BAR = "for done in (10, 50, 100):\n    print(f'\\r{done}% done', end='')\nprint('   ')"


def test_outputs_are_stored_and_a_second_run_changes_no_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [
        markdown("# Title"),
        code("import os, pathlib\nprint(os.environ['OMP_NUM_THREADS'], pathlib.Path.cwd().name)"),
        code(BAR, tags=["nbval-ignore-output"]),
        code("int('x')", tags=["raises-exception"]),
        code("print('a')\ndisplay({'text/plain': 'b'}, raw=True)\nprint('c')\n6 * 7"),
    ]
    content = notebook(cells)
    content.metadata.update(title="Kept", language_info={"name": "python", "version": "2.7"})
    content.metadata["kernelspec"]["name"] = "a-kernel-that-is-not-there"
    content.cells[4]["execution_count"] = 99
    path = save(content, tmp_path / "01_good.ipynb")
    assert main([str(path)]) == 0
    first = path.read_bytes()
    assert main([str(path)]) == 0
    assert path.read_bytes() == first
    assert first.endswith(b"\n}\n")
    assert first.startswith(b'{\n "cells"')
    assert list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().out.startswith("01_good.ipynb: 5 cells, ")
    stored = read(path)
    assert [cell["id"] for cell in stored.cells] == [f"cell-{n}" for n in range(1, 6)]
    assert [cell.get("execution_count") for cell in stored.cells] == [None, 1, 2, 3, 4]
    assert stored.cells[1].outputs[0].text == f"1 {tmp_path.name}\n"
    assert [output.text for output in stored.cells[2].outputs] == ["100% done\n"]
    error = "ValueError: invalid literal for int() with base 10: 'x'"
    assert stored.cells[3].outputs[0].traceback == [error]
    assert [output.output_type for output in stored.cells[4].outputs] == [
        "stream",
        "display_data",
        "execute_result",
    ]
    assert stored.metadata == {
        "title": "Kept",
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not any(cell.metadata.keys() - {"tags"} for cell in stored.cells)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys\nprint('careful', file=sys.stderr)", "wrote to stderr:\ncareful"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_unclean_notebook_fails_and_keeps_its_file(
    source: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(notebook([markdown("# T"), code("x = 1"), code(source)]), tmp_path / "bad.ipynb")
    before = path.read_bytes()
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert "bad.ipynb: code cell 2 (id cell-3)" in printed.err
    assert message in printed.err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "shown",
    [
        stream("saved to /home/ann/model.pt"),
        error("OSError", "no /tmp/x"),
        display({"text/html": r"C:\Users\ann"}),
    ],
)
def test_paths_of_this_machine_are_refused(shown: NotebookNode) -> None:
    with pytest.raises(run_notebooks.NotebookError, match="here shows a path"):
        run_notebooks.refuse_unclean(code("", outputs=[shown]), "here")


def test_other_paths_are_not_refused() -> None:
    text = "https://example.org/home/ and ../work/a and homework/tmp/b"
    cell = code("", outputs=[stream(text), display({"image/png": "ab+/tmp/"})])
    run_notebooks.refuse_unclean(cell, "here")
    assert len(cell.outputs) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\r 10%\r 90% \r100%  \nend\n", "100%\nend\n"),
        ("  indented\n\nkept\n", "  indented\n\nkept\n"),
        ("100%\r\n", "100%\n"),
        ("50%\r      \r", ""),
        ("50%\r     \rloss 0.1\n", "loss 0.1\n"),
    ],
)
def test_redrawn_lines_keep_their_final_state(text: str, expected: str) -> None:
    assert final_state(text) == expected


def test_ids_are_added_only_where_missing_or_doubled() -> None:
    content = notebook([markdown("a"), markdown("b"), markdown("c"), markdown("d")])
    del content.cells[1]["id"]
    content.cells[2]["id"] = "cell-1"
    normalise(content)
    ids = [cell["id"] for cell in content.cells]
    assert (ids[0], ids[3], len(set(ids))) == ("cell-1", "cell-4", 4)
    normalise(content)
    assert [cell["id"] for cell in content.cells] == ids


def test_all_notebooks_are_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[str] = []

    def run(path: Path) -> str:
        ran.append(path.name)
        return "done"

    monkeypatch.setattr(run_notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(run_notebooks, "run", run)
    nothing: Sequence[str] = []
    assert main(nothing) == 1
    for name in ("01_b.ipynb", "00_a.ipynb", "notes.txt"):
        (tmp_path / name).touch()
    assert main(nothing) == 0
    assert ran == ["00_a.ipynb", "01_b.ipynb"]


def test_older_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.ipynb"
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}')
    assert main([str(path)]) == 1
    assert "nbformat is 3, expected 4" in capsys.readouterr().err

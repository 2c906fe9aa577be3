"""The command behind `make evidence`: which experiments, which seeds, into which folder."""

import sys
from pathlib import Path

import pytest
import torch

import run_evidence
from tx_utils.experiments import Experiment, Result, evidence, load_evidence

Call = tuple[str, str, int]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Call]:
    """Two experiments that cost nothing, and the list of what they were asked for."""
    asked: list[Call] = []

    def fake(name: str) -> Experiment:
        def run(variant: str, seed: int) -> Result:
            asked.append((name, variant, seed))
            return Result(1.0, 0.5)

        return Experiment(name, {}, {}, ("with", "without"), run)

    monkeypatch.setattr(run_evidence, "EXPERIMENTS", {name: fake(name) for name in ("one", "two")})
    monkeypatch.setattr(torch, "set_num_threads", lambda n: asked.append(("threads", "", n)))
    return asked


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["run_evidence.py", *map(str, arguments)])
    run_evidence.main()


def test_the_named_experiment_is_run_on_the_named_seeds_into_the_named_folder(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call(monkeypatch, "two", "--first-seed", 5, "--seeds", 2, "--folder", tmp_path)
    assert calls[0] == ("threads", "", 1)  # before the first run: lessons use one thread
    assert calls[1:] == [("two", variant, s) for variant in ("with", "without") for s in (5, 6)]
    assert [path.name for path in tmp_path.iterdir()] == ["two.json"]
    assert list(load_evidence("two", tmp_path).runs["with"]) == [5, 6]


def test_all_experiments_are_run_on_seeds_0_to_9_if_nothing_is_said(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call(monkeypatch, "--folder", tmp_path)
    expected = [(n, v, s) for n in ("one", "two") for v in ("with", "without") for s in range(10)]
    assert calls[1:] == expected


def test_a_second_call_runs_only_what_is_missing(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call(monkeypatch, "one", "--seeds", 2, "--folder", tmp_path)
    calls.clear()
    call(monkeypatch, "one", "--seeds", 3, "--folder", tmp_path)
    assert calls[1:] == [("one", "with", 2), ("one", "without", 2)]


def test_unknown_names_are_refused_with_the_known_ones(
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        call(monkeypatch, "two", "zwei", "drei", "--folder", tmp_path)
    assert "error: unknown: drei, zwei; known: one, two\n" in capsys.readouterr().err
    assert calls == []
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_the_one_that_lessons_read(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []

    def collect(_: Experiment, seeds: range, folder: Path) -> list[Call]:
        folders.append(folder)
        return []

    monkeypatch.setattr(run_evidence, "collect", collect)
    call(monkeypatch, "one")
    assert folders == [evidence.FOLDER]
    assert calls == [("threads", "", 1)]

"""Checkpoints: a run goes on from a file as if nothing had happened."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_runs import KINDS, Alarm, ToyRun, plain, toy_run

from tx_utils import EarlyStopping, History, load_checkpoint, save_checkpoint, seed_everything
from tx_utils.training.environment import random_state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.pt"


def resumed(path: Path, kind: str, patience: int = 7) -> ToyRun:
    """Load the file into objects that were built anew, with other weights and another order."""
    run = toy_run(kind, seed=1, patience=patience)
    assert load_checkpoint(path, *run.parts()) is run.history
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumed_from_a_file_equals_an_uninterrupted_one(path: Path, kind: str) -> None:
    whole = toy_run(kind)
    whole.train(4)
    for epochs in (1, 2, 3):
        toy_run(kind).train(epochs, checkpoint=path)
        seed_everything(99)
        run = resumed(path, kind)
        run.train(4)
        assert run.state() == whole.state(), f"resumed after epoch {epochs}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["loader", "forward", "backward"])
def test_a_run_saved_after_an_interruption_goes_on_too(path: Path, kind: str, place: str) -> None:
    whole = toy_run(kind)
    whole.train(2)
    for call in (1, 2, len(whole.loader) + 1, len(whole.loader) + 2):
        broken_off = toy_run(kind, Alarm(place, call))
        with pytest.raises(KeyboardInterrupt):
            broken_off.train(2)
        save_checkpoint(path, *broken_off.parts())
        run = resumed(path, kind)
        run.train(2)
        assert run.state() == whole.state(), f"interrupted in {place} number {call}"


def test_early_stopping_goes_on_counting_and_keeps_its_best_weights(path: Path) -> None:
    whole = toy_run("fresh", patience=3)
    whole.train(50)
    end = whole.history.epochs
    assert 4 <= end < 50
    for epochs in range(1, end + 1):
        toy_run("fresh", patience=3).train(epochs, checkpoint=path)
        run = resumed(path, "fresh", patience=3)
        run.train(50)
        assert run.state() == whole.state(), f"resumed after epoch {epochs}"


def test_the_file_is_rewritten_after_each_epoch_with_the_last_weights(path: Path) -> None:
    run = toy_run("own", Alarm("loader", 8))
    with pytest.raises(KeyboardInterrupt):
        run.train(5, checkpoint=str(path))
    assert (run.history.epochs, resumed(path, "own").history.epochs) == (2, 2)
    run.train(5, checkpoint=path)
    loaded, best = resumed(path, "own"), run.early_stopping.best_weights
    assert loaded.history.step_loss == run.history.step_loss
    assert best is not None
    assert not torch.equal(next(loaded.model.parameters()), best["0.weight"])
    run.model.load_state_dict(loaded.model.state_dict())  # `train` went back to the best epoch
    assert loaded.state() == run.state()


def test_every_random_generator_comes_back(path: Path) -> None:
    def draw() -> tuple[Any, ...]:
        return random.random(), random.gauss(0, 1), np.random.randn(), torch.rand(3).tolist()

    seed_everything(7)
    draw()
    save_checkpoint(path, nn.Linear(2, 3))
    expected = [draw(), draw()]
    seed_everything(8)
    load_checkpoint(path, nn.Linear(2, 3))
    assert [draw(), draw()] == expected


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(0, 99))
def test_what_is_saved_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, epochs: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("saved") / "run.pt"
    run = toy_run("own", seed=seed)
    run.train(epochs)
    before = run.state(), plain(random_state())
    save_checkpoint(path, *run.parts())
    assert (run.state(), plain(random_state())) == before
    loaded = resumed(path, "own")
    assert (loaded.state(), plain(random_state())) == before
    assert plain(loaded.history.state_dict()) == plain(run.history.state_dict())


def test_loaded_objects_and_saved_ones_share_nothing(path: Path) -> None:
    run = toy_run("own")
    run.train(1)
    save_checkpoint(path, *run.parts())
    first, second = resumed(path, "own"), resumed(path, "own")
    before = first.state()
    second.train(3)
    assert first.state() == before


def test_the_model_alone_makes_a_checkpoint_with_an_empty_history(path: Path) -> None:
    model, loaded = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model(torch.randn(5, 3))
    save_checkpoint(path, model)
    history = History(step_loss=[1.0])
    assert load_checkpoint(path, loaded, history=history) is history
    assert history == History()
    assert load_checkpoint(path, loaded) == History()
    assert plain(loaded.state_dict()) == plain(model.state_dict())


def test_a_file_from_another_device_loads_where_that_device_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, loaded = nn.Linear(2, 3), nn.Linear(2, 3)
    # The name that torch writes beside the weights of a model on the hundredth GPU.
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:99")
    save_checkpoint(path, model)
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.load(path)
    load_checkpoint(path, loaded)
    assert plain(loaded.state_dict()) == plain(model.state_dict())


def test_parts_of_the_file_may_be_left_out(path: Path) -> None:
    run = toy_run("own")
    run.train(1)
    save_checkpoint(path, *run.parts())
    other = toy_run("global", seed=1)
    history = load_checkpoint(path, other.model, early_stopping=other.early_stopping)
    assert history.step_loss == run.history.step_loss
    assert plain(other.model.state_dict()) == plain(run.model.state_dict())
    assert other.early_stopping.best_loss == run.early_stopping.best_loss
    assert other.optimizer.state_dict()["state"] == {}


def test_the_name_of_the_models_class_may_change(path: Path) -> None:
    class Renamed(nn.Linear):
        """Its weights are those of its base."""

    model, loaded = nn.Linear(2, 3), Renamed(2, 3)
    save_checkpoint(path, model)
    load_checkpoint(path, loaded)
    assert plain(loaded.state_dict()) == plain(model.state_dict())


def test_the_settings_of_early_stopping_are_the_callers(path: Path) -> None:
    save_checkpoint(path, nn.Linear(1, 1), early_stopping=EarlyStopping(2, min_delta=0.5))
    stopping = EarlyStopping(3, min_delta=0.25)
    load_checkpoint(path, nn.Linear(1, 1), early_stopping=stopping)
    assert (stopping.patience, stopping.min_delta) == (3, 0.25)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["writing", "flushing", "renaming"])
def test_a_crash_while_saving_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    run = toy_run()
    save_checkpoint(path, *run.parts())
    old = path.read_bytes()
    run.train(1)

    def half_written(content: object, file: Any) -> None:
        Path(file).write_bytes(b"half") if isinstance(file, str | Path) else file.write(b"half")
        raise error

    def crash(*_: object) -> None:
        raise error

    if moment == "writing":
        monkeypatch.setattr(torch, "save", half_written)
    elif moment == "flushing":
        monkeypatch.setattr(os, "fsync", crash)
    else:
        for module, name in ((Path, "replace"), (Path, "rename"), (os, "replace"), (os, "rename")):
            monkeypatch.setattr(module, name, crash)
    with pytest.raises(type(error)):
        save_checkpoint(path, *run.parts())
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == old


def test_the_whole_file_is_written_before_it_takes_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: sizes.append(os.fstat(descriptor).st_size))
    save_checkpoint(path, nn.Linear(1, 1))
    assert sizes == [path.stat().st_size]


def test_a_saved_file_lies_alone_in_its_folder(path: Path) -> None:
    for _ in range(2):
        save_checkpoint(path, nn.Linear(1, 1))
        assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_checkpoint(tmp_path / "nowhere" / "run.pt", nn.Linear(1, 1))

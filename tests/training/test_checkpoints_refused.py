"""A file that does not fit is refused in plain words, and nothing is touched."""

import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR
from toy_runs import FEATURES, ToyRun, plain, toy_run

from tx_utils import load_checkpoint, save_checkpoint
from tx_utils.training.environment import random_state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run's checkpoint after one epoch."""
    path = tmp_path / "run.pt"
    toy_run("own").train(1, checkpoint=path)
    return path


def assert_refused(path: Path, run: ToyRun, *words: str) -> ValueError:
    """Loading explains itself in those words, and leaves every part of the run as it was."""
    before = run.state(), plain(random_state()), run.model.training
    with pytest.raises(ValueError, match=path.name) as caught:
        load_checkpoint(path, *run.parts())
    for word in words:
        assert word in str(caught.value)
    assert (run.state(), plain(random_state()), run.model.training) == before
    return caught.value


def trained() -> ToyRun:
    run = toy_run("own", seed=1)
    run.train(2)
    return run


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_off_anywhere_is_damaged(path: Path, part: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    error = assert_refused(path, trained(), f"{path} is damaged or no checkpoint")
    assert error.__cause__ is not None  # what torch has to say about it


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "no checkpoint")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("once upon a time"),
    "zip": write_zip,
    "pickle": lambda path: path.write_bytes(pickle.dumps({"format": "another"})),
    "list": lambda path: torch.save([1, 2, 3], path),
    "tensor": lambda path: torch.save(torch.ones(3), path),
    "state_dict": lambda path: torch.save(toy_run().model.state_dict(), path),
    "module": lambda path: torch.save(nn.Linear(2, 3), path),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_no_checkpoint(path: Path, kind: str) -> None:
    run = trained()
    FOREIGN[kind](path)
    assert_refused(path, run, "checkpoint")


def test_a_file_of_a_later_format_is_refused(path: Path) -> None:
    content = torch.load(path) | {"format": "tx_utils checkpoint 2"}
    torch.save(content, path)
    message = f"{path} is not a checkpoint: expected the format 'tx_utils checkpoint 1'"
    assert_refused(path, trained(), message)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    run = trained()
    before = run.state(), plain(random_state())
    with pytest.raises(FileNotFoundError, match=r"missing\.pt"):
        load_checkpoint(tmp_path / "missing.pt", *run.parts())
    assert (run.state(), plain(random_state())) == before


@pytest.mark.parametrize("kind", [IsADirectoryError, PermissionError])
def test_a_file_that_cannot_be_opened_is_not_called_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind(path)

    monkeypatch.setattr(torch, "load", refuse)  # root, in a container, may open everything
    with pytest.raises(kind, match=path.name):
        load_checkpoint(path, *trained().parts())


@pytest.mark.parametrize(
    "save", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))]
)
@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
def test_code_hidden_in_a_file_does_not_run(
    path: Path, save: Callable[[object, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # asks for it, and is not heard
    victim = path.with_name("victim")

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (victim,)

    content = {"format": "tx_utils checkpoint 1", "states": Trap()}
    save(content, path)
    assert_refused(path, trained(), "checkpoint")
    assert not victim.exists()
    with suppress(RuntimeError):
        torch.load(path, weights_only=False)  # the trap was live
    assert victim.exists()


def test_another_models_weights_are_named_with_both_shapes(path: Path) -> None:
    run = trained()
    run.model = nn.Sequential(nn.Linear(FEATURES, 11), nn.Dropout(0.3), nn.Linear(11, 5))
    assert_refused(path, run, "0.weight", "(7, 3)", "(11, 3)", "2.weight", "(5, 7)", "(5, 11)")
    run.model = nn.Sequential(nn.Linear(FEATURES, 7), nn.Dropout(0.3))
    shapes = "2.bias: file (5,), model None; 2.weight: file (5, 7), model None"
    assert_refused(path, run, f"{path} belongs to another model: {shapes}")
    run.model = nn.Sequential(*toy_run().model, nn.Linear(5, 2))
    assert_refused(path, run, "3.weight", "None", "(2, 5)")


@dataclass(frozen=True)
class Config:
    width: int = 3
    causal: bool = True
    activation: str = "relu"


class Configured(nn.Sequential):
    def __init__(self, config: Config) -> None:
        super().__init__(nn.Linear(config.width, 5))
        self.config = config


def test_another_config_is_named_field_by_field(path: Path) -> None:
    run = toy_run()
    run.model = Configured(Config())
    save_checkpoint(path, *run.parts())
    load_checkpoint(path, *run.parts())
    # The weights have the same shapes, so only the config can tell the two apart.
    run.model = Configured(Config(causal=False))
    assert_refused(path, run, "config", "causal is True, not False")
    run.model = Configured(Config(width=2, causal=False))
    assert_refused(path, run, "config: width is 3, not 2, causal is True, not False")
    run.model = Configured(Config(activation="gelu"))
    assert_refused(path, run, "config: activation is 'relu', not 'gelu'")
    run.model = nn.Sequential(nn.Linear(3, 5))
    assert_refused(path, run, "config", "width is 3, not None")
    save_checkpoint(path, *run.parts())
    run.model = Configured(Config())
    assert_refused(path, run, "config", "width is None, not 3")


def test_a_config_that_is_no_dataclass_instance_is_not_compared(path: Path) -> None:
    model = nn.Linear(2, 3)
    for config in (Config, "a string", None):
        model.config = config  # type: ignore[assignment]
        save_checkpoint(path, model)
        assert load_checkpoint(path, nn.Linear(2, 3)).steps == 0


def test_another_kind_of_optimizer_or_schedule_is_named(path: Path) -> None:
    run = trained()
    run.optimizer = SGD(run.model.parameters(), lr=0.1, momentum=0.9)
    assert_refused(path, run, "holds a Adam as optimizer, not a SGD")
    run = trained()
    run.schedule = StepLR(run.optimizer, 3)
    assert_refused(path, run, "holds a LambdaLR as schedule, not a StepLR")


def test_an_optimizer_over_other_parameters_is_named(path: Path) -> None:
    run = trained()
    run.optimizer = Adam(list(run.model.parameters())[:3])
    found = f"{path} belongs to an optimizer over [4] parameters a group"
    assert_refused(path, run, f"{found}, not [3]")
    run.optimizer = Adam([{"params": [weight]} for weight in run.model.parameters()])
    assert_refused(path, run, f"{found}, not [1, 1, 1, 1]")


@pytest.mark.parametrize("missing", ["optimizer", "schedule", "early_stopping"])
def test_a_part_that_is_not_in_the_file_is_named(path: Path, missing: str) -> None:
    run = trained()
    names = ("optimizer", "schedule", "history", "early_stopping")
    parts = dict(zip(names, run.parts()[1:], strict=True))
    save_checkpoint(path, run.model, **{**parts, missing: None})
    assert_refused(path, run, f"{path} holds no {missing}, but one was given to load into")


def test_moments_of_other_parameters_are_refused(tmp_path: Path) -> None:
    """The same number of parameters in another order would load, and fail in the next step."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "run.pt", model, optimizer)
    turned = torch.optim.Adam([model.bias, model.weight])
    with pytest.raises(ValueError, match=r"exp_avg of number 0 is \(2, 3\), not \(2,\)$"):
        load_checkpoint(tmp_path / "run.pt", model, turned)
    assert turned.state_dict()["state"] == {}

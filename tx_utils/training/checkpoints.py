"""Checkpoints: a run on disk, from which it goes on as if nothing had happened."""

import os
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from tx_utils.training.early_stopping import EarlyStopping
from tx_utils.training.environment import random_state, set_random_state
from tx_utils.training.history import History

_FORMAT = "tx_utils checkpoint 1"


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    schedule: LRScheduler | None = None,
    history: History | None = None,
    early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
) -> None:
    """Write a run to a file, whole or not at all.

    The file also keeps the random state and, if the model has one, its `config`. It is written
    beside `path` first and then renamed, so that a crash leaves the last checkpoint in place.

    Args:
        path: The file; one that is there is replaced.
        model: Its weights and buffers are kept.
        optimizer: Its moments and learning rates are kept.
        schedule: Its position is kept.
        history: What was measured so far.
        early_stopping: Its progress and best weights are kept.
        averaged: Its weights and the number of steps they average are kept.

    Raises:
        OSError: if the file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_checkpoint(Path(folder) / "run.pt", nn.Linear(1, 1), history=History())
        ...     [file.name for file in Path(folder).iterdir()]
        ['run.pt']
    """
    parts = _parts(model, optimizer, schedule, history, early_stopping, averaged)
    content = {
        "format": _FORMAT,
        "config": _config(model),
        "kinds": {name: type(part).__name__ for name, part in parts.items()},
        "states": {name: part.state_dict() for name, part in parts.items()},
        "random_state": random_state(),
    }
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    schedule: LRScheduler | None = None,
    history: History | None = None,
    early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
) -> History:
    """Bring the given objects, and the random generators, back to where the run was saved.

    Either everything is loaded, or an error says why not and nothing was touched.

    Args:
        path: A file that `save_checkpoint` wrote. Only plain data is read from it, never code.
        model: Built like the saved one.
        optimizer: Of the same kind, over the same parameters; None to leave it out.
        schedule: Of the same kind; None to leave it out.
        history: Becomes the saved history; a new one is made if None.
        early_stopping: Goes on from the saved progress; None to leave it out.
        averaged: Becomes the saved average; None to leave it out.

    Returns:
        The saved history (an empty one if none was saved), ready for `train(..., history=...)`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, is no checkpoint, or belongs to another model,
            optimizer or schedule.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> saved, fresh = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> with TemporaryDirectory() as folder:
        ...     save_checkpoint(Path(folder) / "run.pt", saved)
        ...     history = load_checkpoint(Path(folder) / "run.pt", fresh)
        >>> bool(saved.weight == fresh.weight), history.epochs
        (True, 0)
    """
    content = _read(Path(path))
    states = content["states"]
    history = History() if history is None else history
    parts = _parts(model, optimizer, schedule, None, early_stopping, averaged)
    _check_config(path, content["config"], _config(model))
    for name, part in parts.items():
        _check_kind(path, name, part, content["kinds"].get(name))
    _check_weights(path, states["model"], model)
    if averaged is not None:
        _check_weights(path, states["averaged"], averaged, "average")
    if optimizer is not None:
        _check_groups(path, states["optimizer"], optimizer)

    for name, part in parts.items():
        part.load_state_dict(states[name])
    history.load_state_dict(states.get("history", History().state_dict()))
    set_random_state(content["random_state"])
    return history


def _parts(model: nn.Module, *others: Any) -> dict[str, Any]:
    names = ("optimizer", "schedule", "history", "early_stopping", "averaged")
    given = {name: part for name, part in zip(names, others, strict=True) if part is not None}
    return {"model": model, **given}


def _config(model: nn.Module) -> dict[str, Any] | None:
    config = getattr(model, "config", None)
    return asdict(config) if is_dataclass(config) and not isinstance(config, type) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):  # Python says it best
        raise
    except Exception as error:  # torch raises half a dozen kinds, depending on what is broken
        raise ValueError(f"{path} is damaged or no checkpoint") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint: expected the format {_FORMAT!r}")
    return content


def _check_config(path: str | Path, saved: Any, expected: Any) -> None:
    if saved != expected:
        both = [(saved or {}), (expected or {})]
        names = [name for name in both[0] | both[1] if both[0].get(name) != both[1].get(name)]
        changes = ", ".join(f"{n} is {both[0].get(n)!r}, not {both[1].get(n)!r}" for n in names)
        raise ValueError(f"{path} belongs to a model of another config: {changes}")


def _check_kind(path: str | Path, name: str, part: Any, saved: str | None) -> None:
    if saved is None:
        raise ValueError(f"{path} holds no {name}, but one was given to load into")
    if name in ("optimizer", "schedule") and saved != type(part).__name__:
        raise ValueError(f"{path} holds a {saved} as {name}, not a {type(part).__name__}")


def _check_weights(
    path: str | Path, saved: dict[str, Any], model: nn.Module, what: str = "model"
) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if wrong:
        detail = "; ".join(f"{n}: file {found.get(n)}, {what} {expected.get(n)}" for n in wrong)
        raise ValueError(f"{path} belongs to another {what}: {detail}")


def _check_groups(path: str | Path, saved: dict[str, Any], optimizer: Optimizer) -> None:
    found = [len(group["params"]) for group in saved["param_groups"]]
    expected = [len(group["params"]) for group in optimizer.param_groups]
    if found != expected:
        raise ValueError(
            f"{path} belongs to an optimizer over {found} parameters a group, not {expected}"
        )
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, state in saved["state"].items():
        for name, value in state.items():
            shape = tuple(parameters[number].shape)
            if isinstance(value, Tensor) and value.dim() > 0 and tuple(value.shape) != shape:
                raise ValueError(
                    f"{path} belongs to an optimizer over other parameters: {name} of number "
                    f"{number} is {tuple(value.shape)}, not {shape}"
                )

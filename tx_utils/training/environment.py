"""The run's surroundings: what is installed, random seeds, random state, and the device."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

MIN_PYTHON, MIN_TORCH = (3, 11), (2, 6)  # as in pyproject.toml
PACKAGE = Path(__file__).resolve().parents[1]


def check_environment(folder: str | Path = ".") -> list[str]:
    """Look for what would make a lesson fail, and say what to do about it.

    Args:
        folder: Where the notebook lies.

    Returns:
        One sentence or two for each problem; an empty list if there is none.

    Example:
        >>> check_environment()
        []
    """
    problems = []
    python, installed = sys.version_info[:2], _version(torch.__version__)
    if python < MIN_PYTHON:
        problems.append(
            f"Python {_dotted(python)} is too old, {_dotted(MIN_PYTHON)} or newer is needed. "
            "Install one, remove the folder .venv and run `make lab PYTHON=python3.12`."
        )
    if installed < MIN_TORCH:
        problems.append(
            f"torch {_dotted(installed)} is too old, {_dotted(MIN_TORCH)} or newer is needed. In "
            "the repository's folder run `python -m pip install -r requirements.txt` with the "
            "Python of this notebook, then restart the kernel."
        )
    here = Path(folder).resolve()
    found = [place / PACKAGE.name for place in (here, *here.parents)]
    nearest = next((place for place in found if (place / "__init__.py").is_file()), PACKAGE)
    if nearest != PACKAGE:
        problems.append(
            f"tx_utils comes from {PACKAGE.parent}, but this notebook belongs to "
            f"{nearest.parent}. Run `make lab` in that folder, or `python -m pip install -e .` "
            "there with the Python of this notebook, then restart the kernel."
        )
    return problems


def _version(text: str) -> tuple[int, ...]:
    """Major and minor number, for instance (2, 13) of "2.13.0+cpu"."""
    return tuple(int(number) for number in text.split(".")[:2])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def seed_everything(seed: int) -> None:
    """Make what follows repeatable: seed Python, NumPy and torch (all devices).

    Same seed, same machine, same numbers. Another CPU or thread count changes the last bits,
    and a long training run lets them grow.

    Args:
        seed: A whole number in [0, 2**32).

    Raises:
        ValueError: if it is not.

    Example:
        >>> seed_everything(0)
        >>> first = torch.rand(())
        >>> seed_everything(0)
        >>> bool(first == torch.rand(()))
        True
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def best_device() -> torch.device:
    """The fastest device there is: CUDA, else Apple's MPS, else the CPU.

    Example:
        >>> best_device().type in {"cuda", "mps", "cpu"}
        True
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def random_state() -> dict[str, Any]:
    """The state of every global random generator, in types that a checkpoint may hold."""
    name, keys, *rest = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Put every global random generator back to where `random_state` saw it."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])

"""Seeds, random state and devices; those that this machine lacks are played by stand-ins."""

import random
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tx_utils
from tx_utils import best_device, check_environment, seed_everything
from tx_utils.training import environment
from tx_utils.training.environment import MIN_PYTHON, MIN_TORCH, random_state, set_random_state

ROOT = Path(tx_utils.__file__).parents[1]


def draw() -> tuple[Any, ...]:
    """One number from every generator; Gaussians, since numpy and Python keep one back."""
    return (
        random.random(),
        random.gauss(0.0, 1.0),
        float(np.random.rand()),
        float(np.random.randn()),
        torch.rand(3).tolist(),
        torch.randn(1).item(),
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_numbers(seed: int) -> None:
    seed_everything(seed)
    first = [draw(), draw()]
    seed_everything(seed)
    assert [draw(), draw()] == first
    seed_everything((seed + 1) % 2**32)
    assert all(one != other for one, other in zip(draw(), first[0], strict=True))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(0, 3))
def test_the_random_state_brings_the_same_numbers_back(seed: int, drawn: int) -> None:
    seed_everything(seed)
    for _ in range(drawn):
        draw()
    state = random_state()
    first = [draw(), draw()]
    set_random_state(state)
    assert [draw(), draw()] == first


class Devices:
    """Stands in for torch's view of the accelerators."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
        self.set: dict[str, Any] = {}
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in present)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in present)
        monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.tensor([1, 2])])
        monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.tensor([3]))
        monkeypatch.setattr(torch.cuda, "set_rng_state_all", self.setter("cuda"))
        monkeypatch.setattr(torch.mps, "set_rng_state", self.setter("mps"))

    def setter(self, name: str) -> Callable[[Any], None]:
        return lambda state: self.set.__setitem__(name, state)


@pytest.mark.parametrize(
    ("present", "best"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
)
def test_the_best_device_is_cuda_then_mps_then_the_cpu(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], best: str
) -> None:
    Devices(monkeypatch, *present)
    assert best_device() == torch.device(best)


@pytest.mark.parametrize("present", [(), ("cuda",), ("mps",), ("cuda", "mps")])
def test_each_device_that_is_there_keeps_its_random_state(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...]
) -> None:
    devices = Devices(monkeypatch, *present)
    state = random_state()
    assert set(state) == {"python", "numpy", "torch", *present}
    set_random_state(state)
    expected = {"cuda": [torch.tensor([1, 2])], "mps": torch.tensor([3])}
    assert repr(devices.set) == repr({name: expected[name] for name in present})


@pytest.mark.parametrize(("there", "here"), [(("cuda", "mps"), ()), ((), ("cuda", "mps"))])
def test_a_state_from_another_machine_sets_what_is_there(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], here: tuple[str, ...]
) -> None:
    Devices(monkeypatch, *there)
    state = random_state()
    first = draw()
    devices = Devices(monkeypatch, *here)
    set_random_state(state)
    assert devices.set == {}
    assert draw() == first


def test_the_state_is_a_copy() -> None:
    state = random_state()
    before: Tensor = state["torch"].clone()
    draw()
    assert torch.equal(state["torch"], before)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", None, True])
def test_a_seed_is_a_whole_number_below_two_to_the_32(seed: Any) -> None:
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=rf"seed must be .*2\*\*32.* got {seed!r}"):
        seed_everything(seed)
    assert torch.equal(torch.get_rng_state(), state)


def python(*version: int) -> SimpleNamespace:
    """What the module looks up in `sys`; the real one is needed by everybody else."""
    return SimpleNamespace(version_info=version)


def test_here_everything_is_in_place() -> None:
    for folder in (".", ROOT, ROOT / "notebooks", str(ROOT / "notebooks")):
        assert check_environment(folder) == []
    assert check_environment() == []


def test_the_oldest_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={MIN_PYTHON[0]}.{MIN_PYTHON[1]}"
    assert f"torch>={MIN_TORCH[0]}.{MIN_TORCH[1]}" in project["dependencies"]


@pytest.mark.parametrize(
    ("version", "shown"), [((3, 10, 14), "3.10"), ((3, 9, 99), "3.9"), ((2, 99, 0), "2.99")]
)
def test_an_old_python_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], shown: str
) -> None:
    monkeypatch.setattr(environment, "sys", python(*version))
    assert check_environment() == [
        f"Python {shown} is too old, 3.11 or newer is needed. "
        "Install one, remove the folder .venv and run `make lab PYTHON=python3.12`."
    ]


@pytest.mark.parametrize(
    ("version", "shown"), [("2.5.1+cpu", "2.5"), ("1.13.1", "1.13"), ("0.4.0a0+git1234", "0.4")]
)
def test_an_old_torch_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, version: str, shown: str
) -> None:
    monkeypatch.setattr(environment, "torch", SimpleNamespace(__version__=version))
    assert check_environment() == [
        f"torch {shown} is too old, 2.6 or newer is needed. In the repository's folder run "
        "`python -m pip install -r requirements.txt` with the Python of this notebook, then "
        "restart the kernel."
    ]


@pytest.mark.parametrize("torch_version", ["2.6.0", "2.10.0+cu128", "3.0.0", "2.13.0.dev20260101"])
@pytest.mark.parametrize("python_version", [(3, 11, 0), (3, 13, 1), (4, 0, 0)])
def test_the_oldest_versions_and_all_newer_ones_will_do(
    monkeypatch: pytest.MonkeyPatch, torch_version: str, python_version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(environment, "sys", python(*python_version))
    monkeypatch.setattr(environment, "torch", SimpleNamespace(__version__=torch_version))
    assert check_environment() == []


def test_a_notebook_of_another_copy_is_told_which_one_it_got(tmp_path: Path) -> None:
    package = tmp_path / "other" / "tx_utils"
    notebooks = tmp_path / "other" / "notebooks" / "deeper"
    for folder in (package, notebooks):
        folder.mkdir(parents=True)
    assert check_environment(notebooks) == []  # a folder of that name is no package yet
    (package / "__init__.py").touch()
    (problem,) = check_environment(notebooks)
    assert problem == (
        f"tx_utils comes from {ROOT}, but this notebook belongs to {tmp_path / 'other'}. Run "
        "`make lab` in that folder, or `python -m pip install -e .` there with the Python of "
        "this notebook, then restart the kernel."
    )
    assert check_environment(tmp_path) == []  # a notebook that belongs to no copy


def test_the_nearest_copy_counts_and_a_link_to_it_is_the_same(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(ROOT)
    assert check_environment(link / "notebooks") == []


def test_all_problems_are_named_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "sys", python(3, 10, 0))
    monkeypatch.setattr(environment, "torch", SimpleNamespace(__version__="2.0.1"))
    (tmp_path / "tx_utils").mkdir()
    (tmp_path / "tx_utils" / "__init__.py").touch()
    problems = check_environment(tmp_path)
    assert [re.split(r" [\d/]| comes", problem)[0] for problem in problems] == [
        "Python",
        "torch",
        "tx_utils",
    ]


def test_the_running_python_is_the_one_that_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MIN_PYTHON", (sys.version_info[0], sys.version_info[1] + 1))
    assert len(check_environment()) == 1

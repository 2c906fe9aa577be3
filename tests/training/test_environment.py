"""Seeds, random state and devices; those that this machine lacks are played by stand-ins."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tx_utils import best_device, seed_everything
from tx_utils.training.environment import random_state, set_random_state


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

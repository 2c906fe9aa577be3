"""Streams of fresh batches: named by seed and epoch, shared without repeats, no side effects."""

import multiprocessing
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from tx_utils.tasks import FreshSamples, fixed_loader, fresh_loader, sampling

SIZE, BATCHES = 3, 5


def draw(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs and targets whose 48 random bits each make a repetition by chance impossible."""
    return (
        torch.randint(2**48, (size, 2), generator=generator),
        torch.randint(2**48, (size,), generator=generator),
    )


def stream(seed: int = 0, epoch: int = 0) -> FreshSamples:
    samples = FreshSamples(draw, batch_size=SIZE, batches=BATCHES, seed=seed)
    samples.set_epoch(epoch)
    return samples


def plain(batches: Any) -> list[Any]:
    return [[tensor.tolist() for tensor in batch] for batch in batches]


def numbers(batches: Any) -> list[int]:
    return [value for batch in batches for tensor in batch for value in tensor.flatten().tolist()]


# Oracle


def test_an_epoch_is_drawn_from_one_generator_named_by_seed_and_epoch() -> None:
    mixed = np.random.SeedSequence(7, spawn_key=(2,)).generate_state(1)[0]
    generator = torch.Generator().manual_seed(int(mixed))
    assert plain(stream(7, 2)) == plain(draw(SIZE, generator) for _ in range(BATCHES))


def test_fixed_set_is_one_draw_cut_into_batches() -> None:
    expected = draw(7, torch.Generator().manual_seed(11))
    batches = list(fixed_loader(draw, size=7, batch_size=SIZE, seed=11))
    assert [len(target) for _, target in batches] == [3, 3, 1]
    for n, tensor in enumerate(expected):
        assert torch.equal(torch.cat([batch[n] for batch in batches]), tensor)


# Property

an_epoch = st.tuples(st.integers(0, 2**31), st.integers(0, 1000))


@settings(deadline=None, max_examples=50)
@given(an_epoch)
def test_same_seed_and_epoch_give_the_same_batches(name: tuple[int, int]) -> None:
    samples = stream(*name)
    first = plain(samples)
    assert plain(samples) == plain(stream(*name)) == first


@settings(deadline=None, max_examples=50)
@given(st.lists(an_epoch, min_size=2, max_size=4, unique=True))
def test_no_number_is_drawn_twice_in_different_epochs_or_seeds(
    names: list[tuple[int, int]],
) -> None:
    drawn = [number for name in names for number in numbers(stream(*name))]
    assert len(set(drawn)) == len(drawn) == len(names) * BATCHES * SIZE * 3


def test_seed_and_epoch_are_not_added_up() -> None:
    names = [(seed, epoch) for seed in range(4) for epoch in range(4)]
    drawn = [number for name in names for number in numbers(stream(*name))]
    assert len(set(drawn)) == len(drawn)


def test_the_stream_begins_with_epoch_0_and_keeps_its_epoch() -> None:
    samples = FreshSamples(draw, batch_size=SIZE, batches=BATCHES, seed=3)
    assert plain(samples) == plain(stream(3, 0))
    samples.set_epoch(4)
    assert plain(samples) == plain(samples) == plain(stream(3, 4))


@settings(deadline=None, max_examples=25)
@given(workers=st.integers(1, 7), batches=st.integers(1, 7))
def test_workers_share_an_epoch_without_repeats(workers: int, batches: int) -> None:
    samples = FreshSamples(draw, batch_size=SIZE, batches=batches, seed=0)
    whole = plain(samples)
    with pytest.MonkeyPatch.context() as patch:
        shares = []
        for number in range(workers):
            info = SimpleNamespace(id=number, num_workers=workers)
            patch.setattr(sampling, "get_worker_info", lambda info=info: info)
            shares.append(plain(samples))
    # A DataLoader asks its workers in turn, so the batches come back in the epoch's order.
    assert [shares[n % workers][n // workers] for n in range(batches)] == whole
    assert sum(map(len, shares)) == batches


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="starting workers takes seconds"
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 dislikes threads here
def test_real_workers_give_the_epoch_in_its_order() -> None:
    loader: DataLoader[Any] = DataLoader(
        stream(5, 1), batch_size=None, num_workers=2, multiprocessing_context="fork"
    )
    assert plain(loader) == plain(stream(5, 1))


def test_loaders_count_and_shape_their_batches() -> None:
    fresh = fresh_loader(draw, batch_size=SIZE, batches=BATCHES, seed=2)
    assert len(fresh) == len(stream()) == BATCHES
    assert plain(fresh) == plain(stream(2))
    assert {(inputs.shape, target.shape) for inputs, target in fresh} == {((SIZE, 2), (SIZE,))}
    assert isinstance(fresh.dataset, FreshSamples)  # which `train` tells the epoch
    fresh.dataset.set_epoch(1)
    assert plain(fresh) == plain(stream(2, 1))


def test_fixed_set_is_the_same_every_time_whatever_the_global_generator_does() -> None:
    torch.manual_seed(0)
    loader = fixed_loader(draw, size=7, batch_size=SIZE, seed=11)
    first = plain(loader)
    torch.manual_seed(1)
    assert plain(loader) == plain(fixed_loader(draw, size=7, batch_size=SIZE, seed=11)) == first
    assert plain(fixed_loader(draw, size=7, batch_size=SIZE, seed=12)) != first


def test_making_batches_touches_no_global_random_state() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    list(stream())
    fresh_loader(draw, batch_size=SIZE, batches=BATCHES, seed=0)
    fixed_loader(draw, size=7, batch_size=SIZE, seed=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == repr(numpy_state)


@pytest.mark.parametrize(
    "load",
    [
        lambda: fresh_loader(draw, batch_size=SIZE, batches=BATCHES, seed=0),
        lambda: fixed_loader(draw, size=7, batch_size=SIZE, seed=0),
    ],
    ids=["fresh", "fixed"],
)
def test_reading_a_loader_touches_no_global_random_state(
    load: Callable[[], DataLoader[Any]],
) -> None:
    loader, state = load(), torch.get_rng_state()
    list(loader)
    assert torch.equal(torch.get_rng_state(), state)


# Border


@pytest.mark.parametrize("value", [0, -1, 2.0, True])
@pytest.mark.parametrize("name", ["batch_size", "batches"])
def test_fresh_samples_refuse_what_is_no_size(name: str, value: Any) -> None:
    sizes = {"batch_size": 1, "batches": 1, name: value}
    message = re.escape(f"{name} must be a positive integer, got {value!r}")
    for make in (FreshSamples, fresh_loader):
        with pytest.raises(ValueError, match=f"^{message}$"):
            make(draw, seed=0, **sizes)


@pytest.mark.parametrize("value", [0, -1, 2.0, True])
@pytest.mark.parametrize("name", ["batch_size", "size"])
def test_fixed_loader_refuses_what_is_no_size(name: str, value: Any) -> None:
    sizes = {"batch_size": 1, "size": 1, name: value}
    message = re.escape(f"{name} must be a positive integer, got {value!r}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        fixed_loader(draw, seed=0, **sizes)

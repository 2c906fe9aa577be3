"""Puzzles: patches put together anew, and the floor that a bag of patches cannot beat."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from sampling_checks import assert_the_generator_alone_decides
from tx_utils import split_patches
from tx_utils.tasks.puzzles import INTACT, SHUFFLED, Puzzles, reorder_patches


def images(count: int = 3, channels: int = 2, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, size, size, generator=generator)


# Oracle


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31))
def test_patches_come_where_a_slow_loop_puts_them(
    channels: int, patch_size: int, side: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = side * patch_size
    pictures = torch.rand(2, channels, size, size, generator=generator)
    order = torch.stack([torch.randperm(side**2, generator=generator) for _ in range(2)])
    expected = torch.zeros_like(pictures)
    for n in range(2):
        for place, source in enumerate(order[n].tolist()):
            (row, column), (from_row, from_column) = divmod(place, side), divmod(source, side)
            for y in range(patch_size):
                for x in range(patch_size):
                    expected[n, :, row * patch_size + y, column * patch_size + x] = pictures[
                        n, :, from_row * patch_size + y, from_column * patch_size + x
                    ]
    assert torch.equal(reorder_patches(pictures, order, patch_size), expected)


# Property


def test_the_bag_of_patches_stays_and_the_order_is_the_one_given() -> None:
    order = torch.stack([torch.randperm(9) for _ in range(3)])
    anew = split_patches(reorder_patches(images(), order, 2), 2)
    assert torch.equal(anew, split_patches(images(), 2).gather(1, order[..., None].expand_as(anew)))


def test_first_half_intact_second_half_the_same_pictures_shuffled() -> None:
    task = Puzzles(images(7, 1, 8))
    pictures, answer = task.sample(10, torch.Generator().manual_seed(0))
    assert pictures.shape == (10, 1, 8, 8)
    assert answer.tolist() == [INTACT] * 5 + [SHUFFLED] * 5
    bags = [
        sorted(map(tuple, patches.tolist())) for patches in split_patches(pictures, task.patch_size)
    ]
    assert bags[:5] == bags[5:]
    assert all(
        any(torch.equal(picture, image) for image in task.images) for picture in pictures[:5]
    )
    assert not any(torch.equal(pictures[n], pictures[n + 5]) for n in range(5))


def test_every_place_gets_every_patch_about_as_often() -> None:
    task = Puzzles(torch.arange(4.0).view(1, 1, 2, 2), patch_size=1)
    pictures, _ = task.sample(8000, torch.Generator().manual_seed(0))
    shares = F.one_hot(pictures[4000:].flatten(1).long()).float().mean(dim=0)
    assert (shares - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 4000)


def test_the_generator_alone_decides() -> None:
    task = Puzzles(images())
    assert_the_generator_alone_decides(lambda size, generator: task.sample(2 * size, generator))


@settings(deadline=None, max_examples=50)
@given(st.floats(-20, 20), st.floats(-20, 20))
def test_no_answer_that_a_pair_shares_beats_the_floor(one: float, other: float) -> None:
    shared = torch.tensor([[one, other]] * 2, dtype=torch.float64)
    loss = F.cross_entropy(shared, torch.tensor([INTACT, SHUFFLED]))
    assert loss >= Puzzles(images()).floor - 1e-12
    even = F.cross_entropy(torch.zeros(2, 2).double(), torch.tensor([INTACT, SHUFFLED]))
    assert even.item() == pytest.approx(Puzzles(images()).floor)


# Border


@pytest.mark.parametrize("size", [-2, 0, 3])
def test_sizes_without_pairs_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"^size must be a positive even number, got {size}$"):
        Puzzles(images()).sample(size, torch.Generator())


@pytest.mark.parametrize("shape", [(3, 8), (2, 9), (9,)])
def test_orders_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"order must have shape (3, 9), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        reorder_patches(images(), torch.zeros(shape, dtype=torch.long), 2)

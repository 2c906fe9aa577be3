import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import parity
from small_models import CHANNELS, CLASSES, D_MODEL, IMAGES, PATCH, SIDE, VIT_CONFIG, VITS
from tx_utils import ViT, ViTConfig, record_attention, split_patches

every_vit = pytest.mark.parametrize("config", VITS.values(), ids=VITS)
sizes = st.integers(1, 3)


def vit(config: ViTConfig = VIT_CONFIG) -> ViT:
    return parity.randomize(ViT(config))


def slow_patches(image: Tensor, size: int) -> list[list[float]]:
    """Patch by patch, row by row; in a patch channel by channel, row by row.  (C, h, w)."""
    channels, height, width = image.shape
    return [
        [
            image[channel, top + row, left + column].item()
            for channel in range(channels)
            for row in range(size)
            for column in range(size)
        ]
        for top in range(0, height, size)
        for left in range(0, width, size)
    ]


# Oracle


@settings(deadline=None, max_examples=40)
@given(batch=sizes, channels=sizes, rows=sizes, columns=sizes, size=sizes)
def test_patches_are_what_loops_cut_out(
    batch: int, channels: int, rows: int, columns: int, size: int
) -> None:
    images = parity.tensor(batch, channels, rows * size, columns * size)
    patches = split_patches(images, size)
    assert patches.shape == (batch, rows * columns, channels * size**2)
    assert patches.tolist() == [slow_patches(image, size) for image in images]


def test_patches_through_a_linear_layer_are_a_convolution_with_a_stride() -> None:
    model = vit()
    kernel = model.patch_proj.weight.view(D_MODEL, CHANNELS, PATCH, PATCH)
    expected = F.conv2d(IMAGES, kernel, model.patch_proj.bias, stride=PATCH)
    parity.assert_close(
        model.patch_proj(split_patches(IMAGES, PATCH)), expected.flatten(2).transpose(1, 2)
    )


@every_vit
def test_vit_and_gradients_equal_torch(config: ViTConfig) -> None:
    model = vit(config)
    twin = parity.torch_stack(model.encoder, config)
    ours: list[Tensor] = [model.class_token, model.positions.weight]
    ours += [*model.patch_proj.parameters(), *model.output_proj.parameters()]
    first, positions, patch, patch_bias, out, out_bias = theirs = parity.leaves(*ours)
    patches = torch.tensor([slow_patches(image, PATCH) for image in IMAGES], dtype=torch.float64)
    tokens = F.linear(patches, patch, patch_bias)
    x = torch.cat([first.expand(2, 1, D_MODEL), tokens], dim=1) + positions
    expected = F.linear(twin(x)[:, 0], out, out_bias)
    parity.assert_same(model(IMAGES), expected, ours, theirs)
    parity.assert_same_gradients(model.encoder, twin)


# Property


@settings(deadline=None, max_examples=25)
@given(batch=sizes, channels=sizes, rows=sizes, columns=sizes, size=sizes)
def test_every_pixel_is_in_one_patch_and_folding_brings_the_image_back(
    batch: int, channels: int, rows: int, columns: int, size: int
) -> None:
    images = parity.tensor(batch, channels, rows * size, columns * size)
    patches = split_patches(images, size)
    again = F.fold(patches.transpose(1, 2), images.shape[2:], size, stride=size)
    assert torch.equal(again, images)


def test_patches_know_their_place_by_their_position_alone() -> None:
    model, order = vit(), [3, 1, 0, 2]
    images = parity.tensor(2, CHANNELS, SIDE, SIDE)
    patches = split_patches(images, PATCH)[:, order]
    moved = F.fold(patches.transpose(1, 2), (SIDE, SIDE), PATCH, stride=PATCH)
    before = model(images)
    assert (model(moved) - before).abs().max() > 1e-3
    with torch.no_grad():
        model.positions.weight[1:] = model.positions.weight[1:][order].clone()
    parity.assert_close(model(moved), before)


def test_every_pixel_counts() -> None:
    model = vit()
    (images,) = parity.leaves(IMAGES)
    model(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().min() > 1e-9


def test_every_token_looks_at_every_other() -> None:
    model = vit()
    with record_attention(model) as maps:
        model(IMAGES)
    length = 1 + VIT_CONFIG.num_patches
    assert {weights.shape[2:] for weights in maps.values()} == {(length, length)}
    assert all((weights > 0).all() for weights in maps.values())


def test_images_do_not_disturb_each_other() -> None:
    model = vit()
    together = model(IMAGES)
    for image, expected in zip(IMAGES, together, strict=True):
        parity.assert_close(model(image[None])[0], expected)


def test_the_class_token_and_the_positions_start_with_the_embeddings_size() -> None:
    torch.manual_seed(0)
    model = ViT(replace(VIT_CONFIG, image_size=100, d_model=201))
    for part in (model.class_token, model.positions.weight):
        assert part.std().item() == pytest.approx(201**-0.5, rel=0.2)
    assert model.positions.weight.std().item() == pytest.approx(201**-0.5, rel=0.02)
    assert not torch.equal(model.class_token, model.positions.weight[0])


# Border


def test_one_patch_one_pixel_and_no_image_are_enough() -> None:
    for size, patch in ((3, 3), (3, 1), (1, 1)):
        config = replace(VIT_CONFIG, image_size=size, patch_size=patch)
        assert vit(config)(parity.tensor(2, CHANNELS, size, size)).shape == (2, CLASSES)
    assert vit()(IMAGES[:0]).shape == (0, CLASSES)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((2, 6, 6), 3, "images must have shape (B, C, height, width), got (2, 6, 6)"),
        ((1, 2, 7, 6), 3, "patch_size (3) must divide height and width, got (7, 6)"),
        ((1, 2, 6, 7), 3, "patch_size (3) must divide height and width, got (6, 7)"),
        ((1, 2, 6, 6), 0, "patch_size must be a positive integer, got 0"),
        ((1, 2, 6, 6), -3, "patch_size must be a positive integer, got -3"),
        ((1, 2, 6, 6), 3.0, "patch_size must be a positive integer, got 3.0"),
    ],
)
def test_images_that_patches_do_not_fill_are_refused(
    shape: tuple[int, ...], size: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        split_patches(torch.zeros(shape), size)


@pytest.mark.parametrize("shape", [(2, 2, 10, 5), (2, 1, 10, 10), (2, 10, 10), (2, 2, 15, 15), ()])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = f"images must have shape (B, 2, 10, 10), got {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        vit()(torch.zeros(shape, dtype=torch.float64))


# Learning


def bright_patches(size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images of 3 x 3 patches, one of them bright, under noise; and which one it is."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.randint(9, (size,), generator=generator)
    image = F.interpolate(F.one_hot(place, 9).view(size, 1, 3, 3).float(), scale_factor=2)
    return image + 0.2 * torch.randn(image.shape, generator=generator), place


def test_a_vit_learns_where_the_bright_patch_is() -> None:
    torch.manual_seed(0)
    model = ViT(ViTConfig(6, 2, 9, d_model=24, num_heads=3, num_layers=1, d_ff=31))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for step in range(300):
        images, place = bright_patches(32, seed=step)
        optimizer.zero_grad()
        F.cross_entropy(model(images), place).backward()
        optimizer.step()
    images, place = bright_patches(101, seed=1000)
    right = model(images).argmax(dim=-1) == place
    assert right.double().mean().item() > 2 / 3  # who finds the row or the column alone: 1/3

import re
from typing import Any

import pytest
import torch
from torch import Tensor

import parity
from tx_utils import KVCache
from tx_utils.cache import LayerCache

LAYERS, B, H, MAX_LEN, D_HEAD = 2, 3, 5, 7, 11
SIZES = {
    "num_layers": LAYERS,
    "batch_size": B,
    "num_heads": H,
    "max_len": MAX_LEN,
    "d_head": D_HEAD,
}


def new(**changes: Any) -> KVCache:
    return KVCache(**{**SIZES, "dtype": torch.float64, **changes})


def piece(length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Keys and values of some tokens."""
    keys, values = parity.tensor(2, B, H, length, D_HEAD, seed=seed)
    return keys, values


def write(cache: KVCache, *pieces: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each layer gets the pieces times its number; what the last call handed back to each."""
    back: list[tuple[Tensor, Tensor]] = []
    for keys, values in pieces:
        back = [
            cache.layer(index).append(keys * (index + 1), values * (index + 1))
            for index in range(LAYERS)
        ]
        cache.advance(keys.size(-2))
    return back


# Oracle


@pytest.mark.parametrize("lengths", [(7,), (3, 2, 2), (1, 5), (1, 1, 1)])
def test_what_comes_back_are_all_pieces_side_by_side(lengths: tuple[int, ...]) -> None:
    cache = new()
    pieces = [piece(length, seed) for seed, length in enumerate(lengths)]
    back = write(cache, *pieces)
    assert cache.length == sum(lengths)
    for index, (keys, values) in enumerate(back):
        assert torch.equal(keys, torch.cat([k for k, _ in pieces], dim=2) * (index + 1))
        assert torch.equal(values, torch.cat([v for _, v in pieces], dim=2) * (index + 1))


@pytest.mark.parametrize(("dtype", "size"), [(None, 4), (torch.float64, 8), (torch.bfloat16, 2)])
def test_memory_is_two_numbers_per_layer_sequence_position_and_width(
    dtype: torch.dtype | None, size: int
) -> None:
    cache = new(dtype=dtype)
    assert cache.nbytes == 2 * LAYERS * B * MAX_LEN * (H * D_HEAD) * size
    assert cache.max_len == MAX_LEN
    assert cache.keys.dtype == cache.values.dtype == (dtype or torch.float32)


# Property


def test_writing_twice_without_moving_on_overwrites() -> None:
    cache = new()
    write(cache, piece(2))
    layer = cache.layer(1)
    layer.append(*piece(3, seed=1))
    keys, values = layer.append(*piece(3, seed=2))
    assert (cache.length, layer.length) == (2, 2)
    assert torch.equal(keys[:, :, 2:], piece(3, seed=2)[0])
    assert torch.equal(values[:, :, 2:], piece(3, seed=2)[1])
    assert torch.equal(keys[:, :, :2], piece(2)[0] * 2)


def test_what_is_written_is_kept_even_if_the_piece_changes() -> None:
    cache, (keys, values) = new(), piece(2)
    before = keys.clone(), values.clone()
    kept_keys, kept_values = cache.layer(0).append(keys, values)
    keys.zero_()
    values.zero_()
    assert torch.equal(kept_keys, before[0])
    assert torch.equal(kept_values, before[1])


def test_a_layers_share_is_a_view_of_its_own_part_alone() -> None:
    cache = new()
    cache.layer(1).append(*piece(MAX_LEN))
    assert cache.keys[0].count_nonzero() == cache.values[0].count_nonzero() == 0
    assert torch.equal(cache.keys[1], piece(MAX_LEN)[0])
    assert torch.equal(cache.values[1], piece(MAX_LEN)[1])


def test_after_a_reset_it_is_as_good_as_new_and_keeps_its_memory() -> None:
    cache = new()
    write(cache, piece(MAX_LEN))
    memory = cache.keys.data_ptr(), cache.values.data_ptr(), cache.nbytes
    cache.reset()
    assert cache.length == 0
    back, fresh = write(cache, piece(2, seed=1)), write(new(), piece(2, seed=1))
    for ours, theirs in zip(back, fresh, strict=True):
        assert all(map(torch.equal, ours, theirs))
    assert memory == (cache.keys.data_ptr(), cache.values.data_ptr(), cache.nbytes)


def test_memory_is_claimed_on_the_device_that_is_asked_for() -> None:
    cache = new(device="meta")
    assert cache.keys.device.type == cache.values.device.type == "meta"


# Border


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_what_is_no_size_is_refused(name: str, size: Any) -> None:
    message = f"{name} must be a positive integer, got {size!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        new(**{name: size})


@pytest.mark.parametrize(
    "shape",
    [
        (B, H, 5, D_HEAD),  # one token too many
        (1, H, 2, D_HEAD),  # torch would write it down for every sequence
        (B, 1, 2, D_HEAD),  # and this one for every head
        (B, H, 2, 1),
        (B, D_HEAD, 2, H),
    ],
)
def test_keys_that_do_not_fit_are_refused_and_leave_no_trace(shape: tuple[int, ...]) -> None:
    cache = new()
    write(cache, piece(3))
    before = cache.keys.clone(), cache.values.clone()
    room = (B, H, min(shape[2], MAX_LEN - 3), D_HEAD)
    message = f"keys {shape} do not fit the room that the cache has for them, {room}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cache.layer(0).append(torch.ones(shape).double(), torch.ones(shape).double())
    assert torch.equal(cache.keys, before[0])
    assert torch.equal(cache.values, before[1])


def test_a_full_layer_takes_no_further_token() -> None:
    full = LayerCache(torch.zeros(B, H, 2, D_HEAD), torch.zeros(B, H, 2, D_HEAD), length=2)
    one = torch.ones(B, H, 1, D_HEAD)  # torch would silently write it nowhere
    with pytest.raises(ValueError, match=r"do not fit the room .* \(3, 5, 0, 11\)$"):
        full.append(one, one)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3, B, 55, 1), "the cache is for 2 layers of width 55, but the model has 3 of width 55"),
        ((LAYERS, B, 54, 1), "the cache is for 2 layers of width 55, but the model has 2 of width"),
        ((LAYERS, 1, 55, 1), "the cache is for 3 sequences, got 1"),
        ((LAYERS, B, 55, 5), "the cache holds 3 of at most 7 positions: no room for 5 more"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(sizes: tuple[int, ...], message: str) -> None:
    cache = new()
    cache.advance(3)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        cache.check_fits(*sizes)


def test_the_last_position_may_be_filled() -> None:
    cache = new()
    cache.advance(3)
    cache.check_fits(LAYERS, B, H * D_HEAD, 4)
    keys, _ = cache.layer(0).append(*piece(4))
    assert keys.size(2) == MAX_LEN

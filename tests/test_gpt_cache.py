"""The cache in a whole model: every cached step equals the uncached one."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import parity
from small_models import D_MODEL, GPT_CONFIG, GPTS, LAYERS, MAX_LEN, VOCAB, H
from tx_utils import GPT, GPTConfig, KVCache, record_attention

B = 3
TOKENS = parity.tokens(B, MAX_LEN, VOCAB)
every_gpt = pytest.mark.parametrize("config", GPTS.values(), ids=GPTS)


def gpt(config: GPTConfig = GPT_CONFIG, seed: int = 0) -> GPT:
    return parity.randomize(GPT(config), seed=seed)


@torch.no_grad()
def read(model: GPT, tokens: Tensor, lengths: Sequence[int], cache: KVCache) -> list[Tensor]:
    """Read the first tokens in pieces of these lengths; the logits of each piece."""
    edges = pairwise(accumulate(lengths, initial=0))
    return [model(tokens[:, start:end], cache) for start, end in edges]


# Oracle


@every_gpt
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_every_single_step_equals_the_uncached_one(
    config: GPTConfig, dtype: torch.dtype, tolerance: float
) -> None:
    torch.manual_seed(0)
    model = GPT(config).to(dtype)
    cache = model.new_cache(B)
    for t, step in enumerate(read(model, TOKENS, [1] * MAX_LEN, cache)):
        assert step.shape == (B, 1, VOCAB)
        parity.assert_close(step[:, 0], model(TOKENS[:, : t + 1])[:, -1], tolerance)
    assert cache.length == MAX_LEN


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    cuts=st.sets(st.integers(1, MAX_LEN - 1)),
    length=st.integers(1, MAX_LEN),
)
def test_pieces_of_any_lengths_equal_the_whole(
    seed: int, batch: int, cuts: set[int], length: int
) -> None:
    model, tokens = gpt(seed=seed), parity.tokens(batch, length, VOCAB, seed=seed)
    edges = [0, *(cut for cut in sorted(cuts) if cut < length), length]
    cache = model.new_cache(batch, max_len=length)
    pieces = read(model, tokens, [end - start for start, end in pairwise(edges)], cache)
    parity.assert_close(torch.cat(pieces, dim=1), model(tokens), 1e-12)
    assert cache.length == length


def test_the_maps_of_cached_steps_are_rows_of_the_uncached_ones() -> None:
    model = gpt()
    cache = model.new_cache(B)
    with record_attention(model) as whole:
        model(TOKENS)
    for start, end in ((0, 3), (3, 4), (4, MAX_LEN)):
        with record_attention(model) as maps, torch.no_grad():
            model(TOKENS[:, start:end], cache)
        assert maps.keys() == whole.keys()
        assert len(maps) == LAYERS
        for name, rows in maps.items():
            parity.assert_close(rows, whole[name][:, :, start:end, :end], 1e-12)


# Property


def test_recording_and_the_mode_change_nothing() -> None:
    model = gpt()
    plain, recorded = model.new_cache(B), model.new_cache(B)
    lengths = [3, 1, 1]
    with record_attention(model.eval()):
        watched = read(model, TOKENS, lengths, recorded)
    unwatched = read(model.train(), TOKENS, lengths, plain)
    assert all(map(torch.equal, watched, unwatched))
    assert torch.equal(plain.keys, recorded.keys)


def test_after_a_reset_another_text_is_read_as_if_nothing_had_been() -> None:
    model, other = gpt(), parity.tokens(B, 5, VOCAB, seed=1)
    cache = model.new_cache(B)
    read(model, TOKENS, [MAX_LEN], cache)
    cache.reset()
    pieces = read(model, other, [2, 3], cache)
    parity.assert_close(torch.cat(pieces, dim=1), model(other), 1e-12)


def test_two_caches_keep_two_texts_apart() -> None:
    model, other = gpt(), parity.tokens(1, MAX_LEN, VOCAB, seed=1)
    ours, theirs = model.new_cache(B), model.new_cache()
    for t in range(MAX_LEN):
        for tokens, cache in ((TOKENS, ours), (other, theirs)):
            step = read(model, tokens[:, t:], [1], cache)[0]
            parity.assert_close(step[:, -1], model(tokens[:, : t + 1])[:, -1], 1e-12)


def test_tokens_and_parameters_stay_as_they_are() -> None:
    model, tokens = gpt(), TOKENS.clone()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    read(model, tokens, [3, 1], model.new_cache(B))
    assert torch.equal(tokens, TOKENS)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert parity.stray_tensors(model) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_new_cache_has_the_models_sizes_precision_and_device(dtype: torch.dtype) -> None:
    model = GPT(GPT_CONFIG).to(dtype)
    cache = model.new_cache(B, max_len=5)
    assert cache.keys.shape == (LAYERS, B, H, 5, D_MODEL // H)
    assert cache.keys.dtype == cache.values.dtype == dtype
    assert cache.nbytes == 2 * LAYERS * B * 5 * D_MODEL * dtype.itemsize
    assert read(model, TOKENS, [3, 1], cache)[1].dtype == dtype
    assert model.to("meta").new_cache().keys.device.type == "meta"


def test_unless_asked_otherwise_it_has_room_for_one_longest_sequence() -> None:
    cache = gpt().new_cache()
    assert (cache.keys.size(1), cache.max_len, cache.length) == (1, MAX_LEN, 0)


# Border


def test_whole_sequences_and_no_token_at_all_may_be_read() -> None:
    model = gpt()
    cache = model.new_cache(B)
    whole, nothing = read(model, TOKENS, [MAX_LEN, 0], cache)
    parity.assert_close(whole, model(TOKENS), 1e-12)
    assert nothing.shape == (B, 0, VOCAB)
    assert cache.length == MAX_LEN


def other_cache(**changes: Any) -> KVCache:
    sizes: dict[str, Any] = {
        "num_layers": LAYERS,
        "batch_size": B,
        "num_heads": H,
        "max_len": MAX_LEN,
        "d_head": D_MODEL // H,
    }
    cache = KVCache(**(sizes | changes), dtype=torch.float64)
    cache.advance(3)
    return cache


@pytest.mark.parametrize(
    ("tokens", "changes", "message"),
    [
        (TOKENS[:, 3:4] + 99, {}, "token ids must lie in [0, 13), got "),
        (TOKENS[:, 3:4].float(), {}, "token ids must be int64 or int32, got torch.float32"),
        (TOKENS[:, :5], {}, "a sequence of length 5 at offset 3 needs 8 positions, but max_len"),
        (TOKENS[:, :3], {"max_len": 5}, "the cache holds 3 of at most 5 positions: no room for 3"),
        (TOKENS[:1, :1], {}, "the cache is for 3 sequences, got 1"),
        (TOKENS[:, :1], {"batch_size": 1}, "the cache is for 1 sequences, got 3"),
        (TOKENS[:, :1], {"num_layers": 3}, "the cache is for 3 layers of width 12, but the model "),
        (TOKENS[:, :1], {"num_layers": 1}, "the cache is for 1 layers of width 12, but the model "),
        (TOKENS[:, :1], {"d_head": 5}, "the cache is for 2 layers of width 15, but the model has "),
        (TOKENS[:, :1], {"num_heads": 4, "d_head": 3}, "keys (3, 3, 1, 4) do not fit the room "),
    ],
)
def test_a_refused_call_leaves_the_cache_as_it_was(
    tokens: Tensor, changes: dict[str, Any], message: str
) -> None:
    cache = other_cache(**changes)
    cache.keys.normal_()
    keys, values = cache.keys.clone(), cache.values.clone()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        gpt()(tokens, cache)
    assert cache.length == 3
    assert torch.equal(cache.keys, keys)
    assert torch.equal(cache.values, values)


def test_after_a_refused_call_reading_goes_on() -> None:
    model = gpt()
    cache = model.new_cache(B)
    read(model, TOKENS, [3], cache)
    for tokens in (TOKENS[:, 3:5] + 99, TOKENS[:, :5], TOKENS[:1, 3:4]):
        with pytest.raises(ValueError, match=r"token ids|max_len|sequences"):
            model(tokens, cache)
    step = read(model, TOKENS[:, 3:], [2], cache)[0]
    parity.assert_close(step, model(TOKENS[:, :5])[:, 3:], 1e-12)


def test_a_cache_of_another_precision_is_refused_by_torch_and_stays_as_long() -> None:
    model = gpt()
    cache = GPT(GPT_CONFIG).new_cache(B)
    with pytest.raises(RuntimeError, match="dtype"):
        model(TOKENS, cache)
    assert cache.length == 0


def test_no_gradient_flows_through_what_later_layers_overwrite() -> None:
    model = gpt()
    with pytest.raises(RuntimeError, match="inplace operation"):
        model(TOKENS, model.new_cache(B)).sum().backward()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer, got 0"),
        ({"batch_size": 2.0}, "batch_size must be a positive integer, got 2.0"),
        ({"max_len": 0}, "max_len must be a positive integer, got 0"),
        ({"max_len": "7"}, "max_len must be a positive integer, got '7'"),
        ({"max_len": MAX_LEN + 1}, "max_len must be at most the model's (7), got 8"),
    ],
)
def test_a_cache_that_no_model_can_fill_is_not_made(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        gpt().new_cache(**sizes)

"""Going on with a text: what a slow loop writes, with the cache and without."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from writing import NEW, B, generator, gpt, prompts, slow_greedy

from small_models import D_MODEL, MAX_LEN, VOCAB
from tx_utils import generate, sampling_distribution
from tx_utils.generation.autoregressive import FEW_STEPS

# Oracle


@pytest.mark.parametrize("length", [1, 3, MAX_LEN, MAX_LEN + 2])
def test_greedy_writing_is_what_a_slow_loop_writes(length: int) -> None:
    variety: set[int] = set()
    for seed in range(3):
        model, prompt = gpt(seed), prompts(length, seed=seed)
        written = generate(model, prompt, max_new_tokens=NEW, temperature=0.0)
        assert written.shape == (B, length + NEW)
        assert written.tolist() == [slow_greedy(model, row, NEW) for row in prompt.tolist()]
        variety |= set(written[:, length:].flatten().tolist())
    assert len(variety) >= 5


@pytest.mark.parametrize("context", [1, 2, 5])
def test_a_shorter_context_is_all_that_the_model_sees(context: int) -> None:
    model, prompt = gpt(), prompts()
    written = generate(model, prompt, max_new_tokens=NEW, temperature=0.0, context=context)
    assert written.tolist() == [slow_greedy(model, row, NEW, context) for row in prompt.tolist()]
    whole = generate(model, prompt, max_new_tokens=NEW, temperature=0.0)
    assert not torch.equal(written, whole)


@pytest.mark.parametrize(
    ("count", "stride"), [(FEW_STEPS, (D_MODEL, 1)), (FEW_STEPS + 1, (1, D_MODEL))]
)
def test_a_long_text_is_written_with_matrices_in_another_order(
    count: int, stride: tuple[int, int]
) -> None:
    model, prompt = gpt(), prompts()
    strides: set[tuple[int, ...]] = set()
    projection: Any = model.encoder.layers[0].self_attention.query_proj  # type: ignore[union-attr]
    projection.register_forward_hook(lambda module, *_: strides.add(module.weight.stride()))
    written = generate(model, prompt, max_new_tokens=count, temperature=0.0)
    assert strides == {stride}
    assert projection.weight.is_contiguous()
    assert written.tolist() == [slow_greedy(model, row, count) for row in prompt.tolist()]


def test_pairs_of_tokens_are_drawn_as_often_as_the_model_says() -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    The bound is that of `sampling_checks.assert_uniform`: Laurent and Massart (2000), lemma 1.
    """
    model, size = gpt(2), 20_011
    choices: dict[str, Any] = {"temperature": 2.5, "top_k": 3}
    prompt = torch.tensor([[3, 1, 4]])
    with torch.no_grad():
        first = sampling_distribution(model(prompt)[0, -1], **choices)
        nexts = torch.cat([prompt.expand(VOCAB, -1), torch.arange(VOCAB)[:, None]], dim=1)
        second = sampling_distribution(model(nexts)[:, -1], **choices)
    expected = size * first[:, None] * second
    cells = expected > 0
    assert cells.sum() == 9
    assert expected[cells].min() >= 50
    written = generate(
        model, prompt.expand(size, -1), max_new_tokens=2, generator=generator(), **choices
    )
    counts = Counter(map(tuple, written[:, 3:].tolist()))
    assert all(cells[pair] for pair in counts)
    found = torch.zeros(VOCAB, VOCAB, dtype=torch.float64)
    for (a, b), count in counts.items():
        found[a, b] = count
    statistic = ((found - expected)[cells] ** 2 / expected[cells]).sum().item()
    k, t = 8, 20
    assert statistic < k + 2 * math.sqrt(k * t) + 2 * t


# Property


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    length=st.integers(1, MAX_LEN + 2),
    context=st.none() | st.integers(1, MAX_LEN),
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    top_k=st.none() | st.integers(1, 7),
    top_p=st.none() | st.just(0.8),
    end_id=st.none() | st.integers(0, VOCAB - 1),
)
def test_with_the_cache_every_token_is_the_one_without(
    seed: int, length: int, **choices: float | None
) -> None:
    model, prompt = gpt(seed), prompts(length, seed=seed)
    options: dict[str, Any] = {"max_new_tokens": NEW, **choices}
    cached = generate(model, prompt, generator=generator(seed), **options)
    anew = generate(model, prompt, generator=generator(seed), use_cache=False, **options)
    assert torch.equal(cached, anew)
    assert torch.equal(cached[:, :length], prompt)


def test_every_token_is_read_once_until_the_context_is_full() -> None:
    model = gpt()
    generate(model, prompts(3), max_new_tokens=7)
    assert model.read == [3, 1, 1, 1, 1, MAX_LEN, MAX_LEN]
    assert model.cached == [True] * 5 + [False] * 2
    assert model.rooms == [MAX_LEN]


@pytest.mark.parametrize(
    ("length", "new", "context", "room"), [(3, 2, None, 5), (3, 9, 5, 5), (5, 2, 5, 5)]
)
def test_no_more_memory_is_claimed_than_can_be_filled(
    length: int, new: int, context: int | None, room: int
) -> None:
    model = gpt()
    generate(model, prompts(length), max_new_tokens=new, context=context)
    assert model.rooms == [room]


def test_without_the_cache_or_beyond_the_context_none_is_made() -> None:
    model = gpt()
    generate(model, prompts(3), max_new_tokens=3, use_cache=False)
    generate(model, prompts(5), max_new_tokens=2, context=4)
    assert model.read == [3, 4, 5, 4, 4]
    assert not any(model.cached)
    assert model.rooms == []


def test_rows_do_not_disturb_each_other() -> None:
    model, prompt = gpt(), prompts()
    written = generate(model, prompt, max_new_tokens=NEW, temperature=0.0)
    for row in range(B):
        alone = generate(model, prompt[row : row + 1], max_new_tokens=NEW, temperature=0.0)
        assert torch.equal(alone[0], written[row])


@pytest.mark.parametrize("use_cache", [True, False])
def test_what_has_ended_is_filled_up_and_all_stops_with_the_last(use_cache: bool) -> None:
    prompt, ends = prompts(), Counter[int]()
    for seed in range(7):
        model = gpt(seed)
        options: dict[str, Any] = {"max_new_tokens": NEW, "use_cache": use_cache}
        free = generate(model, prompt, generator=generator(seed), **options)[:, 3:].tolist()
        end_id = free[0][2]
        # Ended rows go on drawing, so that the others draw what they would have drawn.
        written = generate(model, prompt, generator=generator(seed), end_id=end_id, **options)
        firsts = [row.index(end_id) if end_id in row else NEW for row in free]
        longest = min(max(firsts) + 1, NEW)
        expected = [
            (row[:first] + [end_id] * NEW)[:longest]
            for row, first in zip(free, firsts, strict=True)
        ]
        ends.update(firsts)
        # After an end other tokens are read than before, but only by the row that has ended.
        assert written[:, 3:].tolist() == expected
    assert len(ends) >= 3


def test_an_end_in_the_prompt_ends_nothing() -> None:
    model, prompt = gpt(), prompts()
    free = generate(model, prompt, max_new_tokens=NEW, temperature=0.0)
    prompt_id = next(i for i in range(VOCAB) if i in prompt and i not in free[:, 3:])
    written = generate(model, prompt, max_new_tokens=NEW, temperature=0.0, end_id=prompt_id)
    assert torch.equal(written, free)


def test_equal_seeds_write_alike_and_the_global_state_is_left_alone() -> None:
    model, state = gpt(), torch.get_rng_state()

    def write(seed: int) -> Tensor:
        return generate(model, prompts(), max_new_tokens=NEW, generator=generator(seed))

    first = write(3)
    assert torch.equal(write(3), first)
    assert not torch.equal(write(4), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_generator_torchs_own_decides() -> None:
    model = gpt()
    torch.manual_seed(3)
    ours = generate(model, prompts(), max_new_tokens=NEW)
    theirs = generate(model, prompts(), max_new_tokens=NEW, generator=generator(3))
    assert torch.equal(ours, theirs)


def test_the_likeliest_token_is_not_drawn() -> None:
    model, own, state = gpt(), generator(), torch.get_rng_state()
    before = own.get_state()
    generate(model, prompts(), max_new_tokens=3, temperature=0.0)
    generate(model, prompts(), max_new_tokens=3, temperature=0.0, generator=own)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(own.get_state(), before)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_gradients_are_off_and_everything_comes_back(training: bool) -> None:
    model = gpt(dropout=0.5).train(training)
    prompt = prompts()
    written = generate(model, prompt, max_new_tokens=NEW, generator=generator())
    assert model.states == {(False, False)}
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()
    assert torch.equal(prompt, prompts())
    plain = generate(gpt(), prompt, max_new_tokens=NEW, generator=generator())
    assert torch.equal(written, plain)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error(training: bool) -> None:
    model = gpt().train(training)
    with pytest.raises(ValueError, match="token ids"):
        generate(model, prompts() + 99, max_new_tokens=3)
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()

"""From scores to the probabilities a token is drawn with, beside slow definitions."""

import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import parity
from tx_utils import sampling_distribution

# Few different scores, so that many tie.
SCORES = st.lists(st.sampled_from([-math.inf, -3.0, -0.5, 0.0, 0.25, 1.0, 2.5]), min_size=1).filter(
    lambda scores: max(scores) > -math.inf
)
TEMPERATURES = st.sampled_from([0.3, 1.0, 1.7])
TOP_K = st.none() | st.integers(1, 7)
TOP_P = st.none() | st.floats(0.01, 1.0)
FOUR = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()


def normalised(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def slow(
    scores: Sequence[float], temperature: float, top_k: int | None, top_p: float | None
) -> list[float]:
    """Step by step, as the definitions say it."""
    weights = [math.exp(score / temperature) for score in scores]
    if top_k is not None:
        worst = sorted(weights, reverse=True)[:top_k][-1]
        weights = [weight if weight >= worst else 0.0 for weight in weights]
    probabilities = normalised(weights)
    if top_p is None:
        return probabilities
    nucleus: set[int] = set()
    for token in sorted(range(len(scores)), key=lambda token: (-probabilities[token], token)):
        if sum(probabilities[kept] for kept in nucleus) < top_p:
            nucleus.add(token)
    return normalised([p if token in nucleus else 0.0 for token, p in enumerate(probabilities)])


def clear_cut(probabilities: Sequence[float], top_p: float | None) -> bool:
    """Whether rounding cannot move a token into or out of the nucleus."""
    sums = accumulate(sorted(probabilities, reverse=True))
    return top_p in (None, 1.0) or all(abs(total - top_p) > 1e-9 for total in sums)


# Oracle


@settings(deadline=None, max_examples=150)
@given(scores=SCORES, temperature=TEMPERATURES, top_k=TOP_K, top_p=TOP_P)
def test_it_is_what_the_definitions_say(
    scores: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    assume(clear_cut(slow(scores, temperature, top_k, None), top_p))
    found = sampling_distribution(
        torch.tensor(scores, dtype=torch.float64),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
    )
    expected = torch.tensor(slow(scores, temperature, top_k, top_p), dtype=torch.float64)
    parity.assert_close(found, expected)
    assert torch.equal(found == 0, expected == 0)


def test_unless_asked_otherwise_it_is_the_softmax() -> None:
    logits = parity.tensor(2, 3, 7)
    parity.assert_close(sampling_distribution(logits), logits.softmax(dim=-1))


# Property


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**31),
    temperature=st.sampled_from([0.0, 5e-324, 1e-46, 1e-3, 1.0, 1e3, 1e39, 1e308]),
    top_k=TOP_K,
    top_p=TOP_P | st.just(5e-324),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@example(seed=0, temperature=1e308, top_k=None, top_p=5e-324, dtype=torch.bfloat16)
def test_probabilities_sum_to_one_whatever_the_scores(
    seed: int, temperature: float, top_k: int | None, top_p: float | None, dtype: torch.dtype
) -> None:
    extremes = [0.0, 1.0, 1e30, -1e30, 1e-30, torch.finfo(dtype).max, -math.inf]
    choice = torch.randint(7, (5, 11), generator=torch.Generator().manual_seed(seed))
    logits = torch.tensor(extremes, dtype=dtype)[choice]
    logits[:, 3] = torch.finfo(dtype).min
    found = sampling_distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    assert found.isfinite().all()
    assert (found >= 0).all()
    assert (found[logits == -math.inf] == 0).all()
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(5, dtype=found.dtype))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), temperature=TEMPERATURES, top_k=TOP_K, top_p=TOP_P)
def test_who_stays_keeps_the_ratios_and_is_likelier_than_who_goes(
    seed: int, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits = parity.tensor(13, seed=seed)
    whole = sampling_distribution(logits, temperature=temperature)
    found = sampling_distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    kept = found > 0
    parity.assert_close(found[kept], whole[kept] / whole[kept].sum())
    assert (whole[kept].min() > whole[~kept]).all()


def test_rows_do_not_disturb_each_other() -> None:
    logits = parity.tensor(2, 3, 7)
    choices: dict[str, Any] = {"temperature": 0.7, "top_k": 5, "top_p": 0.8}
    found = sampling_distribution(logits, **choices)
    assert found.shape == (2, 3, 7)
    for row, expected in zip(logits.view(-1, 7), found.view(-1, 7), strict=True):
        parity.assert_close(sampling_distribution(row, **choices), expected)


@pytest.mark.parametrize("constant", [-1e3, 17.0, 1e3])
def test_what_all_scores_share_does_not_matter(constant: float) -> None:
    logits = parity.tensor(7)
    choices: dict[str, Any] = {"temperature": 0.7, "top_k": 5, "top_p": 0.8}
    moved = sampling_distribution(logits + constant, **choices)
    parity.assert_close(moved, sampling_distribution(logits, **choices))


@pytest.mark.parametrize("choices", [{"top_p": 1.0}, {"top_k": 7}, {"top_k": 99}])
def test_keeping_everything_changes_no_bit(choices: dict[str, Any]) -> None:
    logits = torch.tensor([0.0, -30.0, 3.0, -math.inf, 1.0, 3.0, -90.0])  # the sum rounds to 1
    assert torch.equal(sampling_distribution(logits, **choices), sampling_distribution(logits))


def test_logits_are_left_as_they_are() -> None:
    logits = parity.tensor(2, 7)
    before = logits.clone()
    sampling_distribution(logits, temperature=0.5, top_k=3, top_p=0.5)
    assert torch.equal(logits, before)


def test_a_low_temperature_comes_to_the_likeliest_token_and_a_high_one_to_all() -> None:
    logits = parity.tensor(2, 7)
    greedy = sampling_distribution(logits, temperature=0.0)
    assert torch.equal(greedy, sampling_distribution(logits, temperature=1e-4))
    assert torch.equal(greedy.argmax(dim=-1), logits.argmax(dim=-1))
    even = sampling_distribution(logits, temperature=1e12)
    parity.assert_close(even, torch.full_like(even, 1 / 7))


def test_the_temperature_comes_first_then_top_k_then_top_p() -> None:
    def tokens(**choices: Any) -> list[int]:
        return sampling_distribution(FOUR, **choices).nonzero().flatten().tolist()

    # 4/7 of the two likeliest are enough; of all, 0.4 are not.
    assert tokens(top_p=0.55) == [0, 1]
    assert tokens(top_k=2, top_p=0.55) == [0]
    # At temperature 1/2 the first has 16/30.
    assert tokens(top_p=0.5) == [0, 1]
    assert tokens(temperature=0.5, top_p=0.5) == [0]


def test_ties_stay_together_in_top_k_and_go_by_id_in_top_p() -> None:
    logits = torch.tensor([0.1, 0.2, 0.2, 0.3, 0.2], dtype=torch.float64).log()
    in_k = sampling_distribution(logits, top_k=2)
    parity.assert_close(in_k, torch.tensor([0.0, 2, 2, 3, 2]).double() / 9)
    in_p = sampling_distribution(logits, top_p=0.6)
    parity.assert_close(in_p, torch.tensor([0.0, 2, 2, 3, 0]).double() / 7)
    even = sampling_distribution(torch.zeros(4), top_p=0.5)
    assert even.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert sampling_distribution(torch.zeros(2, 4), temperature=0.0).argmax(-1).tolist() == [0, 0]


# Border


@pytest.mark.parametrize(
    ("given_dtype", "dtype"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_coarse_scores_give_fine_probabilities(
    given_dtype: torch.dtype, dtype: torch.dtype, temperature: float
) -> None:
    """In bfloat16 the sum over a large vocabulary would stand still before it reaches top_p."""
    logits = parity.tensor(20_011).to(given_dtype)
    found = sampling_distribution(logits, temperature=temperature, top_p=0.9)
    assert found.dtype == dtype
    expected = sampling_distribution(logits.double(), temperature=temperature, top_p=0.9)
    # Of some 12,000 that stay; float32's rounding may move the few at the edge.
    assert abs(int((found > 0).sum()) - int((expected > 0).sum())) <= 3


def test_a_vocabulary_of_one_has_no_choice() -> None:
    for choices in ({}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.1}):
        assert sampling_distribution(torch.tensor([[-5.0]]), **choices).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"temperature": -0.1}, "temperature must be finite and not negative, got -0.1"),
        ({"temperature": math.inf}, "temperature must be finite and not negative, got inf"),
        ({"temperature": math.nan}, "temperature must be finite and not negative, got nan"),
        ({"temperature": "1"}, "temperature must be finite and not negative, got '1'"),
        ({"temperature": True}, "temperature must be finite and not negative, got True"),
        ({"top_k": 0}, "top_k must be a positive integer or None, got 0"),
        ({"top_k": 2.0}, "top_k must be a positive integer or None, got 2.0"),
        ({"top_k": True}, "top_k must be a positive integer or None, got True"),
        ({"top_p": 0.0}, "top_p must lie in (0, 1] or be None, got 0.0"),
        ({"top_p": 1.1}, "top_p must lie in (0, 1] or be None, got 1.1"),
        ({"top_p": math.nan}, "top_p must lie in (0, 1] or be None, got nan"),
        ({"top_p": True}, "top_p must lie in (0, 1] or be None, got True"),
        ({"top_p": "0.9"}, "top_p must lie in (0, 1] or be None, got '0.9'"),
    ],
)
def test_a_choice_out_of_range_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sampling_distribution(torch.zeros(3), **choices)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    ("row", "value"),
    [([0.0, math.nan], "nan"), ([math.inf, 0.0], "inf"), ([-math.inf, -math.inf], "-inf")],
)
def test_scores_that_are_no_numbers_are_refused(
    row: list[float], value: str, temperature: float
) -> None:
    logits: Tensor = torch.tensor([[0.0, 1.0], row])
    message = f"the largest of the model's scores must be a finite number, got {value}: "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        sampling_distribution(logits, temperature=temperature)

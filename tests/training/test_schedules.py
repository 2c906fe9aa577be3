"""Schedules against their formulas, step by step."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from tx_utils import warmup_cosine, warmup_inverse_sqrt

PEAK = 0.5
warm_ups = st.integers(1, 13)


def rates(build: Callable[[Optimizer], LRScheduler], steps: int, peak: float = PEAK) -> list[float]:
    """The learning rate that each of the first steps uses."""
    optimizer = SGD([torch.zeros(1)], lr=peak)
    schedule, used = build(optimizer), []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return used


def cosine(
    warmup_steps: int, total_steps: int, final_fraction: float = 0.0
) -> Callable[[Optimizer], LRScheduler]:
    return lambda optimizer: warmup_cosine(
        optimizer,
        warmup_steps=warmup_steps,
        total_steps=total_steps,
        final_fraction=final_fraction,
    )


def inverse_sqrt(warmup_steps: int) -> Callable[[Optimizer], LRScheduler]:
    return lambda optimizer: warmup_inverse_sqrt(optimizer, warmup_steps=warmup_steps)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([7, 64, 512]), warm_ups)
def test_inverse_sqrt_is_the_papers_equation_3(d_model: int, warmup: int) -> None:
    paper = [
        d_model**-0.5 * min(step**-0.5, step * warmup**-1.5) for step in range(1, 3 * warmup + 2)
    ]
    peak = (d_model * warmup) ** -0.5
    assert rates(inverse_sqrt(warmup), len(paper), peak) == pytest.approx(paper, rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(warm_ups, st.integers(1, 23), st.sampled_from([0.0, 0.1, 1.0]))
def test_cosine_falls_like_torchs_after_a_linear_rise(warmup: int, fall: int, end: float) -> None:
    used = rates(cosine(warmup, warmup + fall, end), warmup + fall)
    assert used[:warmup] == pytest.approx([PEAK * n / warmup for n in range(1, warmup + 1)])
    annealing = rates(lambda o: CosineAnnealingLR(o, fall, eta_min=end * PEAK), fall + 1)
    assert used[warmup - 1 :] == pytest.approx(annealing, abs=1e-12)


def test_cosine_falls_to_nothing_unless_asked_otherwise() -> None:
    used = rates(lambda o: warmup_cosine(o, warmup_steps=2, total_steps=5), 5)
    assert used[-1] == pytest.approx(0.0, abs=1e-12)


def test_cosine_by_hand() -> None:
    fall = [0.5 * (1.0 + math.cos(math.pi * quarter / 4.0)) for quarter in (1, 2, 3, 4)]
    expected = [0.25, 0.5, *(0.1 + 0.4 * part for part in fall), 0.1, 0.1]
    assert rates(cosine(2, 6, 0.2), 8) == pytest.approx(expected)


@settings(deadline=None, max_examples=25)
@given(warm_ups)
def test_the_peak_is_the_optimizers_rate_and_ends_the_warm_up(warmup: int) -> None:
    for build in (inverse_sqrt(warmup), cosine(warmup, 2 * warmup + 1)):
        used = rates(build, 2 * warmup + 1)
        assert used[warmup - 1] == max(used) == PEAK
        assert used[:warmup] == sorted(used[:warmup])
        assert used[warmup - 1 :] == sorted(used[warmup - 1 :], reverse=True)


@settings(deadline=None, max_examples=25)
@given(warm_ups, st.integers(1, 13), st.floats(0.0, 1.0))
def test_cosine_stays_at_its_end(warmup: int, fall: int, end: float) -> None:
    used = rates(cosine(warmup, warmup + fall, end), warmup + fall + 5)
    assert used[warmup + fall - 1 :] == pytest.approx([end * PEAK] * 6, abs=1e-12)


def test_every_parameter_group_keeps_its_own_peak() -> None:
    groups: list[dict[str, Any]] = [
        {"params": [torch.zeros(1)], "lr": 1.0},
        {"params": [torch.zeros(1)], "lr": 0.1},
    ]
    assert warmup_inverse_sqrt(SGD(groups), warmup_steps=4).get_last_lr() == [0.25, 0.025]
    last = warmup_cosine(SGD(groups), warmup_steps=2, total_steps=3).get_last_lr()
    assert last == [0.5, 0.05]


@pytest.mark.parametrize("steps", [0, -3, 2.5, True])
def test_a_warm_up_is_a_positive_number_of_steps(steps: Any) -> None:
    for build in (inverse_sqrt(steps), cosine(steps, 9)):
        with pytest.raises(ValueError, match=rf"warmup_steps must be .* got {steps!r}"):
            rates(build, 1)
    with pytest.raises(ValueError, match=rf"total_steps must be .* got {steps!r}"):
        rates(cosine(1, steps), 1)


@pytest.mark.parametrize("total", [3, 5])
def test_the_warm_up_ends_before_the_run(total: int) -> None:
    with pytest.raises(ValueError, match=rf"warmup_steps \(5\) must be .* total_steps \({total}\)"):
        rates(cosine(5, total), 1)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_the_final_rate_is_a_fraction_of_the_peak(fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"final_fraction must lie in \[0, 1\], got {fraction}"):
        rates(cosine(1, 2, fraction), 1)

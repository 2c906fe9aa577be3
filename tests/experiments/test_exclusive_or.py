"""Exclusive or from attention alone: what keys that see the bits change, and what they do not."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils.experiments import exclusive_or
from tx_utils.experiments.directory import DirectoryModel
from tx_utils.experiments.exclusive_or import (
    EXPERIMENT,
    SETTINGS,
    TASK,
    VARIANTS,
    SeeingModel,
    mass_on_up,
    run,
)
from tx_utils.tasks import SumModulo

D_MODEL = 6


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, d_model=6, batch_size=3, batches_per_epoch=2, epochs=1, test_size=5)
    monkeypatch.setattr(exclusive_or, "SETTINGS", small)


def seeing(num_heads: int, seed: int = 0) -> SeeingModel:
    torch.manual_seed(seed)
    held = nn.Embedding(TASK.num_digits, D_MODEL)
    return SeeingModel(held, TASK.people, TASK.num_digits, d_model=D_MODEL, num_heads=num_heads)


def table(seed: int) -> tuple[Tensor, ...]:
    return TASK.all_pairs(torch.Generator().manual_seed(seed))


def right_votes(model: nn.Module, seed: int) -> Tensor:
    """By how much the right answer's logit is ahead, for the four pairs of bits."""
    *inputs, answer = table(seed)
    logits = model(*inputs)
    return (logits[:, 1] - logits[:, 0]) * (2 * answer - 1)


# Oracle


def test_a_key_is_name_plus_content_and_a_value_is_content() -> None:
    model = seeing(num_heads=2)
    asked, names, digits, _ = table(0)
    content, query = model.held(digits), model.question(asked)
    found = model.attention(query, model.name(names) + content, content)
    torch.testing.assert_close(model(asked, names, digits), model.readout(found)[:, 0])
    weights = model.weights_seeing(asked, names, digits)
    assert weights.shape == (4, 2, 1, TASK.people)
    expected = model.attention.weights(query, model.name(names) + content)
    torch.testing.assert_close(weights, expected)
    plain = DirectoryModel.forward(model, asked, names, digits)
    assert (plain - model(asked, names, digits)).abs().max() > 1e-4


def test_two_heads_that_look_for_a_one_and_for_a_zero_compute_exclusive_or() -> None:
    task = SumModulo(people=2, num_digits=2)
    held = nn.Embedding(2, 2)
    model = SeeingModel(held, 2, 2, d_model=2, num_heads=2)
    attention = model.attention
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        held.weight[1] = 1.0
        attention.query_proj.bias.copy_(torch.tensor([20.0, -20.0]))
        for projection in (attention.key_proj, attention.value_proj, attention.out_proj):
            projection.weight.copy_(torch.eye(2))
        model.readout.weight[1] = torch.tensor([20.0, -20.0])  # or minus and
        model.readout.bias[1] = -10.0
    *inputs, answer = task.sample(50, torch.Generator().manual_seed(0))
    assert F.cross_entropy(model(*inputs), answer).item() < 1e-3


def test_attention_on_the_one_that_is_up_is_counted_as_by_a_slow_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exclusive_or, "SETTINGS", replace(SETTINGS, test_size=23, test_seed=7))
    model = seeing(num_heads=2)
    asked, names, bits, _ = TASK.sample(23, torch.Generator().manual_seed(7))
    weights = model.weights_seeing(asked, names, bits)  # (B, H, 1, T)
    up: list[list[float]] = []
    for row in range(23):
        first, second = (names[row].tolist().index(name) for name in asked[row].tolist())
        if bits[row, first] != bits[row, second]:
            seat = first if bits[row, first] else second
            up.append(weights[row, :, 0, seat].tolist())
    assert 0 < len(up) < 23
    expected = [sum(shares) / len(up) for shares in zip(*up, strict=True)]
    assert mass_on_up(model) == pytest.approx(expected, rel=1e-5)


# Property


@settings(deadline=None, max_examples=50)
@given(scale=st.sampled_from([0.3, 3.0, 30.0]), seed=st.integers(0, 2**31))
def test_one_head_that_sees_the_bits_gets_at_most_three_of_four_right(
    scale: float, seed: int
) -> None:
    model = seeing(num_heads=1, seed=seed).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    ahead = right_votes(model, seed)
    assert (ahead > 1e-12 * ahead.abs().max()).sum() <= 3
    assert F.softplus(-ahead).mean().item() >= TASK.one_head_floor - 1e-9


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_differ_in_nothing_but_heads_and_keys(variant: str) -> None:
    model_class, num_heads = VARIANTS[variant]
    assert model_class is (SeeingModel if "see bits" in variant else DirectoryModel)
    assert num_heads == int(variant.split(", ")[1][0])


def test_experiment_says_what_its_numbers_depend_on() -> None:
    assert EXPERIMENT.settings == {**asdict(SETTINGS), "task": asdict(TASK)}
    assert EXPERIMENT.floors == {"additive": math.log(2), "one head": math.log(2) / 2}
    assert EXPERIMENT.variants == tuple(VARIANTS)


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    model, history, result = run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result == run(variant, 3)[2]
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert type(model) is VARIANTS[variant][0]
    assert model.attention.num_heads == VARIANTS[variant][1]
    assert (result.curve, result.epoch_end) == (history.train_loss, [2])
    measured = {"on_up": mass_on_up(model)} if isinstance(model, SeeingModel) else {}
    assert result.measures == measured

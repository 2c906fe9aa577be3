"""Lesson 02's models: what one head cannot do holds exactly, tools measure what they say."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tx_utils import FeedForward
from tx_utils.experiments import EXPERIMENTS, two_lookups
from tx_utils.experiments.directory import DirectoryModel
from tx_utils.experiments.two_lookups import (
    EXPERIMENT,
    SETTINGS,
    TASK,
    VARIANTS,
    NumberEmbedding,
    SeesAll,
    Variant,
    build,
    expected_error,
    look_at_heads,
    pruned,
    right_sign,
    slopes,
)

LINEAR = [name for name, v in VARIANTS.items() if not (v.feed_forward or v.sees_all)]


def questions(size: int = 3, seed: int = 1) -> tuple[Tensor, ...]:
    return TASK.sample(size, torch.Generator().manual_seed(seed))


def model(name: str, seed: int = 0) -> DirectoryModel:
    torch.manual_seed(seed)
    return build(VARIANTS[name])


def sharp(name: str, seed: int = 0) -> DirectoryModel:
    """With weights so large that the heads look at few people."""
    made = model(name, seed)
    with torch.no_grad():
        made.attention.query_proj.weight *= 5.0
    return made


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, batch_size=3, batches_per_epoch=2, epochs=2, test_size=5, questions=7)
    monkeypatch.setattr(two_lookups, "SETTINGS", small)


# Oracle


def test_a_number_moves_its_vector_along_one_direction() -> None:
    embedding = NumberEmbedding(7)
    numbers = torch.tensor([[2.0, -1.0, 0.0]])
    vectors = embedding(numbers)
    assert vectors.shape == (1, 3, 7)
    for number, vector in zip((2.0, -1.0, 0.0), vectors[0], strict=True):
        torch.testing.assert_close(vector, number * embedding.weight[:, 0] + embedding.bias)


def test_right_signs_are_counted_as_by_hand() -> None:
    answer = torch.tensor([[1.0], [-1.0], [2.0], [0.5], [-0.1]])
    target = torch.tensor([[9.0], [-0.5], [-2.0], [0.1], [3.0]])
    assert right_sign(answer, target).item() == pytest.approx(3 / 5)


@pytest.mark.parametrize("name", LINEAR)
def test_slopes_are_what_a_step_of_one_changes(name: str) -> None:
    asked, names, numbers, _ = questions()
    answers = sharp(name).double()
    numbers = numbers.double()
    found = slopes(answers, asked, names, numbers)
    assert found.shape == (3, TASK.people)
    for person in range(TASK.people):
        more = numbers.clone()
        more[:, person] += 1.0
        change = answers(asked, names, more) - answers(asked, names, numbers)
        torch.testing.assert_close(found[:, person], change[:, 0])
    assert not numbers.requires_grad


def test_slopes_of_models_that_are_not_linear_are_tangents() -> None:
    asked, names, numbers, _ = questions()
    for name in ("1 head, feed-forward", "1 head, sees all"):
        bent, step, numbers = sharp(name).double(), 1e-6, numbers.double()
        found = slopes(bent, asked, names, numbers)
        for person in range(TASK.people):
            aside = torch.zeros_like(numbers)
            aside[:, person] = step
            change = bent(asked, names, numbers + aside) - bent(asked, names, numbers - aside)
            torch.testing.assert_close(
                found[:, person], change[:, 0] / (2 * step), atol=1e-6, rtol=1e-4
            )
        assert not torch.allclose(found, slopes(bent, asked, names, 2 * numbers))


@pytest.mark.parametrize("name", ["1 head", "4 heads"])
def test_expected_error_is_the_mean_over_many_numbers(name: str) -> None:
    """The points -sqrt 3, 0, sqrt 3 (1/6, 2/3, 1/6) integrate squares of normal numbers exactly."""
    asked, names, _, _ = questions(size=2)
    points = torch.tensor([-math.sqrt(3), 0.0, math.sqrt(3)])
    numbers = torch.cartesian_prod(*[points] * TASK.people)
    chance = torch.where(numbers == 0, 2 / 3, 1 / 6).prod(dim=-1)
    assert chance.sum().item() == pytest.approx(1, rel=1e-4)
    answers = sharp(name)
    exact = expected_error(answers, asked, names)
    for n in range(2):
        repeated = asked[n].expand(len(numbers), 2), names[n].expand_as(numbers)
        first, second = ((names[n] == person).float() @ numbers.T for person in asked[n])
        with torch.no_grad():
            error = answers(*repeated, numbers)[:, 0] - (first - second)
        assert exact[n].item() == pytest.approx((chance @ error.square()).item(), rel=1e-3)


@pytest.mark.parametrize("name", ["1 head", "2 heads", "4 heads"])
def test_each_head_adds_its_part_and_a_pruned_one_adds_nothing(name: str) -> None:
    whole = model(name)
    attention, num_heads = whole.attention, whole.attention.num_heads
    x, y = torch.randn(2, 3, 32), torch.randn(2, 5, 32)
    before = [parameter.clone() for parameter in whole.parameters()]
    output, bias = attention(x, y, y), attention.out_proj.bias
    parts = [output - pruned(whole, head).attention(x, y, y) for head in range(num_heads)]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0) + bias, output)
    for head, part in enumerate(parts):
        cut = slice(head * 32 // num_heads, (head + 1) * 32 // num_heads)
        values = attention.value_proj(y)[..., cut]
        seen = attention.weights(x, y)[:, head] @ values
        torch.testing.assert_close(part, seen @ attention.out_proj.weight[:, cut].T)
    assert all(map(torch.equal, before, whole.parameters()))  # the original is as it was


def test_looking_at_heads_reports_each_heads_attention_slopes_and_worth() -> None:
    whole, (asked, names, numbers, _) = sharp("4 heads"), questions(size=5)
    found = look_at_heads(whole, asked, names)
    weights, total = whole.weights(asked, names), torch.zeros(2)
    for head in range(4):
        without = pruned(whole, head)
        part = slopes(whole, asked, names, numbers) - slopes(without, asked, names, numbers)
        for column, which in enumerate(("first", "second")):
            at = [names[n].tolist().index(int(asked[n, column])) for n in range(5)]
            share = sum(weights[n, head, 0, at[n]].item() for n in range(5)) / 5
            slope = sum(part[n, at[n]].item() for n in range(5)) / 5
            assert found[f"on_{which}"][head] == pytest.approx(share, rel=1e-4)
            assert found[f"slope_{which}"][head] == pytest.approx(slope, rel=1e-3, abs=1e-5)
            total[column] += found[f"slope_{which}"][head]
        error = expected_error(without, asked, names).mean().item()
        assert found["pruned"][head] == pytest.approx(error, rel=1e-5)
    error = expected_error(whole, asked, names).mean().item()
    assert found["expected_error"] == pytest.approx(error, rel=1e-5)
    assert set(map(len, (v for v in found.values() if isinstance(v, list)))) == {4}
    gradient = slopes(whole, asked, names, numbers)
    for column in (0, 1):
        at_person = gradient[names == asked[:, column, None]]
        assert total[column].item() == pytest.approx(at_person.mean().item(), rel=1e-3, abs=1e-5)


def test_an_entry_that_sees_all_shows_who_is_asked_for() -> None:
    whole, (asked, names, numbers, _) = sharp("1 head, sees all"), questions()
    assert isinstance(whole, SeesAll)
    entries = whole.entries(asked, names, numbers)
    for n in range(3):
        for person in range(TASK.people):
            mark = {int(asked[n, 0]): 1, int(asked[n, 1]): 2}.get(int(names[n, person]), 0)
            vector = whole.name.weight[mark] + whole.held(numbers[n, person])
            torch.testing.assert_close(entries[n, person], vector)
    attention, query = whole.attention, whole.question(asked)
    answer = whole.readout(attention(query, entries, entries))[:, 0]
    torch.testing.assert_close(whole(asked, names, numbers), answer)
    weights = whole.weights(asked, names, numbers)
    torch.testing.assert_close(weights, attention.weights(query, entries))
    at_zero = attention.weights(query, whole.entries(asked, names, torch.zeros(3, 8)))
    torch.testing.assert_close(whole.weights(asked, names), at_zero)
    assert not torch.allclose(weights, at_zero)


# Property


@settings(deadline=None, max_examples=50)
@given(
    name=st.sampled_from(["1 head", "1 head, d_model 64"]),
    seed=st.integers(0, 2**31),
    longer=st.floats(0.0, 30.0),
    scale=st.floats(-10.0, 10.0),
)
def test_one_head_is_never_below_its_floor_in_any_question(
    name: str, seed: int, longer: float, scale: float
) -> None:
    one = model(name, seed)
    with torch.no_grad():
        one.attention.query_proj.weight *= longer
        one.readout.weight *= scale
    asked, names, _, _ = questions(size=20, seed=seed)
    assert expected_error(one, asked, names).min() >= TASK.one_head_floor - 1e-4


def by_hand(num_heads: int = 2) -> DirectoryModel:
    """Head 0 adds the first person's number, head 1 subtracts the second's."""
    made = model(f"{num_heads} heads")
    attention, half = made.attention, 16
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.name.weight[:, :8] = made.name.weight[:, half : half + 8] = torch.eye(8)
        made.first.weight[:, :8] = 200 * torch.eye(8)
        made.second.weight[:, half : half + 8] = 200 * torch.eye(8)
        assert isinstance(made.held, NumberEmbedding)
        made.held.weight[0] = 1.0
        attention.query_proj.weight.copy_(torch.eye(32))
        attention.key_proj.weight.copy_(torch.eye(32))
        attention.value_proj.weight[[0, half], 0] = 1.0
        attention.out_proj.weight.copy_(torch.eye(32))
        made.readout.weight[0, [0, half]] = torch.tensor([1.0, -1.0])
    return made


def test_two_heads_can_be_written_down_that_subtract_and_each_is_worth_one() -> None:
    made, (asked, names, numbers, target) = by_hand(), questions(size=20)
    torch.testing.assert_close(made(asked, names, numbers), target)
    assert expected_error(made, asked, names).max() < 1e-6
    found = look_at_heads(made, asked, names)
    assert found["on_first"] == pytest.approx([1.0, 0.0])
    assert found["on_second"] == pytest.approx([0.0, 1.0])
    assert found["slope_first"] == pytest.approx([1.0, 0.0])
    assert found["slope_second"] == pytest.approx([0.0, -1.0])
    assert found["pruned"] == pytest.approx([1.0, 1.0])


def test_a_constant_costs_its_square() -> None:
    made, (asked, names, _, _) = by_hand(), questions(size=20)
    with torch.no_grad():
        made.readout.bias.add_(0.5)
    errors = expected_error(made, asked, names)
    torch.testing.assert_close(errors, torch.full((20,), 0.25))


def test_where_models_look_hangs_on_the_numbers_only_if_they_see_all() -> None:
    asked, names, numbers, _ = questions()
    for name in VARIANTS:
        made = model(name)
        at_numbers = slopes(made, asked, names, numbers)
        linear = torch.allclose(at_numbers, slopes(made, asked, names, 3 * numbers), atol=1e-6)
        assert linear == (name in LINEAR)


def sizes(name: str) -> Iterator[int]:
    return (parameter.numel() for parameter in model(name).parameters())


def test_heads_cost_no_parameters_and_variants_are_what_they_say() -> None:
    counts = {name: sum(sizes(name)) for name in VARIANTS}
    heads = {counts[name] for name in ("1 head", "2 heads", "4 heads", "1 head, 1600 steps")}
    assert heads == {5089}
    assert counts["1 head, d_model 64"] > 3 * 5089
    for name, variant in VARIANTS.items():
        made = model(name)
        assert made.attention.num_heads == variant.num_heads == int(name[0])
        assert made.readout.in_features == variant.d_model
        if isinstance(made.after, FeedForward):
            assert made.after.linear1.out_features == 4 * variant.d_model
        assert isinstance(made.after, FeedForward if variant.feed_forward else nn.Identity)
        assert isinstance(made, SeesAll) == variant.sees_all
    assert VARIANTS["1 head, d_model 64"] == Variant(1, d_model=64)
    steps = VARIANTS["1 head, 1600 steps"].longer * SETTINGS.epochs * SETTINGS.batches_per_epoch
    assert steps == 1600


@pytest.mark.parametrize("name", VARIANTS)
def test_a_gradient_reaches_every_parameter_but_the_key_bias(name: str) -> None:
    made, (*inputs, target) = model(name), questions(size=50)
    nn.MSELoss()(made(*inputs), target).backward()
    for parameter_name, parameter in made.named_parameters():
        assert parameter.grad is not None
        size = parameter.grad.abs().max()
        assert size < 1e-6 if parameter_name == "attention.key_proj.bias" else size > 1e-5


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(name: str) -> None:
    trained, history, result = two_lookups.run(name, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(name, 3) == result == two_lookups.run(name, 3)[2]
    assert EXPERIMENT.run(name, 4).loss != result.loss
    assert history.epoch_end == [2 * n for n in range(1, 2 * VARIANTS[name].longer + 1)]
    assert history.learning_rate[0] == SETTINGS.learning_rate
    assert (result.curve, result.epoch_end) == (history.train_loss, history.epoch_end)
    asked, names, numbers, target = questions(size=5, seed=SETTINGS.test_seed)
    answer = trained(asked, names, numbers)
    assert result.loss == pytest.approx((answer - target).square().mean().item(), rel=1e-5)
    assert result.accuracy == pytest.approx(right_sign(answer, target).item())
    asked, names, _, _ = questions(size=7, seed=SETTINGS.test_seed)
    expected = look_at_heads(trained, asked, names) if name in LINEAR else {}
    assert result.measures == expected


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENTS["two_lookups"] is EXPERIMENT
    assert EXPERIMENT.name == "two_lookups"
    assert EXPERIMENT.variants == tuple(VARIANTS)
    variants = {name: asdict(variant) for name, variant in VARIANTS.items()}
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": asdict(TASK), "variants": variants}
    assert EXPERIMENT.floors == {"one head": 1.0, "always 0": 2.0}

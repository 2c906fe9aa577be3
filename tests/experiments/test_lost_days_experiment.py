"""Lesson 09's lost days: who sees what, what the excess is, and what a run measures."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tx_utils import BERTConfig, causal_mask, record_attention
from tx_utils.experiments import lost_days
from tx_utils.experiments.lost_days import (
    BERT_RECIPE,
    BERT_TASK,
    BOTH_SIDES,
    EXPERIMENT,
    LEFT_TO_RIGHT,
    SETTINGS,
    TASK,
    TASKS,
    DayReader,
    attention_by_distance,
    build,
    echo,
    excess,
)
from tx_utils.tasks.lost_days import LOST, NO_DAY, NOT_LOST, VOCAB_SIZE, LostDays

CONFIG = BERTConfig(VOCAB_SIZE, d_model=12, num_heads=3, num_layers=2, d_ff=17, max_len=7)
SMALL = LostDays(days=7, fewest=3, share=0.3)

both_ways = pytest.mark.parametrize("both_sides", [True, False])


def reader(*, both_sides: bool = True) -> DayReader:
    torch.manual_seed(0)
    return DayReader(CONFIG, both_sides=both_sides).double()


def diaries(count: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    return SMALL.sample(count, torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(
        SETTINGS, batch_size=3, batches_per_epoch=2, epochs=3, test_size=40,
        d_model=6, num_heads=2, d_ff=5, warmup_steps=1,
    )  # fmt: skip
    monkeypatch.setattr(lost_days, "SETTINGS", small)


# Oracle


@both_ways
def test_a_reader_is_bert_under_its_mask_with_a_linear_layer_on_top(both_sides: bool) -> None:
    tokens, _ = diaries()
    model = reader(both_sides=both_sides)
    mask = (tokens != NO_DAY)[:, None, None, :].expand(-1, 1, 7, -1)
    if not both_sides:
        mask = mask & causal_mask(7)
    expected = model.output_proj(model.bert(tokens, mask=mask))
    torch.testing.assert_close(model(tokens), expected)
    assert model(tokens).shape == (5, 7, 8)


class Knows(DayReader):
    """Says what Bayes says, but for a factor on the logarithms."""

    factor = 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        belief = SMALL.beliefs(tokens, both_sides=self.both_sides)
        return self.factor * belief.clamp(min=1e-300).log()


@both_ways
def test_bayes_own_forecast_has_no_excess_and_every_other_has(both_sides: bool) -> None:
    tokens, target = diaries(200)
    model = Knows(CONFIG, both_sides=both_sides)
    floor, above = excess(model, SMALL, tokens, target)
    assert above == pytest.approx(0, abs=1e-9)
    model.factor = 0.5
    again, above = excess(model, SMALL, tokens, target)
    assert (again, above > 0.01) == (floor, True)


@both_ways
def test_floor_and_excess_are_the_cost_with_the_lost_weather_averaged_out(
    both_sides: bool,
) -> None:
    tokens, target = diaries(30)
    model = reader(both_sides=both_sides)
    floor, above = excess(model, SMALL, tokens, target)
    belief = SMALL.beliefs(tokens, both_sides=both_sides)
    log_forecast = model(tokens).log_softmax(dim=-1)
    costs, entropies = [], []
    for row, day in (target != NOT_LOST).nonzero().tolist():
        p = belief[row, day]
        costs.append(-(p * log_forecast[row, day]).sum().item())
        entropies.append(-sum(x.item() * x.log().item() for x in p if x > 0))
    assert floor == pytest.approx(sum(entropies) / len(entropies))
    assert floor + above == pytest.approx(sum(costs) / len(costs))
    assert above > 0


def test_an_echo_is_the_share_of_readable_days_that_are_named_as_they_are() -> None:
    tokens, _ = diaries(50)
    model = reader()
    named = model(tokens).argmax(dim=-1)
    pairs = [(a, b) for a, b in zip(tokens.flatten(), named.flatten(), strict=True) if a < LOST]
    assert echo(model, tokens) == pytest.approx(sum(bool(a == b) for a, b in pairs) / len(pairs))


@both_ways
def test_attention_by_distance_is_the_mean_over_lost_days_away_from_the_edges(
    both_sides: bool,
) -> None:
    tokens, target = diaries(40)
    model = reader(both_sides=both_sides)
    with record_attention(model) as maps:
        model(tokens)
    weights = maps["bert.encoder.layers.1.self_attention"]
    looks = attention_by_distance(model, tokens, target, reach=2)
    assert looks.shape == (3, 5)
    lost = [(r, d) for r, d in (target != NOT_LOST).nonzero().tolist() if 2 <= d <= 4]
    for head in range(3):
        for column, distance in enumerate((-2, -1, 0, 1, 2)):
            seen = [weights[r, head, d, d + distance].item() for r, d in lost]
            assert looks[head, column].item() == pytest.approx(sum(seen) / len(seen))
    assert (looks[:, 3:] == 0).all() == (not both_sides)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", TASKS)
def test_a_run_measures_the_test_set_of_its_task(variant: str) -> None:
    model, history, result = lost_days.run(variant, 3)
    task = TASKS[variant]
    tokens, target = task.sample(40, torch.Generator().manual_seed(1_000_000))
    logits = model(tokens)
    asked = target != NOT_LOST
    assert result.loss == pytest.approx(F.cross_entropy(logits[asked], target[asked]).item())
    right = (logits.argmax(dim=-1) == target)[asked].float().mean().item()
    assert result.accuracy == pytest.approx(right)
    floor, above = excess(model, task, tokens, target)
    assert result.measures == pytest.approx(
        {"floor": floor, "excess": above, "echo": echo(model, tokens)}
    )
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4, 6])
    assert model.both_sides == (variant != LEFT_TO_RIGHT)
    rates = history.learning_rate
    assert rates[0] == pytest.approx(5e-3)  # after a warm-up of one step
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


# Property


def test_who_reads_from_left_to_right_sees_no_later_day() -> None:
    tokens, _ = diaries(9)
    changed = tokens.clone()
    changed[:, 4:] = diaries(9, seed=1)[0][:, 4:]
    changed = torch.where(tokens == NO_DAY, tokens, changed.clamp(max=LOST))
    causal, both = reader(both_sides=False), reader()
    torch.testing.assert_close(causal(tokens)[:, :4], causal(changed)[:, :4], rtol=0, atol=1e-12)
    assert not torch.allclose(both(tokens)[:, :4], both(changed)[:, :4])


@both_ways
def test_padding_changes_nothing(both_sides: bool) -> None:
    tokens, _ = SMALL.sample(4, torch.Generator().manual_seed(0))
    short = torch.where(tokens[:, :5] == NO_DAY, 0, tokens[:, :5])
    padded = F.pad(short, (0, 2), value=NO_DAY)
    model = reader(both_sides=both_sides)
    torch.testing.assert_close(model(padded)[:, :5], model(short))


@both_ways
def test_a_gradient_reaches_every_parameter(both_sides: bool) -> None:
    model = reader(both_sides=both_sides)
    tokens, target = diaries(30)
    F.cross_entropy(model(tokens).mT, target).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        if "key_proj.bias" in name:  # softmax ignores it
            continue
        if name == "bert.token_types.weight":  # there is only one type of token
            assert (parameter.grad[1] == 0).all()
        assert parameter.grad.abs().max() > 0


def test_variants_start_with_the_same_weights_and_differ_as_their_names_say() -> None:
    states = []
    for variant in TASKS:
        torch.manual_seed(5)
        model = build(variant)
        assert model.both_sides == (variant != LEFT_TO_RIGHT)
        states.append(model.state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[name], value) for name, value in states[0].items())
    assert TASKS == {BOTH_SIDES: TASK, LEFT_TO_RIGHT: TASK, BERT_RECIPE: BERT_TASK}
    assert (TASK.shown_wrong, TASK.shown_right, TASK.share) == (0, 0, 0.15)
    assert (BERT_TASK.shown_wrong, BERT_TASK.shown_right) == (0.1, 0.1)
    assert replace(BERT_TASK, shown_wrong=0.0, shown_right=0.0) == TASK


def test_looking_changes_neither_mode_nor_gradients() -> None:
    model = reader().train()
    excess(model, SMALL, *diaries())
    echo(model, diaries()[0])
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", TASKS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    _, _, result = lost_days.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result
    assert EXPERIMENT.run(variant, 4).loss != result.loss


# Border


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    tasks = {variant: asdict(task) for variant, task in TASKS.items()}
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"tasks": tasks}
    assert EXPERIMENT.variants == tuple(TASKS)
    assert EXPERIMENT.floors == {
        BOTH_SIDES: TASK.floor(),
        LEFT_TO_RIGHT: TASK.floor(both_sides=False),
    }

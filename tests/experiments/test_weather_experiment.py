"""Lesson 00's models: what each is shown, what a run measures, and that it hangs on its seed."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils.experiments import EXPERIMENTS, weather
from tx_utils.experiments.evidence import Result
from tx_utils.experiments.weather import (
    EXPERIMENT,
    RATES,
    SETTINGS,
    SWEEP,
    TASK,
    Blind,
    Sees,
    every_case,
    few_days,
)
from tx_utils.tasks import Weather, fresh_loader, sample_floor

B, T, V, D_MODEL = 3, 5, 11, 7


def days(seed: int = 1) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, d_model=6, batch_size=3, batches_per_epoch=2, epochs=2, few=5)
    monkeypatch.setattr(weather, "SETTINGS", small)


# Oracle


def test_who_sees_is_the_network_of_the_loop_in_the_open() -> None:
    torch.manual_seed(0)
    model = Sees(D_MODEL, V)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Embedding(V, D_MODEL), nn.Linear(D_MODEL, V))
    assert torch.equal(model(days()), plain(days()))
    assert model(days()).shape == (B, T, V)
    assert Sees(D_MODEL)(days() % 8).shape == (B, T, 8)


def test_the_blind_is_shown_the_first_token_whatever_comes() -> None:
    torch.manual_seed(0)
    blind = Blind(D_MODEL, V)
    torch.manual_seed(0)
    sees = Sees(D_MODEL, V)
    torch.testing.assert_close(blind(days()), sees(torch.zeros(B, T, dtype=torch.long)))
    assert torch.equal(blind(days(1)), blind(days(2)))
    assert not torch.equal(sees(days(1)), sees(days(2)))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", ["sees", "blind", "few", "SGD 0.3"])
def test_a_run_measures_the_expected_loss_over_every_case(variant: str) -> None:
    model, history, result = weather.run(variant, 3)
    tokens, target = TASK.every_case()
    logits = model(tokens)
    expected = F.cross_entropy(logits.mT, target).item()
    assert result.loss == pytest.approx(expected, rel=1e-6)
    assert history.validation_loss[-1] == pytest.approx(expected, rel=1e-6)
    right = (logits.argmax(dim=-1) == target).float().mean().item()
    assert result.accuracy == pytest.approx(right, rel=1e-6)
    if variant in SWEEP:
        assert result == Result(result.loss, result.accuracy)
    else:
        assert result.measures["expected"] == history.validation_loss
        assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])
    if variant == "few":
        assert result.measures["floor"] == sample_floor(*few_days(3))
    assert ("floor" in result.measures) == (variant == "few")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("variant", "kind", "optimizer", "rate"),
    [
        ("sees", Sees, torch.optim.Adam, 0.01),
        ("blind", Blind, torch.optim.Adam, 0.01),
        ("SGD 3", Sees, torch.optim.SGD, 3.0),
        ("Adam 0.3", Sees, torch.optim.Adam, 0.3),
    ],
)
def test_a_run_is_the_plain_loop_over_fresh_days(
    variant: str, kind: type[Sees], optimizer: type[torch.optim.Adam], rate: float
) -> None:
    model, history, _ = weather.run(variant, 4)
    torch.manual_seed(4)
    plain = kind(6)
    updates = optimizer(plain.parameters(), lr=rate)
    losses = []
    for epoch in range(2):
        loader = fresh_loader(TASK.sample, batch_size=3, batches=2, seed=4)
        loader.dataset.set_epoch(epoch)  # type: ignore[attr-defined]
        for tokens, target in loader:
            updates.zero_grad()
            loss = F.cross_entropy(plain(tokens).flatten(0, 1), target.flatten())
            loss.backward()
            updates.step()
            losses.append(loss.item())
    assert history.step_loss == losses
    assert type(model) is kind
    assert history.learning_rate == [rate] * 4


@pytest.mark.usefixtures("tiny")
def test_few_sees_the_same_days_in_every_step() -> None:
    model, history, _ = weather.run("few", 4)
    tokens, target = few_days(4)
    assert tokens.shape == (5, 16)
    assert not torch.equal(tokens, few_days(5)[0])
    torch.manual_seed(4)
    plain = Sees(6)
    updates = torch.optim.Adam(plain.parameters(), lr=0.01)
    losses = []
    for _ in range(4):
        updates.zero_grad()
        loss = F.cross_entropy(plain(tokens).flatten(0, 1), target.flatten())
        loss.backward()
        updates.step()
        losses.append(loss.item())
    assert history.step_loss == losses
    assert type(model) is Sees


# Property


@pytest.mark.parametrize("kind", [Sees, Blind])
def test_a_gradient_reaches_every_parameter(kind: type[Sees]) -> None:
    torch.manual_seed(0)
    model = kind(D_MODEL, V)
    F.cross_entropy(model(days()).mT, days(2)).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_every_case_is_the_same_whatever_is_asked_for() -> None:
    for given in ((), (7, torch.Generator())):
        for ours, theirs in zip(every_case(*given), Weather().every_case(), strict=True):
            assert torch.equal(ours, theirs)


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", ["sees", "blind", "few", "SGD 0.3"])
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    _, _, result = weather.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result
    assert EXPERIMENT.run(variant, 4).loss != result.loss


def test_a_run_that_diverges_ends_there() -> None:
    _, history, result = weather.run("SGD 10", 0)
    assert not result.loss < TASK.chance  # nan, or far above
    assert history.epochs <= SETTINGS.epochs


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENTS["weather"] is EXPERIMENT
    assert EXPERIMENT.variants == ("sees", "blind", "few", *SWEEP)
    assert next(iter(SWEEP)) == "SGD 0.01"
    assert list(SWEEP.values()) == [(o, rate) for o, rates in RATES.items() for rate in rates]
    assert len(SWEEP) == 14
    rates = {optimizer: list(rates) for optimizer, rates in RATES.items()}
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": {"days": 16}, "rates": rates}
    assert EXPERIMENT.floors == pytest.approx(
        {"sees": 1.5 * math.log(2), "blind": 2.75 * math.log(2)}
    )
    assert SETTINGS.test_size == len(TASK.every_case()[0])

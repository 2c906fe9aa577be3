"""The four models of lesson 03: they differ in their positions only; a run hangs on its seed."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import (
    LearnedPositionalEncoding,
    MultiHeadAttention,
    PositionalEncoding,
    scaled_dot_product_attention,
    sinusoidal_encoding,
    warmup_cosine,
)
from tx_utils.experiments import EXPERIMENTS, positions
from tx_utils.experiments.positions import (
    EXPERIMENT,
    POSITIONS,
    SETTINGS,
    TASK,
    QueueModel,
    build,
    fit_queue,
    mirror_weights,
    optimizer_and_schedule,
)

KINDS: dict[str, type[nn.Module]] = {
    "sinusoidal": PositionalEncoding,
    "learned": LearnedPositionalEncoding,
    "none": nn.Identity,
    "unscaled": PositionalEncoding,
}
every_variant = pytest.mark.parametrize("variant", POSITIONS)


def queues(seed: int, size: int = 3) -> tuple[Tensor, Tensor]:
    return TASK.sample(size, torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"d_model": 6, "batch_size": 3, "batches_per_epoch": 2, "epochs": 2}
    small = replace(SETTINGS, **sizes, warmup_steps=1, test_size=5)
    monkeypatch.setattr(positions, "SETTINGS", small)


# Oracle


@every_variant
def test_model_embeds_adds_positions_attends_and_reads_off(variant: str) -> None:
    torch.manual_seed(0)
    model = build(variant)
    tokens, _ = queues(0)
    x = F.embedding(tokens, model.embedding.weight)
    x = x if variant == "unscaled" else x * math.sqrt(SETTINGS.d_model)
    if variant in ("sinusoidal", "unscaled"):
        x = x + sinusoidal_encoding(TASK.length, SETTINGS.d_model)
    elif variant == "learned":
        assert isinstance(model.positions, LearnedPositionalEncoding)
        x = x + model.positions.weight
    head = model.attention
    query, key, value = (x @ p.weight.T for p in (head.query_proj, head.key_proj, head.value_proj))
    found, weights = scaled_dot_product_attention(query, key, value)
    expected = found @ head.out_proj.weight.T @ model.readout.weight.T + model.readout.bias
    torch.testing.assert_close(model.embed(tokens), x)
    torch.testing.assert_close(model.weights(tokens), weights)
    torch.testing.assert_close(model(tokens), expected)


def test_mirror_weights_are_those_on_the_other_diagonal() -> None:
    torch.manual_seed(0)
    model = build("learned")
    tokens, _ = queues(0)
    found, weights = mirror_weights(model, tokens), model.weights(tokens)
    assert found.shape == tokens.shape
    assert not found.requires_grad
    for sequence in range(3):
        for place in range(10):
            assert found[sequence, place] == weights[sequence, place, 9 - place]


# Property


def test_variants_are_what_their_names_say() -> None:
    models = {variant: build(variant) for variant in POSITIONS}
    assert {variant: type(model.positions) for variant, model in models.items()} == KINDS
    scales = {variant: model.embedding.scale for variant, model in models.items()}
    assert scales == {"sinusoidal": 8.0, "learned": 8.0, "none": 8.0, "unscaled": 1.0}
    assert isinstance(models["learned"].positions, LearnedPositionalEncoding)
    assert models["learned"].positions.weight.shape == (TASK.length, SETTINGS.d_model)


def test_models_differ_in_nothing_but_the_positions() -> None:
    weights = []
    for variant in POSITIONS:
        torch.manual_seed(0)
        named = build(variant).state_dict().items()
        weights.append({n: p for n, p in named if not n.startswith("positions.")})
    for other in weights[1:]:
        assert other.keys() == weights[0].keys()
        assert all(torch.equal(other[name], weights[0][name]) for name in other)


def test_one_head_without_a_way_around_it() -> None:
    model = build("none")
    assert isinstance(model.attention, MultiHeadAttention)
    assert model.attention.num_heads == 1
    with torch.no_grad():
        model.attention.value_proj.weight.zero_()
    tokens, _ = queues(0)
    assert torch.equal(model(tokens), model.readout.bias.expand(3, 10, 16))


@every_variant
def test_the_order_means_nothing_without_positions_only(variant: str) -> None:
    torch.manual_seed(0)
    model = build(variant).double()
    tokens, _ = queues(0)
    order = torch.randperm(TASK.length)
    gap = (model(tokens[:, order]) - model(tokens)[:, order]).abs().max()
    assert gap < 1e-10 if variant == "none" else gap > 1e-4


@every_variant
def test_a_gradient_reaches_every_parameter(variant: str) -> None:
    torch.manual_seed(0)
    model = build(variant)
    tokens, target = queues(0)
    F.cross_entropy(model(tokens).mT, target).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


@pytest.mark.usefixtures("tiny")
def test_the_rate_is_adams_rises_and_falls_to_zero() -> None:
    settings = positions.SETTINGS
    optimizer, schedule = optimizer_and_schedule(nn.Linear(1, 1), settings)
    assert isinstance(optimizer, torch.optim.Adam)
    other = torch.optim.Adam([torch.zeros(1)], lr=settings.learning_rate)
    expected = warmup_cosine(other, warmup_steps=1, total_steps=4)
    for _ in range(5):
        assert schedule.get_last_lr() == expected.get_last_lr()
        for each in (optimizer, other):
            each.step()
        schedule.step()
        expected.step()
    assert schedule.get_last_lr() == [0.0]
    model = QueueModel(16, 6, nn.Identity())
    history = fit_queue(model, TASK.sample, settings, seed=0, label="x")
    assert history.learning_rate[0] == settings.learning_rate
    assert history.learning_rate[-1] == 0.0


# Learning


@pytest.mark.usefixtures("tiny")
@every_variant
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    model, history, result = positions.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result == positions.run(variant, 3)[2]
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert type(model.positions) is KINDS[variant]
    assert history.step_targets == [3 * 10] * 4
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])


@pytest.mark.usefixtures("tiny")
def test_a_run_measures_on_its_test_set() -> None:
    model, _, result = positions.run("learned", 3)
    tokens, target = TASK.sample(5, torch.Generator().manual_seed(1_000_000))
    assert result.loss == pytest.approx(F.cross_entropy(model(tokens).mT, target).item())
    weights = mirror_weights(model, tokens)
    assert result.measures == {
        "mirror_weight": pytest.approx(weights.mean().item()),
        "least_mirror_weight": pytest.approx(weights.min().item()),
    }


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENTS["positions"] is EXPERIMENT
    assert EXPERIMENT.variants == ("sinusoidal", "learned", "none", "unscaled")
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": asdict(TASK)}
    assert EXPERIMENT.floors == {"orderless": math.log(9), "chance": math.log(16)}
    assert SETTINGS.steps == 400

"""The sweep of lesson 01: its layer starts as the paper assumes, its points cover the claim."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils.experiments import EXPERIMENTS, address_book, scaling
from tx_utils.experiments.address_book import TASK
from tx_utils.experiments.scaling import (
    EXPERIMENT,
    OPTIMIZERS,
    RATES,
    SETTINGS,
    SWEEP,
    Variant,
    WideAttention,
)

B, T, D_MODEL = 3, 11, 13
ADAM = Variant("Adam", 1e-3, scaled=True, d_head=5)


def vectors(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape or (B, T, D_MODEL), generator=torch.Generator().manual_seed(seed))


def layer(variant: Variant, d_model: int = D_MODEL, seed: int = 0) -> WideAttention:
    torch.manual_seed(seed)
    return WideAttention(d_model, variant)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, d_model=6, batch_size=3, batches_per_epoch=2, epochs=2)
    monkeypatch.setattr(scaling, "SETTINGS", small)
    monkeypatch.setattr(address_book, "SETTINGS", replace(address_book.SETTINGS, test_size=5))


# Oracle


@pytest.mark.parametrize("scaled", [True, False])
def test_scores_are_the_dot_products_divided_by_the_root_of_the_head_width_or_not(
    scaled: bool,
) -> None:
    wide, x = layer(replace(ADAM, scaled=scaled)), vectors() * 3 + 1
    normed = F.layer_norm(x, (D_MODEL,))
    query, key = normed @ wide.query_proj.weight.T, normed @ wide.key_proj.weight.T
    scores = query @ key.mT / (math.sqrt(5) if scaled else 1.0)
    output, weights = wide.attend(x)
    torch.testing.assert_close(weights, scores.softmax(dim=-1))
    torch.testing.assert_close(output, weights @ normed @ wide.value_proj.weight.T)
    assert torch.equal(wide(x), output)


def test_unscaled_scores_are_the_scaled_ones_times_the_root_of_the_head_width() -> None:
    scaled, unscaled = layer(ADAM), layer(replace(ADAM, scaled=False))
    x = vectors()
    logs = [wide.attend(x)[1].log() for wide in (scaled, unscaled)]
    # The logarithm of a weight is its score up to the row's constant.
    first, second = (log - log.mean(dim=-1, keepdim=True) for log in logs)
    torch.testing.assert_close(second, math.sqrt(5) * first)


# Property


@pytest.mark.parametrize(("unit_variance", "variance"), [(True, 1.0), (False, 1 / 3)])
@pytest.mark.parametrize("d_head", [64, 512])
def test_queries_and_keys_start_with_the_stated_variance(
    unit_variance: bool, variance: float, d_head: int
) -> None:
    variant = Variant("SGD", 0.1, True, d_head=d_head, unit_variance=unit_variance)
    wide = layer(variant, d_model=256)
    x = wide.norm(vectors(512, 1, 256))
    for projection in (wide.query_proj, wide.key_proj):
        assert projection.weight.shape == (d_head, 256)
        # The weights' mean square has a relative deviation of sqrt(2 / (256 d_head)) < 0.012 (a
        # uniform one's is smaller), and LayerNorm makes every token's mean square exactly 1.
        assert 256 * projection.weight.square().mean().item() == pytest.approx(variance, rel=0.06)
        assert projection(x).var().item() == pytest.approx(variance, rel=0.06)
    assert not torch.equal(wide.query_proj.weight, wide.key_proj.weight)


def test_default_initialisation_is_that_of_torch() -> None:
    wide = layer(replace(ADAM, unit_variance=False))
    torch.manual_seed(0)
    for projection, width in ((wide.query_proj, 5), (wide.key_proj, 5), (wide.value_proj, D_MODEL)):
        assert torch.equal(projection.weight, nn.Linear(D_MODEL, width, bias=False).weight)


def covered() -> Iterator[tuple[str, float, int, float | None, bool]]:
    """What the sweep claims: optimizer and rate by head width, clipping and initialisation."""
    rates = {"SGD": [0.03, 0.1, 0.3, 1.0], "Adam": [3e-4, 1e-3, 3e-3, 1e-2]}
    for optimizer, d_head in product(rates, (512, 64)):
        for rate in rates[optimizer]:
            yield optimizer, rate, d_head, None, True
    yield "SGD", 1.0, 512, 1.0, True  # where the collapse is, clipping undoes it
    for rate in rates["Adam"]:
        yield "Adam", rate, 512, None, False


def test_the_sweep_covers_optimizers_rates_widths_clipping_and_initialisation() -> None:
    expected = [Variant(o, r, s, d, c, u) for o, r, d, c, u in covered() for s in (True, False)]
    assert Counter(SWEEP) == Counter(expected)
    assert RATES.keys() == OPTIMIZERS.keys()
    assert OPTIMIZERS["SGD"] is torch.optim.SGD
    assert OPTIMIZERS["Adam"] is torch.optim.Adam


def test_every_point_is_tried_with_and_without_the_scaling() -> None:
    pairs = Counter(replace(variant, scaled=True) for variant in SWEEP)
    assert set(pairs.values()) == {2}


def test_names_are_unique_and_tell_the_points_apart() -> None:
    names = [variant.name for variant in SWEEP]
    assert len(set(names)) == len(names)
    assert Variant("SGD", 0.3, False).name == "SGD 0.3, d_head 512, unscaled"
    full = Variant("Adam", 3e-4, True, d_head=64, clip_norm=1.0, unit_variance=False)
    assert full.name == "Adam 0.0003, d_head 64, clipped to 1, default initialisation, scaled"


def test_experiment_states_the_sweep_and_its_floors() -> None:
    assert EXPERIMENTS["scaling"] is EXPERIMENT
    assert EXPERIMENTS["address_book"] is address_book.EXPERIMENT
    assert EXPERIMENT.variants == tuple(variant.name for variant in SWEEP)
    stated = EXPERIMENT.settings
    assert stated["variants"] == {variant.name: asdict(variant) for variant in SWEEP}
    assert stated["task"] == asdict(TASK)
    assert {name: stated[name] for name in asdict(SETTINGS)} == asdict(SETTINGS)
    assert EXPERIMENT.floors == {"uniform": math.log(8), "alone": math.log(15)}


def test_experiment_states_the_test_set_that_it_measures_on() -> None:
    stated = EXPERIMENT.settings
    assert stated["test_size"] == address_book.SETTINGS.test_size
    assert stated["test_seed"] == address_book.SETTINGS.test_seed


# Learning


@pytest.mark.usefixtures("tiny")
def test_a_run_is_the_same_for_its_seed_and_another_for_another() -> None:
    result = scaling.run(ADAM, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert scaling.run(ADAM, 3) == result
    assert scaling.run(ADAM, 4).loss != result.loss
    assert math.isfinite(result.loss)


@pytest.mark.usefixtures("tiny")
def test_every_setting_of_a_variant_changes_the_run() -> None:
    sgd = Variant("SGD", 0.1, True, d_head=5)
    changed = [
        sgd,
        replace(sgd, optimizer="Adam"),
        replace(sgd, learning_rate=0.2),
        replace(sgd, scaled=False),
        replace(sgd, d_head=7),
        replace(sgd, clip_norm=0.01),
        replace(sgd, unit_variance=False),
    ]
    losses = [scaling.run(variant, 0).loss for variant in changed]
    assert len(set(losses)) == len(changed)


@pytest.mark.usefixtures("tiny")
def test_the_experiment_finds_a_variant_by_its_name() -> None:
    for variant in (SWEEP[1], SWEEP[-2]):
        assert EXPERIMENT.run(variant.name, 0) == scaling.run(variant, 0)


@pytest.mark.usefixtures("tiny")
def test_a_run_that_diverges_ends_in_a_result() -> None:
    result = scaling.run(Variant("SGD", 1e30, scaled=False, d_head=5), 0)
    assert math.isnan(result.loss)
    assert 0.0 <= result.accuracy <= 1.0

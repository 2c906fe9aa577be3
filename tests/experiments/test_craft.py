"""Lesson 08's experiment: one thing changes at a time, and looking on disturbs nothing."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from tiny_translators import TINY, fingerprint, model, same
from torch import nn

from tx_utils import Transformer, seed_everything
from tx_utils.experiments import craft
from tx_utils.experiments.craft import (
    BASE,
    CLIP_NORM,
    EXPERIMENT,
    SETTINGS,
    STEPS_AFTER,
    VARIANTS,
    BestEpoch,
)
from tx_utils.experiments.translator import Translator
from tx_utils.tasks.translation import Pair, collate
from tx_utils.training import EarlyStopping

SMALL = replace(TINY, dropout=0.1, label_smoothing=0.1)
SEED = 5


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a few steps; a rate so high that the last epoch is not the best."""
    sizes: dict[str, Any] = {
        "limit": 300,
        "train_size": 7,
        "validation_size": 5,
        "test_size": 6,
        "epochs": 4,
        "warmup_steps": 2,
        "learning_rate": 0.2,
        "d_model": 6,
        "num_heads": 2,
        "d_ff": 5,
        "batch_size": 4,
    }
    variants = {name: replace(settings, **sizes) for name, settings in VARIANTS.items()}
    monkeypatch.setattr(craft, "VARIANTS", variants)
    monkeypatch.setattr(craft, "STEPS_AFTER", 5)


# Oracle


def test_each_variant_changes_what_it_is_named_after() -> None:
    changed = {
        variant: {
            name: value
            for name, value in asdict(settings).items()
            if value != getattr(VARIANTS[BASE], name)
        }
        for variant, settings in VARIANTS.items()
    }
    few = {"train_size": 96, "epochs": 225}
    assert changed == {
        "constant, 2 layers": {"schedule": "constant"},
        "inverse sqrt, 2 layers": {},
        "cosine, 2 layers": {"schedule": "cosine"},
        "constant, 4 layers": {"schedule": "constant", "num_layers": 4},
        "inverse sqrt, 4 layers": {"num_layers": 4},
        "cosine, 4 layers": {"schedule": "cosine", "num_layers": 4},
        "constant, 4 layers, twice as long": {
            "schedule": "constant",
            "num_layers": 4,
            "epochs": 60,
        },
        "label smoothing": {"label_smoothing": 0.1},
        "few numbers, dropout 0": {**few, "dropout": 0.0},
        "few numbers, dropout 0.1": few,
        "few numbers, dropout 0.3": {**few, "dropout": 0.3},
    }
    assert VARIANTS[BASE] == SETTINGS
    assert (SETTINGS.limit, SETTINGS.label_smoothing, SETTINGS.clip_norm) == (10_000, 0.0, None)


def test_all_variants_take_as_many_steps_but_the_one_that_says_otherwise() -> None:
    steps = {name: settings.total_steps for name, settings in VARIANTS.items()}
    assert steps.pop("constant, 4 layers, twice as long") == 900
    assert set(steps.values()) == {450}


# Property


def test_the_best_epoch_is_kept_and_nothing_stopped() -> None:
    pupil, best = nn.Linear(1, 1), BestEpoch(epochs=5)
    for number, loss in enumerate([3.0, 1.0, 2.0, 2.5, 1.5]):
        nn.init.constant_(pupil.weight, float(number))
        best.update(loss, pupil)
        assert not best.stopped
    best.restore(pupil)
    assert pupil.weight.item() == 4.0
    EarlyStopping.restore(best, pupil)
    assert pupil.weight.item() == 1.0
    assert best.best_loss == 1.0


def test_watching_for_the_best_epoch_changes_nothing_about_a_run() -> None:
    settings = replace(SMALL, learning_rate=0.3, epochs=6)
    watched, alone, stopped = model(settings), model(settings), model(settings)
    best = BestEpoch(settings.epochs)
    torch.manual_seed(1)
    history = settings.fit(watched, SEED, early_stopping=best)
    torch.manual_seed(1)
    settings.fit(alone, SEED)
    assert history.epochs == 6
    assert same(watched.state_dict(), alone.state_dict())
    assert min(history.validation_loss) == best.best_loss < history.validation_loss[-1]
    torch.manual_seed(1)
    settings.fit(stopped, SEED, early_stopping=EarlyStopping(patience=6))
    assert same(best.best_weights, stopped.state_dict())


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_run_measures_its_end_its_average_and_its_best_epoch(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def match(_: Translator, model: Any, pairs: list[Pair]) -> Any:
        return fingerprint(model), collate(pairs)[0].tolist()

    asked: list[Any] = []

    def after(*arguments: Any, **options: Any) -> list[float]:
        asked.append((*arguments, options))
        return [float(len(asked))]

    monkeypatch.setattr(Translator, "exact_match", match)
    monkeypatch.setattr(craft, "after_bad_batch", after)
    settings = craft.VARIANTS[variant]
    pupil, history, result = craft.run(variant, SEED)
    again, averaged = start(settings)
    assert settings.fit(again, SEED, averaged=averaged).step_loss == history.step_loss
    best, _ = start(settings)
    settings.fit(best, SEED, early_stopping=EarlyStopping(patience=99))
    weights = [fingerprint(module) for module in (again, averaged.module, best)]
    assert len(set(weights)) == 3
    test = collate(settings.task.pairs(settings.split(SEED).test))[0].tolist()
    expected = {
        "exact match": (weights[0], test),
        "exact match, averaged": (weights[1], test),
        "exact match, best epoch": (weights[2], test),
        "validation": history.validation_loss,
    }
    if variant == BASE:
        expected |= {"no bad batch": [1.0], "bad batch": [2.0], "bad batch, clipped": [3.0]}
        options = [given[-1] for given in asked]
        assert options == [{"bad": False}, {}, {"clip_norm": CLIP_NORM}]
        assert all(given[:2] == (settings, pupil) for given in asked)
        assert all(given[4] == SEED for given in asked)
        assert all(given[3].last_epoch == history.steps for given in asked)
    else:
        assert asked == []
    assert result.measures == expected
    assert (result.curve, result.epoch_end) == (history.train_loss, history.epoch_end)
    assert fingerprint(pupil) == weights[0]


def start(settings: Translator) -> tuple[Transformer, Any]:
    seed_everything(SEED)
    pupil = Transformer(settings.config)
    return pupil, settings.average(pupil)


@pytest.mark.usefixtures("tiny")
def test_the_base_goes_on_from_where_it_ended() -> None:
    _, history, result = craft.run(BASE, SEED)
    assert EXPERIMENT.run(BASE, SEED) == result
    for name in ("no bad batch", "bad batch", "bad batch, clipped"):
        losses = result.measures[name]
        assert len(losses) == 7
        assert losses[0] == pytest.approx(history.validation_loss[-1])
    assert result.measures["no bad batch"][1] != result.measures["bad batch"][1]


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "craft"
    assert EXPERIMENT.variants == tuple(VARIANTS)
    assert EXPERIMENT.settings == {
        "variants": {name: asdict(settings) for name, settings in VARIANTS.items()},
        "clip_norm": 0.3,
        "steps_after": 40,
    }
    assert (CLIP_NORM, STEPS_AFTER) == (0.3, 40)

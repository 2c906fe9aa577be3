"""Lesson 09's puzzles: what the two models see, and that one of them can be right in half only."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from torch.nn import functional as F

from tx_utils.experiments import puzzles
from tx_utils.experiments.puzzles import EXPERIMENT, ORDERLESS, POSITIONS, SETTINGS, build
from tx_utils.tasks.digits import load_digits, split_digits

both = pytest.mark.parametrize("variant", [POSITIONS, ORDERLESS])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(
        SETTINGS, batch_size=4, batches_per_epoch=2, epochs=3, test_size=20,
        d_model=6, num_heads=2, d_ff=5, warmup_steps=1,
    )  # fmt: skip
    monkeypatch.setattr(puzzles, "SETTINGS", small)


# Oracle


@pytest.mark.usefixtures("tiny")
@both
def test_a_run_is_measured_on_other_hands_pictures(variant: str) -> None:
    model, history, result = puzzles.run(variant, 3)
    test = puzzles.puzzles(3, test=True)
    pictures, answer = test.sample(20, torch.Generator().manual_seed(SETTINGS.test_seed))
    logits = model(pictures)
    assert result.loss == pytest.approx(F.cross_entropy(logits, answer).item(), rel=1e-5)
    right = (logits.argmax(dim=-1) == answer).float().mean().item()
    assert result.accuracy == pytest.approx(right)
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4, 6])
    assert history.learning_rate[0] == pytest.approx(SETTINGS.learning_rate)
    assert history.learning_rate[-1] == pytest.approx(0, abs=1e-9)


def test_puzzles_are_made_of_the_pictures_of_their_split() -> None:
    images, split = load_digits().images, split_digits(3)
    assert torch.equal(puzzles.puzzles(3).images, images[split.train])
    assert torch.equal(puzzles.puzzles(3, test=True).images, images[split.test])
    assert puzzles.puzzles(3).patch_size == 2


# Property


def test_both_start_with_the_same_weights_but_for_the_positions() -> None:
    torch.manual_seed(0)
    whole = build(POSITIONS).state_dict()
    torch.manual_seed(0)
    orderless = build(ORDERLESS).state_dict()
    assert whole.keys() - orderless.keys() == {"positions.weight"}
    assert all(torch.equal(whole[name], value) for name, value in orderless.items())


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_without_positions_a_pair_gets_one_answer_so_no_weights_beat_the_floor(seed: int) -> None:
    torch.manual_seed(seed)
    model = build(ORDERLESS).double()
    pictures, answer = puzzles.puzzles(0).sample(40, torch.Generator().manual_seed(seed))
    logits = model(pictures.double())
    torch.testing.assert_close(logits[:20], logits[20:])
    assert F.cross_entropy(logits, answer) >= math.log(2) - 1e-12
    with_positions = build(POSITIONS).double()(pictures.double())
    assert not torch.allclose(with_positions[:20], with_positions[20:])


# Learning


@pytest.mark.usefixtures("tiny")
@both
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    _, _, result = puzzles.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result
    assert EXPERIMENT.run(variant, 4).loss != result.loss


# Border


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "puzzles"
    assert EXPERIMENT.settings == asdict(SETTINGS)
    assert EXPERIMENT.variants == (POSITIONS, ORDERLESS)
    assert EXPERIMENT.floors == {ORDERLESS: math.log(2)}
    config = SETTINGS.config
    assert (config.num_classes, config.image_size, config.patch_size) == (2, 8, 2)

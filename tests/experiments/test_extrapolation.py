"""Trained at one length, asked at longer ones; and the model whose weights are written by hand."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from tx_utils import LearnedPositionalEncoding, PositionalEncoding, sinusoidal_encoding
from tx_utils.experiments import EXPERIMENTS, extrapolation
from tx_utils.experiments.extrapolation import (
    EXPERIMENT,
    LONGEST,
    SETTINGS,
    VARIANTS,
    ShiftedPositions,
    accuracy_by_position,
    built_by_hand,
    rotation,
)
from tx_utils.experiments.positions import QueueModel
from tx_utils.tasks import LookBack


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"d_model": 6, "batch_size": 3, "batches_per_epoch": 2, "epochs": 2}
    small = replace(SETTINGS, **sizes, warmup_steps=1, test_size=5)
    monkeypatch.setattr(extrapolation, "SETTINGS", small)


# Oracle


@settings(deadline=None, max_examples=50)
@given(steps=st.integers(-40, 40), half=st.integers(1, 13), place=st.integers(40, 160))
def test_one_matrix_takes_every_place_to_that_so_many_steps_further(
    steps: int, half: int, place: int
) -> None:
    table = sinusoidal_encoding(201, 2 * half)
    matrix = rotation(steps, 2 * half)
    torch.testing.assert_close(matrix @ table[place], table[place + steps], atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2 * half), atol=1e-6, rtol=0)


def test_a_rotation_turns_each_pair_by_steps_times_its_frequency() -> None:
    slow = 3 / 100  # 10000^(-2/4) = 1/100
    expected = torch.zeros(4, 4)
    for start, angle in ((0, 3.0), (2, slow)):
        cos, sin = math.cos(angle), math.sin(angle)
        expected[start : start + 2, start : start + 2] = torch.tensor([[cos, sin], [-sin, cos]])
    torch.testing.assert_close(rotation(3, 4), expected)
    torch.testing.assert_close(rotation(-3, 4), expected.T)
    assert torch.equal(rotation(0, 4), torch.eye(4))


def test_accuracy_by_position_is_a_mean_for_each_place_that_is_asked() -> None:
    torch.manual_seed(0)
    task = LookBack(length=6, vocab_size=7, first_asked=4)
    model = QueueModel(7, 6, nn.Dropout(0.5))  # eval() makes it certain
    found = accuracy_by_position(model, task)
    tokens, target = task.sample(2048, torch.Generator().manual_seed(1_000_000))
    right = model(tokens).argmax(dim=-1) == target
    assert found == pytest.approx([right[:, place].double().mean().item() for place in (4, 5)])
    assert not model.training


# Property


@pytest.mark.parametrize("length", [4, 13, 64])
def test_the_model_built_by_hand_is_right_everywhere(length: int) -> None:
    task = replace(LONGEST, length=length)
    assert accuracy_by_position(built_by_hand(), task) == [1.0] * (length - 3)


def test_the_model_built_by_hand_works_in_late_places_too() -> None:
    model = built_by_hand(max_len=5000)
    tokens, target = LONGEST.sample(7, torch.Generator().manual_seed(0))
    for offset in (0, 1000, 4936):
        x = model.positions(model.embedding(tokens), offset)
        right = model.readout(model.attention(x, x, x)).argmax(dim=-1) == target
        assert right[:, 3:].all()


def test_the_model_built_by_hand_looks_three_places_back() -> None:
    tokens, _ = LONGEST.sample(7, torch.Generator().manual_seed(0))
    weights = built_by_hand().weights(tokens)
    assert weights.diagonal(offset=-3, dim1=1, dim2=2).min() > 0.99


def test_what_is_built_by_hand_has_the_shapes_of_what_is_trained() -> None:
    trained = QueueModel(64, 64, PositionalEncoding(64))
    shapes = {name: p.shape for name, p in trained.named_parameters()}
    assert {name: p.shape for name, p in built_by_hand().named_parameters()} == shapes


def test_shifted_positions_start_at_every_place_that_leaves_room_and_in_training_only() -> None:
    torch.manual_seed(0)
    layer, x = ShiftedPositions(6, max_len=7), torch.zeros(1, 5, 6)
    starts = [layer.encoding[start : start + 5] for start in range(3)]
    seen: list[int] = []
    for _ in range(60):  # a start is missing with probability (2/3)^60 < 1e-10
        output = layer(x)[0]
        seen += [n for n, rows in enumerate(starts) if torch.equal(output, rows)]
    assert len(seen) == 60
    assert set(seen) == {0, 1, 2}
    layer.eval()
    assert torch.equal(layer(x)[0], starts[0])
    assert torch.equal(layer(x, 2)[0], starts[2])


def test_a_sequence_that_fills_the_table_is_not_shifted() -> None:
    layer, x = ShiftedPositions(6, max_len=5), torch.zeros(1, 5, 6)
    assert torch.equal(layer(x)[0], layer.encoding)


def test_variants_are_what_their_names_say() -> None:
    kinds: dict[str, type[nn.Module]] = {
        "sinusoidal": PositionalEncoding,
        "learned": LearnedPositionalEncoding,
        "shifted": ShiftedPositions,
    }
    assert set(VARIANTS) == {
        *("sinusoidal, 12", "learned, 12", "shifted, 12", "sinusoidal, 32", "learned, 32")
    }
    for name, variant in VARIANTS.items():
        kind, length = name.split(", ")
        assert type(variant.positions(6, 5)) is kinds[kind]
        assert variant.length == int(length)
        assert variant.task == LookBack(length=int(length))


def test_longer_queues_ask_those_who_stand_in_new_places_only() -> None:
    longer = VARIANTS["sinusoidal, 12"].longer
    assert longer == tuple(LookBack(length=n, first_asked=12) for n in (14, 17, 22, 24))
    longer = VARIANTS["sinusoidal, 32"].longer
    assert longer == tuple(LookBack(length=n, first_asked=32) for n in (34, 37, 42, 64))


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(name: str) -> None:
    _, history, result = extrapolation.run(name, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(name, 3) == result
    assert EXPERIMENT.run(name, 4).loss != result.loss
    assert history.step_targets == [3 * (VARIANTS[name].length - 3)] * 4
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4])


@pytest.mark.usefixtures("tiny")
def test_a_run_measures_at_its_own_and_at_longer_lengths() -> None:
    model, _, result = extrapolation.run("learned, 12", 3)
    for task, loss, accuracy in (
        (VARIANTS["learned, 12"].task, result.loss, result.accuracy),
        *zip(
            VARIANTS["learned, 12"].longer,
            result.measures["new_loss"],
            result.measures["new_accuracy"],
            strict=True,
        ),
    ):
        tokens, target = task.sample(5, torch.Generator().manual_seed(1_000_000))
        logits = model(tokens)
        assert loss == pytest.approx(F.cross_entropy(logits.mT, target).item(), rel=1e-5)
        right = (logits.argmax(dim=-1) == target)[:, task.first_asked :].double().mean()
        assert accuracy == pytest.approx(right.item(), rel=1e-5)
    assert result.measures["by_position"] == accuracy_by_position(model, LONGEST)
    assert len(result.measures["by_position"]) == 61


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENTS["extrapolation"] is EXPERIMENT
    assert EXPERIMENT.variants == tuple(VARIANTS)
    at_12 = {"length": 12, "longer": [14, 17, 22, 24]}
    at_32 = {"length": 32, "longer": [34, 37, 42, 64]}
    assert EXPERIMENT.settings == asdict(SETTINGS) | {
        "longest": asdict(LookBack(length=64)),
        "variants": {
            "sinusoidal, 12": {"positions": "sinusoidal", **at_12},
            "learned, 12": {"positions": "learned", **at_12},
            "shifted, 12": {"positions": "shifted", **at_12},
            "sinusoidal, 32": {"positions": "sinusoidal", **at_32},
            "learned, 32": {"positions": "learned", **at_32},
        },
    }
    assert EXPERIMENT.floors == {"chance": math.log(64)}

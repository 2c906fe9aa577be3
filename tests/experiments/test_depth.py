"""The depth ablation: five joins that differ in nothing else, and honest looks inside."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tx_utils import EncoderLayer, History, layer_norm
from tx_utils.experiments import depth
from tx_utils.experiments.deep_model import JOINS, DeepModel, JoinedLayer
from tx_utils.experiments.depth import (
    EXPERIMENT,
    SETTINGS,
    TASK,
    VARIANTS,
    Variant,
    first_moves,
    gradient_norms,
    mean_cosines,
    start,
)

B, T, D_MODEL, D_FF = 3, 7, 6, 11
FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "none": lambda x, said: said,
    "norm only": lambda x, said: normalised(said),
    "residual only": lambda x, said: x + said,
    "post-norm": lambda x, said: normalised(x + said),
}


def normalised(x: Tensor) -> Tensor:
    return layer_norm(x, torch.ones(x.size(-1)), torch.zeros(x.size(-1)))


def vectors(seed: int = 0) -> Tensor:
    return torch.randn(B, T, D_MODEL, generator=torch.Generator().manual_seed(seed))


def batch(size: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    return TASK.sample(size, torch.Generator().manual_seed(seed))


def model(join: str, num_layers: int = 3, seed: int = 0) -> DeepModel:
    return depth.start(Variant(join, num_layers=num_layers), seed)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of two steps, which show how they are made, not what they reach."""
    small = replace(SETTINGS, batch_size=3, batches_per_epoch=2, epochs=1, test_size=5)
    monkeypatch.setattr(depth, "SETTINGS", small)


# Oracle


@pytest.mark.parametrize("join", FORMULAS)
def test_a_join_is_its_formula(join: str) -> None:
    x = vectors()
    expected = FORMULAS[join](x, x.square())
    torch.testing.assert_close(JOINS[join](D_MODEL)(x, torch.square), expected)


def test_pre_norm_shows_the_sublayer_the_normalised_vectors_and_adds_to_the_others() -> None:
    x = vectors()
    expected = x + normalised(x).square()
    torch.testing.assert_close(JOINS["pre-norm"](D_MODEL)(x, torch.square), expected)


@pytest.mark.parametrize("norm_first", [False, True])
def test_with_either_norm_order_the_layer_is_the_package_s_encoder_layer(norm_first: bool) -> None:
    torch.manual_seed(0)
    ours = JoinedLayer("pre-norm" if norm_first else "post-norm", D_MODEL, 2, D_FF)
    torch.manual_seed(0)
    theirs = EncoderLayer(D_MODEL, 2, D_FF, norm_first=norm_first)
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(left, right)
    torch.testing.assert_close(ours(vectors()), theirs(vectors()))


def test_the_joins_stand_around_attention_and_then_feed_forward() -> None:
    torch.manual_seed(0)
    layer, x = JoinedLayer("none", D_MODEL, 2, D_FF), vectors()
    torch.testing.assert_close(layer(x), layer.feed_forward(layer.self_attention(x, x, x)))


def test_the_model_adds_positions_passes_all_layers_and_reads_off() -> None:
    deep, (tokens, _) = model("post-norm"), batch()
    x = deep.embedding.weight[tokens] + deep.positions.weight
    states = deep.stream(tokens)
    torch.testing.assert_close(states[0], x)
    for layer, (before, after) in zip(deep.layers, pairwise(states), strict=True):
        torch.testing.assert_close(after, layer(before))
    expected = states[-1] @ deep.readout.weight.T + deep.readout.bias
    torch.testing.assert_close(deep(tokens), expected)
    assert deep(tokens).shape == (*tokens.shape, TASK.vocab_size)


def test_only_pre_norm_has_a_final_norm() -> None:
    tokens, _ = batch()
    for join in JOINS:
        deep = model(join)
        last = deep.stream(tokens)[-1]
        expected = deep.readout(normalised(last) if join == "pre-norm" else last)
        torch.testing.assert_close(deep(tokens), expected)


@pytest.mark.parametrize("join", JOINS)
def test_gradient_norms_are_those_of_the_loss(join: str) -> None:
    deep, (tokens, target) = model(join), batch()
    norms = gradient_norms(deep, tokens, target)
    assert all(parameter.grad is None for parameter in deep.parameters())  # nothing is left behind
    F.cross_entropy(deep(tokens).mT, target).backward()
    expected = []
    for layer in deep.layers:
        assert isinstance(layer, JoinedLayer)
        gradient = layer.feed_forward.linear1.weight.grad
        assert gradient is not None
        expected.append(gradient.square().sum().sqrt().item())
    assert norms == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("join", ["none", "post-norm"])
def test_first_moves_is_adams_first_step_and_leaves_the_model_alone(join: str, eps: float) -> None:
    deep, (tokens, target) = model(join), batch()
    moves = first_moves(deep, tokens, target, learning_rate=0.01, eps=eps)
    assert all(
        torch.equal(a, b) for a, b in zip(deep.parameters(), model(join).parameters(), strict=True)
    )
    F.cross_entropy(deep(tokens).mT, target).backward()
    for layer, move in zip(deep.layers, moves, strict=True):
        assert isinstance(layer, JoinedLayer)
        gradient = layer.feed_forward.linear1.weight.grad
        assert gradient is not None
        # Kingma and Ba (2015): with both moments corrected, the first step is g / (|g| + eps).
        expected = (gradient.abs() / (gradient.abs() + eps)).max().item()
        assert move == pytest.approx(expected, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e3]))
def test_mean_cosines_is_the_mean_over_all_pairs(seed: int, scale: float) -> None:
    x = vectors(seed)
    pairs = [
        F.cosine_similarity(sequence[i], sequence[j], dim=0).item()
        for sequence in x
        for i in range(T)
        for j in range(T)
        if i != j
    ]
    (found,) = mean_cosines([x * scale])  # a cosine knows no length
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)


# Property


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_layer_left_out_is_a_layer_that_is_not_there(number: int) -> None:
    deep, (tokens, _) = model("pre-norm"), batch()
    shorter = model("pre-norm")
    del shorter.layers[number]
    torch.testing.assert_close(deep(tokens, without=number), shorter(tokens))
    assert len(deep.stream(tokens, without=number)) == 3


@pytest.mark.parametrize("number", [-1, 3])
def test_a_layer_that_is_not_there_cannot_be_left_out(number: int) -> None:
    deep, (tokens, _) = model("pre-norm"), batch()
    message = f"without must be a layer's number, 0 to 2, got {number}"
    for call in (deep, deep.stream):
        with pytest.raises(ValueError, match=re.escape(message) + "$"):
            call(tokens, without=number)


@pytest.mark.parametrize("join", JOINS)
def test_a_gradient_reaches_every_parameter_but_the_key_biases(join: str) -> None:
    deep, (tokens, target) = model(join, num_layers=1), batch()
    F.cross_entropy(deep(tokens).mT, target).backward()
    for name, parameter in deep.named_parameters():
        assert parameter.grad is not None, name
        if "key_proj.bias" not in name:
            assert parameter.grad.abs().max() > 0, name


def test_models_differ_in_nothing_but_the_joins() -> None:
    """Same seed, same weights: whatever differs between two curves comes from the join."""
    weights = {
        join: {k: v for k, v in model(join).named_parameters() if "norm" not in k} for join in JOINS
    }
    for others in weights.values():
        assert others.keys() == weights["none"].keys()
        assert all(torch.equal(others[name], value) for name, value in weights["none"].items())


def test_layers_do_not_share_or_start_with_equal_weights() -> None:
    first, second, _ = (layer.state_dict() for layer in model("none").layers)
    assert not torch.equal(
        first["feed_forward.linear1.weight"], second["feed_forward.linear1.weight"]
    )


def test_another_seed_is_another_model() -> None:
    assert torch.equal(model("none").readout.weight, model("none").readout.weight)
    assert not torch.equal(model("none").readout.weight, model("none", seed=1).readout.weight)


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", [Variant("none", num_layers=2), Variant("pre-norm", 3e-3, 50)])
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: Variant) -> None:
    deep, history, result = depth.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert depth.run(variant, 3)[2] == result
    assert depth.run(variant, 4)[2].loss != result.loss
    assert len(deep.layers) == variant.num_layers
    assert (result.curve, result.epoch_end) == (history.train_loss, [2])
    assert history.step_targets == [3 * 8] * 2


@pytest.mark.usefixtures("tiny")
def test_the_seed_names_the_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "start", lambda variant, _: start(variant, 0))
    variant = Variant("none", num_layers=1)
    assert depth.run(variant, 3)[2].curve != depth.run(variant, 4)[2].curve  # weights are equal


@pytest.mark.usefixtures("tiny")
def test_measures_are_taken_before_and_after_training() -> None:
    variant = Variant("post-norm", 3e-3, num_layers=2)
    deep, _, result = depth.run(variant, 0)
    tokens, target = TASK.sample(SETTINGS.probe_size, torch.Generator().manual_seed(1_000_000))
    untrained = depth.start(variant, 0)
    assert result.measures == {
        "gradients": gradient_norms(untrained, tokens, target),
        "cosines": mean_cosines(untrained.stream(tokens)),
        "cosines after training": mean_cosines(deep.stream(tokens)),
    }
    assert result.measures["cosines"] != result.measures["cosines after training"]


def test_the_rate_rises_in_equal_steps_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, batch_size=3, batches_per_epoch=6, epochs=1, test_size=5)
    monkeypatch.setattr(depth, "SETTINGS", small)
    _, history, _ = depth.run(Variant("none", 4e-3, warmup_steps=4, num_layers=1), 0)
    assert history.learning_rate == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 4e-3, 4e-3])
    _, history, _ = depth.run(Variant("none", 4e-3, num_layers=1), 0)
    assert history.learning_rate == [4e-3] * 6


def test_one_layer_learns_the_task() -> None:
    _, history, result = depth.run(Variant("residual only", 3e-3, num_layers=1), 0)
    assert isinstance(history, History)
    assert result.accuracy > 0.95


def test_the_experiment_says_all_that_its_numbers_depend_on() -> None:
    named: dict[str, Any] = {variant.name: asdict(variant) for variant in VARIANTS}
    assert len(named) == len(VARIANTS) == 27
    assert EXPERIMENT.name == "depth"
    assert EXPERIMENT.variants == tuple(named)
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": asdict(TASK), "variants": named}
    assert EXPERIMENT.floors == {"chance": math.log(16), "one answer": math.log(8)}
    assert EXPERIMENT.settings["task"] == {"length": 8, "vocab_size": 16}


@pytest.mark.usefixtures("tiny")
def test_the_experiment_runs_the_variant_it_names() -> None:
    for variant in VARIANTS[:2]:
        assert EXPERIMENT.run(variant.name, 0) == depth.run(variant, 0)[2]


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (Variant("none"), "none, 0.001"),
        (Variant("post-norm", 3e-3, 50), "post-norm, 0.003, warm-up 50"),
        (Variant("norm only", num_layers=2), "norm only, 0.001, depth 2"),
    ],
)
def test_names_say_what_is_unusual(variant: Variant, name: str) -> None:
    assert variant.name == name


def test_the_two_joins_of_a_layer_do_not_share_their_norm() -> None:
    layer = JoinedLayer("post-norm", D_MODEL, 2, D_FF)
    norms = [part for part in layer.modules() if type(part).__name__ == "LayerNorm"]
    assert len(norms) == 2

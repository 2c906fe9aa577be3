"""The models of lesson 04: which are additive, which are not, and that nothing else differs."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import FeedForward, LayerNorm
from tx_utils.experiments import sum_modulo
from tx_utils.experiments.sum_modulo import (
    EXPERIMENT,
    LARGER,
    LAYERS,
    SETTINGS,
    TASK,
    WIDTHS,
    LinearFeedForward,
    Plus,
    make_model,
    mass_on_asked,
    narrow,
    run,
)

B, T, D_MODEL, D_FF = 2, 3, 7, 11
ADDITIVE = ("linear", "none")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, d_model=6, batch_size=3, batches_per_epoch=2, epochs=1, test_size=5)
    monkeypatch.setattr(sum_modulo, "SETTINGS", small)


def vectors() -> Tensor:
    return torch.randn(B, T, D_MODEL, generator=torch.Generator().manual_seed(1))


def interaction(variant: str, seed: int) -> float:
    """How far the logits are from a sum of one term per digit, at most."""
    model = make_model(variant).double()
    *inputs, _ = TASK.all_pairs(torch.Generator().manual_seed(seed))
    z = model(*inputs).unflatten(0, (TASK.num_digits, -1))  # (first digit, second digit, answer)
    return (z - z[:1] - z[:, :1] + z[:1, :1]).abs().max().item()


# Oracle


def test_the_linear_network_is_two_matrices_and_so_one() -> None:
    torch.manual_seed(0)
    layer, x = LinearFeedForward(D_MODEL, D_FF), vectors()
    weight = layer.linear2.weight @ layer.linear1.weight
    bias = layer.linear2.weight @ layer.linear1.bias + layer.linear2.bias
    torch.testing.assert_close(layer(x), F.linear(x, weight, bias))


def test_plus_adds_what_the_layer_says() -> None:
    x = vectors()
    layer = nn.Linear(D_MODEL, D_MODEL)
    assert torch.equal(Plus(layer)(x), x + layer(x))


@pytest.mark.parametrize("variant", EXPERIMENT.variants)
def test_logits_are_read_from_what_follows_attention(variant: str) -> None:
    model = make_model(variant)
    asked, names, digits, _ = TASK.sample(3, torch.Generator().manual_seed(0))
    found = model.attention(model.question(asked), model.name(names), model.held(digits))
    expected = found
    if variant == "LayerNorm":
        expected = F.layer_norm(found, (SETTINGS.d_model,))
    elif variant != "none":
        assert isinstance(model.after, Plus)
        expected = found + model.after.layer(found)
    torch.testing.assert_close(model(asked, names, digits), model.readout(expected)[:, 0])


def test_attention_on_the_two_asked_for_is_counted_as_by_a_slow_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sum_modulo, "SETTINGS", replace(SETTINGS, test_size=13, test_seed=7))
    torch.manual_seed(0)
    model = make_model("none")
    asked, names, *_ = TASK.sample(13, torch.Generator().manual_seed(7))
    weights = model.weights(asked, names)  # (B, H, 1, T)
    for head, share in enumerate(mass_on_asked(model)):
        found = [
            weights[row, head, 0, names[row].tolist().index(name)].item()
            for row in range(13)
            for name in asked[row].tolist()
        ]
        assert share == pytest.approx(sum(found) / 13, rel=1e-5)


# Property


def test_each_variant_has_the_layer_that_it_is_named_after() -> None:
    layers = {variant: make_model(variant).after for variant in EXPERIMENT.variants}
    assert isinstance(layers.pop("none"), nn.Identity)
    assert isinstance(layers.pop("LayerNorm"), LayerNorm)
    activations = {"linear": nn.Identity, "GELU": nn.GELU, LARGER: nn.GELU}
    for variant, layer in layers.items():
        assert isinstance(layer, Plus)
        assert isinstance(layer.layer, FeedForward)
        assert type(layer.layer.activation) is activations.get(variant, nn.ReLU)
        width = int(variant.rpartition(" ")[2]) if "width" in variant else 128
        assert layer.layer.linear1.out_features == width
    assert [narrow(width) for width in WIDTHS] == [v for v in EXPERIMENT.variants if "width" in v]


def test_larger_values_are_four_times_as_large_and_nothing_else() -> None:
    plain, larger = make_model("GELU"), make_model(LARGER)
    assert [p.shape for p in plain.parameters()] == [p.shape for p in larger.parameters()]
    size = {name: p.std().item() for name, p in larger.named_parameters() if p.dim() == 2}
    assert size.pop("held.weight") == pytest.approx(4.0, rel=0.25)
    for name, p in plain.named_parameters():
        if name in size:
            assert size[name] == pytest.approx(p.std().item(), rel=0.25)


def test_relu_and_linear_start_from_the_same_numbers() -> None:
    parameters = []
    for variant in ("ReLU", "linear"):
        torch.manual_seed(5)
        parameters.append(dict(make_model(variant).named_parameters()))
    relu, linear = parameters
    assert relu.keys() == linear.keys()
    assert all(torch.equal(relu[name], linear[name]) for name in relu)
    assert sum(p.numel() for p in relu.values()) == 13_669
    assert sum(p.numel() for p in make_model("none").parameters()) == 5_317


@pytest.mark.parametrize("variant", LAYERS)
def test_only_a_nonlinearity_makes_the_digits_interact(variant: str) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        size = interaction(variant, seed)
        assert size < 1e-12 if variant in ADDITIVE else size > 1e-4


@settings(deadline=None, max_examples=25)
@given(
    variant=st.sampled_from(ADDITIVE),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
    seed=st.integers(0, 2**31),
)
def test_no_additive_model_beats_its_floor_in_any_table(
    variant: str, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    model = make_model(variant)
    nn.init.normal_(model.readout.weight, std=scale)
    *inputs, answer = TASK.all_pairs(torch.Generator().manual_seed(seed))
    assert F.cross_entropy(model(*inputs), answer).item() >= TASK.additive_floor - 1e-5


@pytest.mark.parametrize("variant", LAYERS)
def test_a_gradient_reaches_every_parameter_but_the_key_bias(variant: str) -> None:
    torch.manual_seed(0)
    model = make_model(variant)
    *inputs, answer = TASK.sample(23, torch.Generator().manual_seed(0))
    F.cross_entropy(model(*inputs), answer).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        reached = parameter.grad.abs().max().item() > 1e-7
        assert reached == (name != "attention.key_proj.bias")  # the softmax ignores it


def test_experiment_says_what_its_numbers_depend_on() -> None:
    assert EXPERIMENT.settings == {**asdict(SETTINGS), "task": asdict(TASK)}
    assert EXPERIMENT.floors == {"additive": math.log(5)}
    assert EXPERIMENT.variants[:3] == ("ReLU", "linear", "none")
    assert SETTINGS.test_size >= 5_000


# Border


def test_an_unknown_variant_is_no_model() -> None:
    with pytest.raises(KeyError, match="tanh"):
        make_model("tanh")


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", ["ReLU", "none", LARGER, "ReLU, width 2"])
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    model, history, result = run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result == run(variant, 3)[2]
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert model.readout.in_features == 6
    assert history.step_targets == [3, 3]
    assert history.learning_rate == [3e-3] * 2
    assert (result.curve, result.epoch_end) == (history.train_loss, [2])
    assert result.measures == {"on_asked": mass_on_asked(model)}


def test_what_the_name_says_is_what_is_trained() -> None:
    _, _, result = run("ReLU, width 16", 0)
    assert result.loss < TASK.additive_floor / 2

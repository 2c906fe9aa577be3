"""The four models of lesson 01: each does what its name says, and a run hangs on its seed alone."""

import math
from dataclasses import asdict, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import History, scaled_dot_product_attention
from tx_utils.experiments import address_book
from tx_utils.experiments.address_book import (
    EXPERIMENT,
    MIXERS,
    SETTINGS,
    TASK,
    AddressBookModel,
    Alone,
    SelfAttention,
    TiedAttention,
    UniformAttention,
)
from tx_utils.experiments.recipe import measure
from tx_utils.tasks import fixed_loader, friend_positions

B, T, D_MODEL, D_HEAD = 2, 5, 7, 3


def vectors() -> Tensor:
    return torch.randn(B, T, D_MODEL, generator=torch.Generator().manual_seed(1))


def people(seed: int, size: int = 3) -> tuple[Tensor, Tensor]:
    return TASK.sample(size, torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(SETTINGS, d_model=6, batch_size=3, batches_per_epoch=2, epochs=1, test_size=5)
    monkeypatch.setattr(address_book, "SETTINGS", small)


# Oracle


@pytest.mark.parametrize("d_head", [None, D_HEAD])
def test_self_attention_is_the_formula(d_head: int | None) -> None:
    layer, x = SelfAttention(D_MODEL, d_head), vectors()
    query, key, value = (
        x @ p.weight.T for p in (layer.query_proj, layer.key_proj, layer.value_proj)
    )
    assert query.shape == key.shape == (B, T, d_head or D_MODEL)
    weights = (query @ key.mT / math.sqrt(d_head or D_MODEL)).softmax(dim=-1)
    output, seen = layer.attend(x)
    torch.testing.assert_close(seen, weights)
    torch.testing.assert_close(output, weights @ value)
    torch.testing.assert_close(output, F.scaled_dot_product_attention(query, key, value))
    assert torch.equal(layer(x), output)
    assert len(list(layer.parameters())) == 3


def test_uniform_attention_is_attention_with_all_scores_zero() -> None:
    layer, x = UniformAttention(D_MODEL), vectors()
    expected, weights = scaled_dot_product_attention(torch.zeros_like(x), x, layer.value_proj(x))
    assert weights.unique().tolist() == pytest.approx([1 / T])
    torch.testing.assert_close(layer(x), expected)


def test_alone_is_a_network_of_one_hidden_layer() -> None:
    layer, x = Alone(D_MODEL), vectors()
    (weight1, bias1), (weight2, bias2) = [
        (part.weight, part.bias) for part in layer if isinstance(part, nn.Linear)
    ]
    hidden = (x @ weight1.T + bias1).clamp(min=0)
    torch.testing.assert_close(layer(x), hidden @ weight2.T + bias2)


def test_model_sums_three_vectors_mixes_and_reads_off() -> None:
    model = AddressBookModel(Alone(D_MODEL), D_MODEL)
    tokens, _ = people(0)
    logits = model(tokens)
    assert logits.shape == (3, 8, 16)
    tables = model.own_name.weight, model.own_number.weight, model.friend_name.weight
    for sequence, row in zip(tokens.tolist(), logits, strict=True):
        for ids, scores in zip(sequence, row, strict=True):
            vector = sum((table[i] for table, i in zip(tables, ids, strict=True)), torch.zeros(()))
            torch.testing.assert_close(scores, model.readout(model.mixer(vector)))


# Property

weights_and_tokens = {"seed": st.integers(0, 2**31), "scale": st.sampled_from([0.1, 1.0, 10.0])}


@settings(deadline=None, max_examples=50)
@given(**weights_and_tokens)
def test_uniform_attention_gives_all_one_answer_and_never_beats_its_floor(
    seed: int, scale: float
) -> None:
    torch.manual_seed(seed)
    model = AddressBookModel(UniformAttention(D_MODEL), D_MODEL)
    nn.init.normal_(model.readout.weight, std=scale)
    tokens, target = people(seed)
    logits = model(tokens)
    assert torch.equal(logits, logits[:, :1].expand_as(logits))
    for scores, numbers in zip(logits, target, strict=True):  # in every single sequence
        assert F.cross_entropy(scores, numbers).item() >= TASK.uniform_floor - 1e-5


@settings(deadline=None, max_examples=50)
@given(**weights_and_tokens)
def test_tied_attention_never_points_everybody_to_their_friend(seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    layer = TiedAttention(D_MODEL)
    nn.init.normal_(layer.query_proj.weight, std=scale)
    model = AddressBookModel(layer, D_MODEL).double()  # float32 is symmetric to rounding only
    tokens, _ = people(seed, size=20)
    query = layer.query_proj(model.embed(tokens))
    scores = query @ query.mT
    torch.testing.assert_close(scores, scores.mT)
    _, weights = layer.attend(model.embed(tokens))
    torch.testing.assert_close(weights, (scores / math.sqrt(D_MODEL)).softmax(dim=-1))
    friends = friend_positions(tokens)[..., None]
    others = scores.scatter(-1, friends, -math.inf).amax(dim=-1)
    right = (scores.gather(-1, friends)[..., 0] > others).sum(dim=-1)
    assert right.max() <= TASK.people - 1


def test_tied_attention_has_one_projection_where_attention_has_two() -> None:
    tied, free = TiedAttention(D_MODEL), SelfAttention(D_MODEL)
    assert tied.key_proj is tied.query_proj
    assert (len(list(tied.parameters())), len(list(free.parameters()))) == (2, 3)
    assert not torch.equal(free.query_proj.weight, free.key_proj.weight)


@pytest.mark.parametrize("name", MIXERS)
def test_only_alone_keeps_a_token_from_seeing_the_others(name: str) -> None:
    torch.manual_seed(0)
    layer, x = MIXERS[name](D_MODEL), vectors()
    others_changed = x.clone()
    others_changed[:, 1:] += 1.0
    unmoved = torch.equal(layer(x)[:, 0], layer(others_changed)[:, 0])
    assert unmoved == (name == "alone")


@pytest.mark.parametrize("name", MIXERS)
def test_the_order_of_the_people_means_nothing(name: str) -> None:
    torch.manual_seed(0)
    model = AddressBookModel(MIXERS[name](D_MODEL), D_MODEL)
    tokens, _ = people(0)
    order = torch.randperm(TASK.people)
    torch.testing.assert_close(model(tokens[:, order]), model(tokens)[:, order])


@pytest.mark.parametrize("name", MIXERS)
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    model = AddressBookModel(MIXERS[name](D_MODEL), D_MODEL)
    tokens, target = people(0)
    F.cross_entropy(model(tokens).mT, target).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_models_differ_in_nothing_but_the_mixer() -> None:
    shapes = []
    for mixer in MIXERS.values():
        named = AddressBookModel(mixer(D_MODEL), D_MODEL).named_parameters()
        shapes.append([(n, p.shape) for n, p in named if not n.startswith("mixer.")])
    assert all(shape == shapes[0] for shape in shapes)


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", MIXERS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    model, history, result = address_book.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result == address_book.run(variant, 3)[2]
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert isinstance(model.mixer, MIXERS[variant])
    assert history.step_targets == [3 * 8] * 2
    assert history.learning_rate == [3e-3] * 2
    assert (result.curve, result.epoch_end) == (history.train_loss, [2])
    assert history.train_loss == [pytest.approx(sum(history.step_loss) / 2)]


def test_measure_is_a_plain_mean_over_the_test_set() -> None:
    torch.manual_seed(0)
    model = AddressBookModel(Alone(D_MODEL), D_MODEL)
    result = measure(model, TASK.sample, SETTINGS, History(train_loss=[5.0], epoch_end=[7]))
    loader = fixed_loader(TASK.sample, size=2048, batch_size=2048, seed=1_000_000)
    ((tokens, target),) = loader
    logits = model(tokens)
    assert result.loss == pytest.approx(F.cross_entropy(logits.mT, target).item(), rel=1e-5)
    right = (logits.argmax(dim=-1) == target).double().mean().item()
    assert result.accuracy == pytest.approx(right, rel=1e-5)
    assert (result.curve, result.epoch_end) == ([5.0], [7])


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "address_book"
    assert EXPERIMENT.variants == ("attention", "uniform", "alone", "tied")
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": asdict(TASK)}
    assert EXPERIMENT.floors == {"uniform": math.log(8), "alone": math.log(15)}

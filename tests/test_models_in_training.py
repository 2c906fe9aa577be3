"""How the models start, what dropout and gradients reach, and that they learn."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import parity
from small_models import (
    LAYERS,
    AnyConfig,
    Config,
    both_writers,
    build,
    every_model,
    logits,
    one_of_each,
    output,
    random_model,
    table,
)
from tx_utils import BERT, GPT, GPTConfig, Residual, Transformer, TransformerConfig

# Property


@every_model
def test_no_two_matrices_start_equal(config: AnyConfig) -> None:
    matrices = {name: p for name, p in build(config).named_parameters() if p.dim() == 2}
    assert len(matrices) >= 6 * LAYERS
    for (name, a), (other, b) in combinations(matrices.items(), 2):
        assert not torch.equal(a, b), f"{name} equals {other}"


@pytest.mark.parametrize(("scale", "size"), [(True, 1.0), (False, 101**-0.5)])
def test_tokens_and_positions_start_with_like_size(scale: bool, size: float) -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(211, 101, 1, 1, 17, max_len=211, scale_embedding=scale))
    ids = torch.arange(211)[None]
    assert model.embedding.weight.std().item() == pytest.approx(101**-0.5, rel=0.05)
    assert model.embedding(ids).std().item() == pytest.approx(size, rel=0.05)
    assert model.positions.weight.std().item() == pytest.approx(size, rel=0.05)


@every_model
def test_a_gradient_reaches_every_parameter_but_the_key_biases(config: AnyConfig) -> None:
    torch.manual_seed(0)
    model = build(config).double()
    made = output(model)
    (made * parity.tensor(*made.shape)).sum().backward()
    sizes = {name: float(grad.abs().max()) for name, grad in parity.gradients(model).items()}
    assert sizes.keys() == dict(model.named_parameters()).keys()
    for name, size in sizes.items():
        # Softmax ignores what is added to a whole row of scores: all that a key bias can do.
        assert (size < 1e-10) == name.endswith("key_proj.bias"), name


@both_writers
def test_tied_weights_collect_both_gradients(config: Config) -> None:
    tied, untied = random_model(config), random_model(replace(config, tie_weights=False))
    untied.load_state_dict(tied.state_dict())
    for model in (tied, untied):
        logits(model).square().sum().backward()
    total, of_output = table(tied).grad, untied.output_proj.weight.grad
    of_embedding = table(untied).grad
    assert total is not None
    assert of_output is not None
    assert of_embedding is not None
    parity.assert_close(total, of_output + of_embedding)
    assert of_embedding.abs().max() > 1e-3


@both_writers
def test_tied_weights_survive_copies_and_untied_ones_are_apart(config: Config) -> None:
    tied, untied = build(config), build(replace(config, tie_weights=False))
    assert table(untied).data_ptr() != untied.output_proj.weight.data_ptr()
    for model in (tied, copy.deepcopy(tied), pickle.loads(pickle.dumps(tied))):
        assert table(model) is model.output_proj.weight
        assert torch.equal(logits(model), logits(tied))
    if isinstance(tied, Transformer):  # the source may speak another language
        assert tied.source_embedding.weight is not table(tied)


@one_of_each
def test_a_copy_computes_the_same_and_is_apart(config: AnyConfig) -> None:
    model = build(config)
    before = output(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(output(twin), before)
        for parameter in twin.parameters():
            nn.init.zeros_(parameter)
    assert torch.equal(output(model), before)


@every_model
def test_without_dropout_training_and_evaluation_agree(config: AnyConfig) -> None:
    model = random_model(config)
    assert torch.equal(output(model.train()), output(model.eval()))


@one_of_each
def test_dropout_sits_on_sublayer_outputs_and_on_the_embedded_input(config: AnyConfig) -> None:
    model = build(replace(config, dropout=0.3))
    on = {n for n, p in model.named_modules() if isinstance(p, nn.Dropout) and p.p == 0.3}
    residuals = {n for n, p in model.named_modules() if isinstance(p, Residual)}
    at_the_input = "dropout" if isinstance(model, BERT) else "positions.dropout"
    assert on == {f"{name}.dropout" for name in residuals} | {at_the_input}
    assert len(residuals) == LAYERS * (5 if isinstance(model, Transformer) else 2)
    others = [p.p for n, p in model.named_modules() if isinstance(p, nn.Dropout) and n not in on]
    assert set(others) == {0.0}
    assert not torch.equal(output(model), output(model))
    assert torch.equal(output(model.eval()), output(model))


@one_of_each
def test_what_enters_a_stack_is_dropped_once(config: AnyConfig) -> None:
    torch.manual_seed(0)
    model = random_model(replace(config, dropout=0.75))
    entering: list[Tensor] = []
    stacks = [model.encoder, model.decoder] if isinstance(model, Transformer) else [model.encoder]
    for stack in stacks:
        stack.register_forward_pre_hook(lambda _, args: entering.append(args[0]))
    output(model)
    dropped = entering.copy()
    output(model.eval())
    whole = entering[len(dropped) :]
    assert len(dropped) == len(whole) == len(stacks)
    for some, all_ in zip(dropped, whole, strict=True):
        kept = some != 0
        parity.assert_close(some[kept], 4 * all_[kept])
        assert kept.double().mean().item() == pytest.approx(0.25, abs=0.12)


# Learning


def fit(model: nn.Module, steps: int, loss_of: Callable[[torch.Generator], Tensor]) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(generator).backward()
        optimizer.step()


def test_a_gpt_learns_a_repeated_pattern() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(4, 24, 3, 1, 47, max_len=7))
    pattern = torch.tensor([1, 2, 1, 3] * 3)  # after a 1, only the token before it tells what comes

    def cuts(generator: torch.Generator) -> Tensor:
        starts = torch.randint(4, (16, 1), generator=generator)
        return pattern[starts + torch.arange(8)]

    def loss_of(generator: torch.Generator) -> Tensor:
        batch = cuts(generator)
        return F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    fit(model, 150, loss_of)
    batch = cuts(torch.Generator().manual_seed(1))
    right = model.eval()(batch[:, :-1]).argmax(-1) == batch[:, 1:]
    # From the second token on; who only knows the current token is right 3 times in 4 at best.
    assert right[:, 1:].double().mean().item() > 0.95


def test_a_transformer_learns_to_copy() -> None:
    torch.manual_seed(0)
    config = TransformerConfig(7, 7, 24, 3, 1, 31, max_len=3, dropout=0.0, norm_first=True)
    model = Transformer(config)

    def sources(generator: torch.Generator) -> Tensor:  # 0 pads, 1 starts
        ids = torch.randint(2, 7, (32, 3), generator=generator)
        lengths = torch.randint(1, 4, (32, 1), generator=generator)
        return ids.masked_fill(torch.arange(3) >= lengths, 0)

    def loss_of(generator: torch.Generator) -> Tensor:
        source = sources(generator)
        target = F.pad(source[:, :-1], (1, 0), value=1)
        return F.cross_entropy(model(source, target).transpose(1, 2), source, ignore_index=0)

    fit(model, 150, loss_of)
    source = sources(torch.Generator().manual_seed(1))
    target = torch.ones(32, 1, dtype=torch.int64)
    for _ in range(3):  # free generation: the model reads what it wrote itself
        target = torch.cat([target, model.eval()(source, target)[:, -1:].argmax(-1)], dim=1)
    exact = ((target[:, 1:] == source) | (source == 0)).all(-1)
    assert exact.double().mean().item() > 0.7  # guessing: sum of (1/5)^length / 3 = 0.08

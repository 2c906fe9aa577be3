"""The training loop against one written by hand, bit by bit."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, parameters_to_vector
from torch.optim import SGD, Adam
from toy_runs import KINDS, Pairs, ToyRun, plain, samples, toy_run

from tx_utils import TokenAccuracy, TokenCrossEntropy, evaluate, train, train_step

BY_HAND = ("loss", "targets", "rate", "norm")


def train_by_hand(run: ToyRun, epochs: int, clip_norm: float | None) -> dict[str, list[Any]]:
    noted: dict[str, list[Any]] = {name: [] for name in (*BY_HAND, "epoch", "validation")}
    parameters = list(run.model.parameters())
    for epoch in range(epochs):
        if hasattr(run.loader.dataset, "set_epoch"):
            run.loader.dataset.set_epoch(epoch)
        run.model.train()
        total, count = 0.0, 0
        for x, target in run.loader:
            loss = F.cross_entropy(run.model(x), target)
            grads = torch.autograd.grad(loss, parameters)
            for parameter, grad in zip(parameters, grads, strict=True):
                parameter.grad = grad.clone()
            norm = clip_grad_norm_(parameters, math.inf if clip_norm is None else clip_norm)
            rate = run.optimizer.param_groups[0]["lr"]
            run.optimizer.step()
            run.schedule.step()
            for name, value in zip(BY_HAND, (loss.item(), len(x), rate, norm.item()), strict=True):
                noted[name].append(value)
            total, count = total + loss.item() * len(x), count + len(x)
        noted["epoch"].append(total / count)
        run.model.eval()
        with torch.no_grad():
            losses = [
                F.cross_entropy(run.model(x), target).item() * len(x)
                for x, target in run.validation
            ]
        noted["validation"].append(sum(losses) / sum(len(x) for x, _ in run.validation))
    return noted


@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_training_equals_the_loop_by_hand(kind: str, clip_norm: float | None) -> None:
    other = toy_run(kind)
    expected = train_by_hand(other, 3, clip_norm)
    run = toy_run(kind)
    history = run.train(3, clip_norm=clip_norm, early_stopping=None)
    assert history.step_loss == expected["loss"]
    assert history.step_targets == expected["targets"]
    assert history.learning_rate == expected["rate"]
    assert history.grad_norm == pytest.approx(expected["norm"], rel=1e-6)
    assert history.train_loss == expected["epoch"]
    assert history.validation_loss == expected["validation"]
    assert plain(run.model.state_dict()) == plain(other.model.state_dict())
    assert plain(run.schedule.state_dict()) == plain(other.schedule.state_dict())


def one_step(clip_norm: float | None, scale: float) -> tuple[float, float, float]:
    """The gradient's norm as torch has it, as noted, and the length of the step at rate 1."""
    torch.manual_seed(0)
    model = nn.Linear(3, 5)
    x, target = torch.randn(7, 3) * scale, torch.randn(7, 5)
    grads = torch.autograd.grad(F.mse_loss(model(x), target), list(model.parameters()))
    before = parameters_to_vector(model.parameters()).detach().clone()
    optimizer = SGD(model.parameters(), lr=1.0)
    _, noted = train_step(model, (x, target), optimizer, nn.MSELoss(), clip_norm)
    step = parameters_to_vector(model.parameters()).detach() - before
    return torch.cat([grad.flatten() for grad in grads]).norm().item(), noted, step.norm().item()


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 100.0), st.floats(0.1, 30.0))
def test_clipping_shortens_long_gradients_only(clip_norm: float, scale: float) -> None:
    norm, noted, step = one_step(clip_norm, scale)
    assert noted == pytest.approx(norm, rel=1e-4)
    assert step == pytest.approx(min(norm, clip_norm), rel=1e-3)


@pytest.mark.parametrize("scale", [0.1, 10.0, 1000.0])
def test_nothing_is_clipped_unless_asked_for(scale: float) -> None:
    norm, noted, step = one_step(None, scale)
    assert (noted, step) == pytest.approx((norm, norm), rel=1e-3)


def test_the_noted_learning_rate_is_the_first_groups() -> None:
    model = nn.Linear(3, 5)
    groups: list[dict[str, Any]] = [
        {"params": [model.weight], "lr": 0.5},
        {"params": [model.bias], "lr": 0.25},
    ]
    batches = [samples(torch.Generator(), 4)] * 2
    history = train(model, batches, SGD(groups), nn.CrossEntropyLoss(), epochs=1)
    assert history.learning_rate == [0.5, 0.5]


def test_training_clips_nothing_unless_asked_for() -> None:
    model, (x, target) = nn.Linear(3, 5), samples(torch.Generator(), 4)
    before = parameters_to_vector(model.parameters()).detach().clone()
    optimizer, loss_fn = SGD(model.parameters(), lr=0.5), nn.CrossEntropyLoss()
    history = train(model, [(1000.0 * x, target)], optimizer, loss_fn, epochs=1)
    step = parameters_to_vector(model.parameters()).detach() - before
    assert history.grad_norm[0] > 10.0
    assert step.norm().item() == pytest.approx(0.5 * history.grad_norm[0], rel=1e-3)


@pytest.mark.parametrize("clip_norm", [None, 1e3])
def test_frozen_parameters_stay_and_count_nothing(clip_norm: float | None) -> None:
    model, batch = nn.Linear(3, 5), samples(torch.Generator(), 4)
    frozen = model.bias.requires_grad_(False).clone()
    optimizer, loss_fn = SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    (gradient,) = torch.autograd.grad(loss_fn(model(batch[0]), batch[1]), [model.weight])
    _, noted = train_step(model, batch, optimizer, loss_fn, clip_norm)
    assert noted == pytest.approx(gradient.norm().item())
    assert torch.equal(model.bias, frozen)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 99))
def test_evaluating_in_batches_equals_evaluating_at_once(sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    model, loss_fn = nn.Linear(3, 4), TokenCrossEntropy(ignore_index=0)
    x, target = torch.randn(sum(sizes), 2, 3), torch.randint(4, (sum(sizes), 2))
    target[:, 0] = target[:, 0].clamp(min=1)  # one target of each sequence counts
    batches = list(zip(x.split(sizes), target.split(sizes), strict=True))

    def accuracy(logits: Tensor, target: Tensor) -> Tensor:
        return TokenAccuracy(ignore_index=0)(logits, target)

    results = evaluate(model, batches, loss_fn, {"accuracy": accuracy})
    assert set(results) == {"loss", "accuracy"}
    with torch.no_grad():
        assert results["loss"] == pytest.approx(loss_fn(model(x), target).item(), rel=1e-5)
        assert results["accuracy"] == pytest.approx(accuracy(model(x), target).item(), rel=1e-5)


def test_the_training_loss_weighs_batches_by_the_targets_that_count() -> None:
    model, loss_fn = nn.Linear(3, 4), TokenCrossEntropy(ignore_index=0)
    targets = [
        torch.tensor([[1, 2], [3, 1]]),
        torch.tensor([[0, 3]]),
        torch.tensor([[0, 0], [2, 0]]),
    ]
    batches = [(torch.randn(*target.shape, 3), target) for target in targets]
    history = train(model, batches, SGD(model.parameters(), lr=0.1), loss_fn, epochs=1)
    assert history.step_targets == [4, 1, 1]
    first, second, third = history.step_loss
    assert history.train_loss == [pytest.approx((4 * first + second + third) / 6)]


def test_a_batch_in_which_nothing_counts_does_not_change_the_average() -> None:
    model, loss_fn = nn.Linear(3, 4), TokenCrossEntropy(ignore_index=0)
    batch = (torch.randn(2, 3), torch.tensor([1, 2]))
    padding = (torch.randn(2, 3), torch.tensor([0, 0]))
    expected = evaluate(model, [batch], loss_fn)
    assert evaluate(model, [batch, padding], loss_fn) == expected
    assert evaluate(model, [padding, batch], loss_fn) == expected


class Watched(nn.Linear):
    """Notes in which mode it is called, and whether a graph is kept."""

    def __init__(self) -> None:
        super().__init__(3, 5)
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, torch.is_grad_enabled()))
        return super().forward(x)


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_learns_nothing_and_leaves_the_mode_alone(training: bool) -> None:
    model = Watched().train(training)
    before = plain(model.state_dict())
    evaluate(model, [samples(torch.Generator(), 4)], nn.CrossEntropyLoss())
    assert model.seen == [(False, False)]
    assert model.training is training
    assert torch.is_grad_enabled()
    assert plain(model.state_dict()) == before
    assert model.weight.grad is None


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_after_an_error_too(training: bool) -> None:
    model = Watched().train(training)
    with pytest.raises(RuntimeError, match="shapes"):
        evaluate(model, [(torch.ones(2, 7), torch.zeros(2))], nn.CrossEntropyLoss())
    assert model.training is training
    assert torch.is_grad_enabled()


def test_each_epoch_trains_in_training_mode_and_validates_without() -> None:
    model = Watched().eval()
    batches = [samples(torch.Generator(), 4)] * 2
    arguments: dict[str, Any] = {"validation": batches[:1], "epochs": 2}
    train(model, batches, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), **arguments)
    assert model.seen == [(True, True), (True, True), (False, False)] * 2
    assert model.training


def test_metrics_are_kept_epoch_by_epoch() -> None:
    run = toy_run()
    history = run.train(3, metrics={"accuracy": TokenAccuracy(), "again": run.loss_fn})
    assert history.metrics["again"] == history.validation_loss
    assert len(history.metrics["accuracy"]) == history.epochs == 3


def test_a_model_may_take_several_inputs() -> None:
    model = nn.Bilinear(2, 3, 5)
    batches = [(torch.randn(7, 2), torch.randn(7, 3), torch.randint(5, (7,)))]
    optimizer, loss_fn = Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    history = train(model, batches, optimizer, loss_fn, epochs=5, validation=batches)
    assert history.step_targets == [7] * 5
    assert history.validation_loss[-1] < history.validation_loss[0]


class Traveller:
    """A tensor that is nowhere until it is sent somewhere."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def to(self, device: torch.device) -> Tensor:
        return self.tensor.to(device)


def test_batches_are_sent_to_the_models_device() -> None:
    model, (x, target) = Watched(), samples(torch.Generator(), 4)
    batches: Any = [(Traveller(x), Traveller(target))]
    optimizer, loss_fn = SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    assert train(model, batches, optimizer, loss_fn, epochs=1, validation=batches).steps == 1


def test_each_step_is_timed_with_the_loading_of_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    class SlowLoader:
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for seconds in (4.0, 8.0):
                wait(seconds)
                yield samples(torch.Generator(), 4)

    model = nn.Linear(3, 5)
    model.register_forward_pre_hook(lambda model, _: wait(1.0 if model.training else 100.0))
    optimizer, loss_fn = SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    held_out = [samples(torch.Generator(), 4)]
    history = train(model, SlowLoader(), optimizer, loss_fn, epochs=2, validation=held_out)
    assert history.seconds == [5.0, 9.0] * 2


@pytest.mark.parametrize("optimizer", [SGD, Adam])
def test_a_small_task_is_learnt(optimizer: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 7), nn.Linear(7, 11))
    tokens = torch.arange(11).view(1, 11)
    batches: Pairs = [(tokens, (tokens + 3) % 11)] * 20
    rate = 3.0 if optimizer is SGD else 0.05
    history = train(
        model,
        batches,
        optimizer(model.parameters(), lr=rate),
        TokenCrossEntropy(),
        epochs=5,
        validation=batches[:1],
        metrics={"accuracy": TokenAccuracy()},
    )
    assert history.step_loss[0] > 2.0
    assert history.validation_loss[-1] < 0.2
    assert history.metrics["accuracy"][-1] == 1.0

"""What does not fit together is refused before the first step, and nothing is touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from toy_runs import ToyRun, toy_run

from tx_utils import EarlyStopping, TokenAccuracy, TokenCrossEntropy, evaluate, warmup_cosine


def other_optimizer(run: ToyRun) -> None:
    run.optimizer = SGD(nn.Linear(2, 2).parameters(), lr=0.1)


def other_schedule(run: ToyRun) -> None:
    optimizer = SGD(run.model.parameters(), lr=0.1)
    run.schedule = warmup_cosine(optimizer, warmup_steps=1, total_steps=9)


def plateau(run: ToyRun) -> None:
    run.schedule = ReduceLROnPlateau(run.optimizer)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_optimizer, "the optimizer must hold the model's parameters, got none of them"),
        (other_schedule, "the schedule must belong to the optimizer, got another one's"),
        (plateau, "the schedule must step after every batch, got ReduceLROnPlateau"),
    ],
)
def test_parts_of_another_run_are_refused(spoil: Callable[[ToyRun], None], message: str) -> None:
    run = toy_run()
    spoil(run)
    with pytest.raises(ValueError, match=f"^{message}$"):
        run.train()
    assert run.history.steps == 0


def test_a_checkpoint_needs_a_folder_before_training_starts(tmp_path: Path) -> None:
    run, path = toy_run(), tmp_path / "missing" / "run.pt"
    with pytest.raises(ValueError, match=r"^checkpoint needs an existing folder, got '.*run\.pt'$"):
        run.train(checkpoint=path)
    assert run.history.steps == 0


def test_early_stopping_that_has_watched_another_run_is_refused() -> None:
    stopping = EarlyStopping(patience=3)
    toy_run().train(1, early_stopping=stopping)
    again = toy_run()
    with pytest.raises(ValueError, match=r"^early_stopping must be fresh at the start of a run"):
        again.train(1, early_stopping=stopping)


def test_metrics_stay_the_same_from_call_to_call() -> None:
    run = toy_run()
    run.train(1, metrics={"accuracy": TokenAccuracy()})
    with pytest.raises(ValueError, match=r"has the metrics \['accuracy'\]: .*, got \[\]$"):
        run.train(2)
    with pytest.raises(ValueError, match=r"go on with the same, got \['other'\]$"):
        run.train(2, metrics={"other": TokenAccuracy()})
    run.train(2, metrics={"accuracy": TokenAccuracy()})
    assert len(run.history.metrics["accuracy"]) == 2


def test_a_metric_may_neither_hide_the_loss_nor_count_its_padding() -> None:
    data = [(torch.eye(3), torch.tensor([0, 1, 2]))]
    with pytest.raises(ValueError, match=r"^a metric must have another name than 'loss', .*taken$"):
        evaluate(nn.Identity(), data, TokenCrossEntropy(), {"loss": TokenAccuracy()})
    padded = TokenCrossEntropy(ignore_index=0)
    with pytest.raises(
        ValueError, match=r"^metric 'a' must ignore .* \(ignore_index=0\), got -100$"
    ):
        evaluate(nn.Identity(), data, padded, {"a": TokenAccuracy()})
    scores = evaluate(nn.Identity(), data, padded, {"a": TokenAccuracy(ignore_index=0)})
    assert scores["a"] == 1.0


@pytest.mark.parametrize(
    "metrics", [{"loss": TokenAccuracy()}, {"accuracy": TokenAccuracy(ignore_index=0)}]
)
def test_metrics_that_do_not_fit_are_refused_before_the_first_step(metrics: dict[str, Any]) -> None:
    run = toy_run()
    run.loss_fn = TokenCrossEntropy()
    with pytest.raises(ValueError, match=r"another name than 'loss'|must ignore the targets"):
        run.train(metrics=metrics)
    assert run.history.steps == 0


def test_a_checkpoint_may_go_where_there_is_a_folder(tmp_path: Path) -> None:
    toy_run().train(1, checkpoint=tmp_path / "run.pt")
    assert (tmp_path / "run.pt").exists()


@pytest.mark.parametrize("batch", [torch.zeros(2, 3), {"x": torch.zeros(2)}, (torch.zeros(2),)])
def test_a_batch_is_its_inputs_and_its_target(batch: Any) -> None:
    run = toy_run()
    with pytest.raises(ValueError, match=rf"\(\*inputs, target\), got a {type(batch).__name__}$"):
        evaluate(run.model, [batch], run.loss_fn)


def test_a_training_batch_needs_a_target_that_counts() -> None:
    run = toy_run()
    run.loss_fn = TokenCrossEntropy(ignore_index=0)
    run.loader = [(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))]  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"^step 1: no target of the batch counts$"):
        run.train()


def test_an_infinite_gradient_stops_training_before_the_update() -> None:
    model = nn.Linear(1, 1)
    before = model.weight.detach().clone()

    def rooted(output: Tensor, target: Tensor) -> Tensor:
        return (output - output.detach()).abs().sqrt().mean()  # 0, with an infinite slope

    run = toy_run()
    run.model, run.loss_fn = nn.Sequential(model), rooted  # type: ignore[assignment]
    run.optimizer = SGD(model.parameters(), lr=0.1)
    run.loader = [(torch.ones(2, 1), torch.ones(2, 1))]  # type: ignore[assignment]
    with pytest.raises(ArithmeticError, match=r"^the gradient's norm is (nan|inf) in step 1;"):
        run.train(1, validation=None, early_stopping=None, schedule=None)
    assert torch.equal(model.weight, before)
    assert run.history.steps == 0


def test_validating_draws_on_no_generator_that_training_uses() -> None:
    data = TensorDataset(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
    shuffled = DataLoader(data, batch_size=2, shuffle=True)
    state = torch.get_rng_state()
    evaluate(nn.Identity(), shuffled, TokenCrossEntropy())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sampler_with_a_generator_of_its_own_goes_on_where_it_was() -> None:
    def run_with_sampler() -> ToyRun:
        run = toy_run()
        dataset: Any = run.loader.dataset
        sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(5))
        run.loader = DataLoader(dataset, batch_size=4, sampler=sampler)
        return run

    parts = run_with_sampler()  # seeds everything, so each run is made just before it starts
    loss_fn, calls = parts.loss_fn, iter(range(100))

    def interrupted(output: Tensor, target: Tensor) -> Tensor:
        if next(calls) == 4:  # in the second epoch
            raise KeyboardInterrupt
        return loss_fn(output, target)

    parts.loss_fn = interrupted  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        parts.train(2, validation=None, early_stopping=None)
    parts.loss_fn = loss_fn
    parts.train(2, validation=None, early_stopping=None)
    whole = run_with_sampler()
    whole.train(2, validation=None, early_stopping=None)
    assert parts.history.step_loss == whole.history.step_loss

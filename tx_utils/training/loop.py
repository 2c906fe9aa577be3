"""The training loop: batch in, loss out, gradients back, one step down, again.

`train_step` is the heart of it, and `evaluate` measures without learning. `train` repeats the
two and keeps what they say in a `History`. Nothing that matters lives inside `train`: model,
optimizer, schedule and history belong to the caller, so an interrupted run loses nothing.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from tx_utils.training.batches import (
    Batch,
    count_targets,
    note_shuffling,
    on_device,
    remaining_batches,
)
from tx_utils.training.checkpoints import save_checkpoint
from tx_utils.training.checks import check_average, check_run, check_validation
from tx_utils.training.early_stopping import EarlyStopping
from tx_utils.training.evaluation import Loss, evaluate
from tx_utils.training.history import History
from tx_utils.training.interrupts import uninterrupted
from tx_utils.training.progress import progress_bar


class NonFiniteLossError(ArithmeticError):
    """The loss or its gradient became infinite or not a number, so that no update could help."""


def train_step(
    model: nn.Module, batch: Batch, optimizer: Optimizer, loss_fn: Loss, clip_norm: float | None
) -> tuple[float, float]:
    """Learn from one batch: forward, loss, backward, step.

    Args:
        model: Called as `model(*inputs)`.
        batch: The inputs, then the target.
        optimizer: Holds the model's parameters.
        loss_fn: Called as `loss_fn(output, target)`.
        clip_norm: Longest gradient allowed, or None for no limit.

    Returns:
        The loss before the update, and the gradient's norm before clipping.

    Raises:
        NonFiniteLossError: if the loss or its gradient is not finite; the weights stay as they
            were.

    Example:
        >>> model, batch = nn.Linear(1, 1), (torch.ones(4, 1), torch.ones(4, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> first, _ = train_step(model, batch, optimizer, nn.MSELoss(), clip_norm=None)
        >>> second, _ = train_step(model, batch, optimizer, nn.MSELoss(), clip_norm=None)
        >>> second < first
        True
    """
    *inputs, target = batch
    optimizer.zero_grad()
    loss = loss_fn(model(*inputs), target)
    if not math.isfinite(loss.item()):
        raise NonFiniteLossError(f"the loss is {loss.item()}")
    loss.backward()
    grad_norm = _grad_norm(optimizer, clip_norm)
    if not math.isfinite(grad_norm):
        raise NonFiniteLossError(f"the gradient's norm is {grad_norm}")
    optimizer.step()
    return loss.item(), grad_norm


def train(
    model: nn.Module,
    loader: Iterable[Batch],
    optimizer: Optimizer,
    loss_fn: Loss,
    *,
    epochs: int,
    history: History | None = None,
    schedule: LRScheduler | None = None,
    validation: Iterable[Batch] | None = None,
    validation_loss_fn: Loss | None = None,
    metrics: Mapping[str, Loss] | None = None,
    early_stopping: EarlyStopping | None = None,
    averaged: AveragedModel | None = None,
    clip_norm: float | None = None,
    checkpoint: str | Path | None = None,
    on_divergence: Literal["raise", "stop"] = "raise",
    label: str = "training",
    progress: bool = True,
) -> History:
    """Train until the history holds `epochs` epochs.

    Runs on the device that the model is on. Stop it whenever you like: with the same objects,
    the same call goes on where it stopped, in the middle of an epoch too. The numbers are then
    the same to the last bit on the CPU, if all randomness is torch's.

    Args:
        model: Called as `model(*inputs)`; left in training mode.
        loader: The epoch's batches, each the inputs and then the target. Its data set's
            `set_epoch(epoch)` is called before each epoch, if there is such a method.
        optimizer: Holds the model's parameters.
        loss_fn: Called as `loss_fn(output, target)`; a mean over the targets that count.
        epochs: Number of epochs in the end, those already in `history` included.
        history: An earlier run's, to go on from.
        schedule: Steps once after every optimizer step.
        validation: Batches to evaluate on after each epoch.
        validation_loss_fn: What is measured on them; `loss_fn` if None. Where that smooths its
            labels, the plain loss belongs here.
        metrics: Means of (output, target) to evaluate besides the loss, by name.
        early_stopping: Ends training when the validation loss no longer falls. When the call
            ends without an error, the model gets its best weights back.
        averaged: Torch's running average of the model, updated after every step. Validation and
            early stopping look at the model itself.
        clip_norm: Longest gradient allowed; None for no limit.
        checkpoint: File that is rewritten after each epoch.
        on_divergence: What to do at a loss or gradient that is not finite: "raise" an error, or
            "stop" quietly and note the step in `history.diverged_at`.
        label: What the progress line calls this run.
        progress: False for no progress line.

    Returns:
        The history: the one passed in, if any.

    Raises:
        ValueError: if an argument is out of range or does not fit the others, or the loader is
            empty.
        NonFiniteLossError: if the loss or its gradient is not finite; it names the step, and the
            history up to there is kept.

    Example:
        >>> data = [(torch.ones(4, 1), torch.ones(4, 1))] * 3
        >>> model = nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> history = train(model, data, optimizer, nn.MSELoss(), epochs=2, progress=False)
        >>> history.steps, history.train_loss[1] < history.train_loss[0]
        (6, True)
    """
    history = History() if history is None else history
    check_run(model, loader, optimizer, schedule, clip_norm, checkpoint, on_divergence, epochs)
    measured = loss_fn if validation_loss_fn is None else validation_loss_fn
    check_validation(loss_fn, validation_loss_fn, validation, metrics, early_stopping, history)
    check_average(model, averaged, history)
    parts = (model, optimizer, schedule, history, early_stopping, averaged)
    history.diverged_at = None
    with progress_bar(label, _total_steps(loader, epochs), history.steps, enabled=progress) as bar:
        while history.epochs < epochs and not (early_stopping and early_stopping.stopped):
            try:
                steps = _epoch(
                    model, loader, optimizer, loss_fn, schedule, averaged, clip_norm, history
                )
                for _ in steps:
                    bar.update()
            except NonFiniteLossError:
                if on_divergence == "raise":
                    raise
                break
            results = {} if validation is None else evaluate(model, validation, measured, metrics)
            with uninterrupted():
                history.close_epoch(results)
                note_shuffling(loader, history)
                if early_stopping is not None:
                    early_stopping.update(results["loss"], model)
                if checkpoint is not None:
                    save_checkpoint(checkpoint, *parts)
            bar.set_postfix_str(_summary(history))
    if early_stopping is not None:
        early_stopping.restore(model)
    return history


def _epoch(
    model: nn.Module,
    loader: Iterable[Batch],
    optimizer: Optimizer,
    loss_fn: Loss,
    schedule: LRScheduler | None,
    averaged: AveragedModel | None,
    clip_norm: float | None,
    history: History,
) -> Iterator[None]:
    """Take the steps that the current epoch has left, noting each; yields after each step."""
    model.train()
    started = time.perf_counter()
    for batch in on_device(remaining_batches(loader, history), model):
        targets, learning_rate = count_targets(loss_fn, batch[-1]), optimizer.param_groups[0]["lr"]
        if targets == 0:
            raise ValueError(f"step {history.steps + 1}: no target of the batch counts")
        with uninterrupted():
            try:
                loss, grad_norm = train_step(model, batch, optimizer, loss_fn, clip_norm)
            except NonFiniteLossError as error:
                history.diverged_at = history.steps + 1
                raise NonFiniteLossError(
                    f"{error} in step {history.diverged_at}; the history before it is kept. "
                    "A lower learning rate, a warm-up or gradient clipping may help"
                ) from None
            if schedule is not None:
                schedule.step()
            if averaged is not None:
                averaged.update_parameters(model)
            now = time.perf_counter()
            history.random_state["step_end"] = torch.get_rng_state()
            history.add_step(loss, targets, learning_rate, grad_norm, seconds=now - started)
        started = now
        yield
    if history.steps_into_epoch == 0:
        raise ValueError("the data loader is empty: expected at least one batch an epoch")


def _total_steps(loader: Iterable[Batch], epochs: int) -> int | None:
    try:
        return epochs * len(loader)  # type: ignore[arg-type]
    except TypeError:  # a stream of unknown length
        return None


def _grad_norm(optimizer: Optimizer, clip_norm: float | None) -> float:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if clip_norm is not None:
        return nn.utils.clip_grad_norm_(parameters, clip_norm).item()
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return nn.utils.get_total_norm(grads).item()


def _summary(history: History) -> str:
    text = f"loss {history.train_loss[-1]:.4f}"
    if history.validation_loss:
        text += f", validation {history.validation_loss[-1]:.4f}"
    return text + "".join(f", {name} {values[-1]:.3f}" for name, values in history.metrics.items())

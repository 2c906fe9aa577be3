"""What `train` refuses before it takes a step: each error says what came and what was expected."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from tx_utils._checks import check_positive
from tx_utils.training.batches import Batch
from tx_utils.training.early_stopping import EarlyStopping
from tx_utils.training.evaluation import Loss, check_metrics
from tx_utils.training.history import History


def check_run(
    model: nn.Module,
    loader: Iterable[Batch],
    optimizer: Optimizer,
    schedule: LRScheduler | None,
    clip_norm: float | None,
    checkpoint: str | Path | None,
    on_divergence: str,
    epochs: int,
) -> None:
    """Raise a ValueError unless a run can be made of these."""
    check_positive(epochs=epochs)
    if isinstance(loader, Iterator) and epochs > 1:
        raise ValueError(
            f"the data loader must start again every epoch, got a {type(loader).__name__}"
        )
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if trained.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise ValueError("the optimizer must hold the model's parameters, got none of them")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("the schedule must belong to the optimizer, got another one's")
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError("the schedule must step after every batch, got ReduceLROnPlateau")
    if clip_norm is not None and not clip_norm > 0.0:
        raise ValueError(f"clip_norm must be positive, got {clip_norm!r}")
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise ValueError(f"checkpoint needs an existing folder, got {str(checkpoint)!r}")
    if on_divergence not in ("raise", "stop"):
        raise ValueError(f"on_divergence must be 'raise' or 'stop', got {on_divergence!r}")


def check_validation(
    loss_fn: Loss,
    validation_loss_fn: Loss | None,
    validation: Iterable[Batch] | None,
    metrics: Mapping[str, Loss] | None,
    early_stopping: EarlyStopping | None,
    history: History,
) -> None:
    """Raise a ValueError unless these fit together, and the epochs that the history has."""
    check_metrics(loss_fn if validation_loss_fn is None else validation_loss_fn, metrics)
    if validation is None and validation_loss_fn is not None:
        raise ValueError("validation_loss_fn needs validation data, got None")
    if validation is None and (metrics or early_stopping is not None):
        raise ValueError("metrics and early_stopping need validation data, got None")
    if history.epochs and (validation is None) == bool(history.validation_loss):
        raise ValueError(
            f"the history's {history.epochs} epochs were "
            f"{'' if history.validation_loss else 'not '}validated: go on in the same way"
        )
    if history.epochs and set(metrics or ()) != set(history.metrics):
        raise ValueError(
            f"the history has the metrics {sorted(history.metrics)}: go on with the same, "
            f"got {sorted(metrics or ())}"
        )
    if early_stopping and early_stopping.best_weights is not None and not history.epochs:
        raise ValueError(
            "early_stopping must be fresh at the start of a run, got one that has watched another"
        )


def check_average(model: nn.Module, averaged: AveragedModel | None, history: History) -> None:
    """Raise a ValueError unless the average is one of this model, and of no other run."""
    if averaged is None:
        return
    shapes = [
        {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
        for module in (model, averaged.module)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError("averaged must be an average of the model, got one of another model")
    if int(averaged.n_averaged) > history.steps:
        raise ValueError(
            f"averaged must be fresh at the start of a run, got one of {int(averaged.n_averaged)} "
            f"steps for a history of {history.steps}"
        )

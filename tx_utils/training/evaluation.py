"""Evaluation: measure a model without learning anything."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from tx_utils._modes import observed
from tx_utils.training.batches import Batch, count_targets, on_device

Loss = Callable[[Tensor, Tensor], Tensor]  # (output, target) -> a mean over the targets


def evaluate(
    model: nn.Module,
    loader: Iterable[Batch],
    loss_fn: Loss,
    metrics: Mapping[str, Loss] | None = None,
) -> dict[str, float]:
    """Measure the model on a data set, learning nothing; dropout is off meanwhile.

    Args:
        model: Called as `model(*inputs)`.
        loader: Batches, each the inputs and then the target.
        loss_fn: A mean over a batch's targets; its `ignore_index`, if it has one, says which
            targets do not count.
        metrics: More such means, by name; they leave out the same targets.

    Returns:
        "loss" and every metric, averaged over all targets that count.

    Raises:
        ValueError: if the loader yields no batch, or no target counts, or a metric counts others.

    Example:
        >>> data = [(torch.zeros(2, 1), torch.zeros(2, 1)), (torch.zeros(1, 1), torch.ones(1, 1))]
        >>> round(evaluate(nn.Identity(), data, nn.MSELoss())["loss"], 4)  # of three targets
        0.3333
    """
    functions = {"loss": loss_fn, **(metrics or {})}
    sums, count = dict.fromkeys(functions, 0.0), 0
    check_metrics(loss_fn, metrics)
    # A loader may draw on the global generator; training must not notice.
    with observed(model), torch.random.fork_rng(devices=[]):
        for *inputs, target in on_device(loader, model):
            output, targets = model(*inputs), count_targets(loss_fn, target)
            if targets == 0:  # a mean over nothing is not a number
                continue
            for name, function in functions.items():
                sums[name] += function(output, target).item() * targets
            count += targets
    if count == 0:
        raise ValueError(
            "the data loader is empty: expected at least one batch with a target that counts"
        )
    return {name: value / count for name, value in sums.items()}


def check_metrics(loss_fn: Loss, metrics: Mapping[str, Loss] | None) -> None:
    """Raise a ValueError if a metric would hide the loss or count other targets than it does."""
    for name, metric in (metrics or {}).items():
        if name == "loss":
            raise ValueError("a metric must have another name than 'loss', which is taken")
        ignored = [getattr(function, "ignore_index", None) for function in (loss_fn, metric)]
        if None not in ignored and ignored[0] != ignored[1]:
            raise ValueError(
                f"metric {name!r} must ignore the targets that the loss ignores "
                f"(ignore_index={ignored[0]}), got {ignored[1]}"
            )

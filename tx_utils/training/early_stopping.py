"""Early stopping: stop when the validation loss stops falling, and go back to the best weights."""

import math
from typing import Any

from torch import Tensor, nn

from tx_utils._checks import check_positive


class EarlyStopping:
    """Watch the validation loss, keep the best weights, and say when to stop.

    Args:
        patience: Epochs without improvement after which training stops.
        min_delta: How much lower the loss must be to count as an improvement, in its own unit.

    Attributes:
        best_loss: The lowest validation loss seen so far.
        best_weights: A copy of the weights it belongs to; None before the first epoch.
        epochs_without_improvement: Epochs since then.

    Raises:
        ValueError: if `patience` is not a positive integer or `min_delta` is negative.

    Example:
        >>> stopping, model = EarlyStopping(patience=2), nn.Linear(1, 1)
        >>> for loss in (1.0, 0.5, 0.6, 0.7):
        ...     stopping.update(loss, model)
        >>> stopping.stopped, stopping.best_loss
        (True, 0.5)
    """

    def __init__(self, patience: int, *, min_delta: float = 0.0) -> None:
        check_positive(patience=patience)
        if not min_delta >= 0.0:
            raise ValueError(f"min_delta must not be negative, got {min_delta!r}")
        self.patience = patience
        self.min_delta = min_delta
        self.best_loss = math.inf
        self.best_weights: dict[str, Tensor] | None = None
        self.epochs_without_improvement = 0

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.epochs_without_improvement >= self.patience

    def update(self, validation_loss: float, model: nn.Module) -> None:
        """Note an epoch's validation loss; copy the weights if it is the best so far."""
        if validation_loss < self.best_loss - self.min_delta:
            self.best_loss = validation_loss
            self.best_weights = {
                name: tensor.detach().clone() for name, tensor in model.state_dict().items()
            }
            self.epochs_without_improvement = 0
        else:
            self.epochs_without_improvement += 1

    def restore(self, model: nn.Module) -> None:
        """Give the model its best weights back; nothing happens if no epoch was noted."""
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: progress and the best weights, not the settings."""
        return {
            "best_loss": self.best_loss,
            "best_weights": self.best_weights,
            "epochs_without_improvement": self.epochs_without_improvement,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.best_loss = state["best_loss"]
        self.best_weights = state["best_weights"]
        self.epochs_without_improvement = state["epochs_without_improvement"]

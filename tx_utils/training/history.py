"""History: everything a training run has measured so far, in an object that the caller holds."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(repr=False)
class History:
    """What a training run has measured so far. It grows while `train` runs.

    Attributes:
        step_loss: Mean loss of each step's batch, measured before the update.
        step_targets: Number of targets each of those means was taken over.
        learning_rate: Rate used in each step (of the first parameter group).
        grad_norm: Norm of the whole gradient in each step, before clipping.
        seconds: Wall-clock time of each step, loading its batch included.
        train_loss: Mean training loss of each finished epoch, over all of its targets.
        epoch_end: Number of steps taken when each epoch was finished.
        validation_loss: Validation loss after each epoch; empty without a validation set.
        metrics: Validation metrics after each epoch, by name.
        diverged_at: The step whose loss was not finite, if training ended that way.
        random_state: What `train` needs to go on in the middle of an epoch.

    Example:
        >>> history = History()
        >>> history.add_step(2.0, targets=8, learning_rate=0.1, grad_norm=1.0, seconds=0.01)
        >>> history.close_epoch({})
        >>> history
        <History: 1 epochs, 1 steps, loss 2>
    """

    step_loss: list[float] = field(default_factory=list)
    step_targets: list[int] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    epoch_end: list[int] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    diverged_at: int | None = None
    random_state: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, since a cell that ends with `train(...)` shows it."""
        text = f"{self.epochs} epochs, {self.steps} steps"
        text += f", loss {self.train_loss[-1]:.4g}" if self.train_loss else ""
        text += f", validation {self.validation_loss[-1]:.4g}" if self.validation_loss else ""
        return f"<History: {text}>"

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return len(self.step_loss)

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.epoch_end)

    @property
    def steps_into_epoch(self) -> int:
        """Number of steps taken since the last finished epoch."""
        return self.steps - (self.epoch_end[-1] if self.epoch_end else 0)

    def add_step(
        self, loss: float, targets: int, learning_rate: float, grad_norm: float, seconds: float
    ) -> None:
        """Note one optimizer step."""
        self.step_loss.append(loss)
        self.step_targets.append(targets)
        self.learning_rate.append(learning_rate)
        self.grad_norm.append(grad_norm)
        self.seconds.append(seconds)

    def close_epoch(self, validation: dict[str, float]) -> None:
        """Average the losses of the epoch that ends, and note what `evaluate` returned for it."""
        recent = slice(self.steps - self.steps_into_epoch, None)
        losses, targets = self.step_loss[recent], self.step_targets[recent]
        weighted = sum(loss * count for loss, count in zip(losses, targets, strict=True))
        self.train_loss.append(weighted / sum(targets))
        self.epoch_end.append(self.steps)
        for name, value in validation.items():
            values = self.validation_loss if name == "loss" else self.metrics.setdefault(name, [])
            values.append(value)
        self.random_state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready to be saved."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the history that `state_dict` described."""
        for item in fields(self):
            setattr(self, item.name, state[item.name])

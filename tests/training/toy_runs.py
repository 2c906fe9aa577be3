"""A run small enough to be repeated a thousand times, with everything that could go astray in it.

Dropout, shuffling, momentum, a schedule, early stopping: whatever draws a random number or
remembers something is here, so that two runs are equal only if nothing was lost on the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate

from tx_utils import EarlyStopping, History, seed_everything, train, warmup_inverse_sqrt

FEATURES, CLASSES, SAMPLES, BATCH = 3, 5, 11, 4
KINDS = ("global", "own", "fresh")  # where the order of the samples comes from
PLACES = ("loader", "forward", "loss", "backward", "update", "validation")
Pairs = list[tuple[Tensor, Tensor]]


class Alarm:
    """Presses Ctrl-C in its call number `at`, once, and counts all of its calls."""

    def __init__(self, place: str = "", at: int = 0) -> None:
        self.place, self.at, self.calls = place, at, 0

    def __call__(self, *_: object) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt


class FreshSamples(IterableDataset[tuple[Tensor, Tensor]]):
    """Three new batches an epoch, drawn from the seed and the epoch's number."""

    def __init__(self, seed: int) -> None:
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return 3

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        for _ in range(len(self)):
            yield samples(generator, BATCH)


@dataclass
class ToyRun:
    """What a call of `train` needs."""

    model: nn.Sequential
    loader: DataLoader[Any]
    optimizer: Optimizer
    schedule: LRScheduler
    early_stopping: EarlyStopping
    loss_fn: nn.CrossEntropyLoss
    validation: Pairs
    history: History = field(default_factory=History)

    def train(self, epochs: int = 2, **more: Any) -> History:
        arguments: dict[str, Any] = {
            "schedule": self.schedule,
            "validation": self.validation,
            "early_stopping": self.early_stopping,
            "history": self.history,
        }
        arguments |= {"epochs": epochs, **more}
        return train(self.model, self.loader, self.optimizer, self.loss_fn, **arguments)

    def parts(self) -> tuple[Any, ...]:
        """What a checkpoint keeps, in the order of its arguments."""
        return self.model, self.optimizer, self.schedule, self.history, self.early_stopping

    def state(self) -> dict[str, Any]:
        """All that two equal runs share to the last bit; only the clock may differ."""
        return {
            type(part).__name__: {
                name: plain(value)
                for name, value in part.state_dict().items()
                if name not in ("seconds", "random_state")
            }
            for part in self.parts()
        }


def samples(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, FEATURES, generator=generator)
    return x, torch.randint(CLASSES, (count,), generator=generator)


def toy_run(
    kind: str = "global", alarm: Alarm | None = None, *, seed: int = 0, patience: int = 7
) -> ToyRun:
    """Build a run; the seed decides on weights and order, the samples are always the same."""
    alarm = alarm or Alarm()
    fixed = torch.Generator().manual_seed(5)
    data, held_out = samples(fixed, SAMPLES), samples(fixed, 7)
    seed_everything(seed)
    model = nn.Sequential(nn.Linear(FEATURES, 7), nn.Dropout(0.3), nn.Linear(7, CLASSES))

    def collate(items: Any) -> Any:
        if alarm.place == "loader":
            alarm()
        return items if kind == "fresh" else default_collate(items)

    loader: DataLoader[Any]
    optimizer: Optimizer
    if kind == "fresh":
        loader = DataLoader(FreshSamples(seed=1), batch_size=None, collate_fn=collate)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    elif kind == "own":
        order = torch.Generator().manual_seed(seed + 1)
        loader = DataLoader(
            TensorDataset(*data), BATCH, shuffle=True, generator=order, collate_fn=collate
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    else:
        loader = DataLoader(
            TensorDataset(*data), BATCH, shuffle=True, drop_last=True, collate_fn=collate
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    run = ToyRun(
        model,
        loader,
        optimizer,
        warmup_inverse_sqrt(optimizer, warmup_steps=2),
        EarlyStopping(patience),
        nn.CrossEntropyLoss(),
        [(held_out[0][:5], held_out[1][:5]), (held_out[0][5:], held_out[1][5:])],
    )
    _wire(run, alarm)
    return run


def _wire(run: ToyRun, alarm: Alarm) -> None:
    """Lead the alarm's wire to its place."""
    if alarm.place == "forward":
        run.model.register_forward_pre_hook(lambda model, _: alarm() if model.training else None)
    elif alarm.place == "validation":
        run.model.register_forward_pre_hook(lambda model, _: None if model.training else alarm())
    elif alarm.place == "loss":
        run.loss_fn.register_forward_pre_hook(alarm)
    elif alarm.place == "backward":
        next(run.model.parameters()).register_hook(alarm)
    elif alarm.place == "update":
        run.optimizer.register_step_pre_hook(alarm)


def plain(value: Any) -> Any:
    """Nested lists and numbers instead of tensors, which `==` can compare."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value

"""Lesson 02's experiment: the difference of two people's numbers, with one head and with more.

One head gives every number a weight, and weights are never negative: it can average, but not
subtract. Two heads of half the width can, with the same number of parameters. The other variants
ask how far that goes: one head with more width, more steps or a network after it, and one head
outside the proof, whose keys see the numbers.
"""

import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tx_utils.experiments.directory import DirectoryModel
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.feed_forward import FeedForward
from tx_utils.tasks import Difference
from tx_utils.training import History, seed_everything

TASK = Difference()


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 02's training runs have in common."""

    questions: int = 2048  # of the test set, on which heads are looked at one by one


SETTINGS = Settings(
    batch_size=128, batches_per_epoch=20, epochs=20, learning_rate=5e-3, test_size=16_384
)


@dataclass(frozen=True)
class Variant:
    """One model of the ablation.

    Attributes:
        num_heads: Attention heads.
        d_model: Width of every vector.
        longer: How many times as many epochs it trains.
        feed_forward: Whether a feed-forward network follows attention.
        sees_all: Whether an entry's key and value both see its own number and if it is asked for.
    """

    num_heads: int
    d_model: int = 32
    longer: int = 1
    feed_forward: bool = False
    sees_all: bool = False


VARIANTS = {
    "1 head": Variant(1),
    "2 heads": Variant(2),
    "4 heads": Variant(4),
    "2 heads, 1600 steps": Variant(2, longer=4),
    "1 head, d_model 64": Variant(1, d_model=64),
    "1 head, 1600 steps": Variant(1, longer=4),
    "1 head, feed-forward": Variant(1, feed_forward=True),
    "1 head, sees all": Variant(1, sees_all=True),
}


class NumberEmbedding(nn.Linear):
    """A number as a vector: the number times one learned direction, plus a learned offset."""

    def __init__(self, d_model: int) -> None:
        super().__init__(1, d_model)

    def forward(self, numbers: Tensor) -> Tensor:
        """(...) -> (..., d_model)."""
        return super().forward(numbers[..., None])


class SeesAll(DirectoryModel):
    """A directory model whose keys and values both see an entry's number and if it is asked for."""

    def __init__(self, held: nn.Module, num_names: int, num_outputs: int, **sizes: Any) -> None:
        super().__init__(held, num_names, num_outputs, **sizes)
        self.name = nn.Embedding(3, self.name.embedding_dim)  # nobody, the first, the second

    def entries(self, asked: Tensor, names: Tensor, held: Tensor) -> Tensor:
        """What serves as key and as value.  (B, 2), (B, T), (B, T) -> (B, T, d_model)."""
        first, second = (names == name for name in asked[..., None].unbind(dim=1))
        return self.name(first + 2 * second) + self.held(held)

    def forward(self, asked: Tensor, names: Tensor, held: Tensor) -> Tensor:
        """Answer.  (B, 2), (B, T), (B, T) -> (B, num_outputs)."""
        entries = self.entries(asked, names, held)
        found = self.attention(self.question(asked), entries, entries)
        return self.readout(self.after(found)).squeeze(1)

    def weights(self, asked: Tensor, names: Tensor, held: Tensor | None = None) -> Tensor:
        """Where each head looks, which depends on the numbers (zeros if None).  (B, H, 1, T)."""
        held = torch.zeros(names.shape) if held is None else held
        return self.attention.weights(self.question(asked), self.entries(asked, names, held))


def build(variant: Variant) -> DirectoryModel:
    """Make a variant's model, with fresh weights.

    Example:
        >>> build(VARIANTS["4 heads"]).attention.num_heads
        4
    """
    d_model = variant.d_model
    return (SeesAll if variant.sees_all else DirectoryModel)(
        NumberEmbedding(d_model),
        num_names=TASK.people,
        num_outputs=1,
        d_model=d_model,
        num_heads=variant.num_heads,
        after=FeedForward(d_model, 4 * d_model) if variant.feed_forward else None,
    )


def right_sign(answer: Tensor, target: Tensor) -> Tensor:
    """Share of answers on the right side of 0.

    Example:
        >>> right_sign(torch.tensor([0.5, -2.0]), torch.tensor([4.0, 1.0])).item()
        0.5
    """
    return ((answer > 0) == (target > 0)).float().mean()


def slopes(model: nn.Module, asked: Tensor, names: Tensor, numbers: Tensor) -> Tensor:
    """How much the answer moves per unit of each person's number.  (B, T).

    Example:
        >>> asked, names, numbers, _ = TASK.sample(3, torch.Generator().manual_seed(0))
        >>> slopes(build(VARIANTS["2 heads"]), asked, names, numbers).shape
        torch.Size([3, 8])
    """
    numbers = numbers.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(asked, names, numbers).sum(), numbers)
    return gradient


def expected_error(model: nn.Module, asked: Tensor, names: Tensor) -> Tensor:
    """Each question's mean squared error over all numbers that people may hold, exactly.  (B,).

    For models that are linear in the numbers (plus a constant), as all are here whose keys see
    names only and that have no feed-forward network. Numbers are independent with mean 0 and
    variance 1, so each slope that differs from the wanted +1, -1 or 0 adds its difference squared.

    Example:
        >>> asked, names, _, _ = TASK.sample(3, torch.Generator().manual_seed(0))
        >>> errors = expected_error(build(VARIANTS["1 head"]), asked, names)
        >>> bool((errors >= TASK.one_head_floor).all())
        True
    """
    zeros = torch.zeros(names.shape)
    wanted = (names == asked[:, :1]).float() - (names == asked[:, 1:]).float()
    constant = model(asked, names, zeros).squeeze(-1)
    return (slopes(model, asked, names, zeros) - wanted).square().sum(dim=-1) + constant.square()


def pruned(model: DirectoryModel, head: int) -> DirectoryModel:
    """A copy of the model in which one head no longer contributes anything.

    Example:
        >>> model = pruned(build(VARIANTS["2 heads"]), head=1)
        >>> model.attention.out_proj.weight[:, 16:].count_nonzero().item()
        0
    """
    model = copy.deepcopy(model)
    columns = model.attention.out_proj.weight.unflatten(1, (model.attention.num_heads, -1))
    with torch.no_grad():
        columns[:, head] = 0.0  # a view: this writes into the copy's weights
    return model


def look_at_heads(model: DirectoryModel, asked: Tensor, names: Tensor) -> dict[str, Any]:
    """What each head of a model that is linear in the numbers does, averaged over questions.

    Args:
        model: Looked at, not changed.
        asked: The names asked for.  (B, 2)
        names: The entries' names.   (B, T)

    Returns:
        Lists with one entry per head. "on_first", "on_second": the share of its attention on the
        people asked for; "slope_first", "slope_second": its part in how the answer moves with
        their numbers; "pruned": the expected error without it. And the model's "expected_error".
    """
    zeros, people = torch.zeros(names.shape), (names[:, None] == asked[..., None]).float()
    seen = torch.einsum("bht,bpt->ph", model.weights(asked, names)[:, :, 0], people) / len(asked)
    without = [pruned(model, head) for head in range(model.attention.num_heads)]
    whole = slopes(model, asked, names, zeros)
    parts = torch.stack([whole - slopes(rest, asked, names, zeros) for rest in without], dim=1)
    moved = torch.einsum("bht,bpt->ph", parts, people) / len(asked)
    return {
        "on_first": seen[0].tolist(),
        "on_second": seen[1].tolist(),
        "slope_first": moved[0].tolist(),
        "slope_second": moved[1].tolist(),
        "pruned": [expected_error(rest, asked, names).mean().item() for rest in without],
        "expected_error": expected_error(model, asked, names).mean().item(),
    }


def run(name: str, seed: int) -> tuple[DirectoryModel, History, Result]:
    """Train one variant from one seed, exactly as the lesson does in the open."""
    variant = VARIANTS[name]
    seed_everything(seed)
    model, loss_fn = build(variant), nn.MSELoss()
    recipe = replace(SETTINGS, epochs=variant.longer * SETTINGS.epochs)
    history = fit(model, TASK.sample, recipe, seed, loss_fn=loss_fn, label=name)
    measures = {}
    if not (variant.feed_forward or variant.sees_all):
        generator = torch.Generator().manual_seed(SETTINGS.test_seed)
        asked, names, _, _ = TASK.sample(SETTINGS.questions, generator)
        measures = look_at_heads(model, asked, names)
    result = measure(
        model,
        TASK.sample,
        SETTINGS,
        history,
        loss_fn=loss_fn,
        accuracy=right_sign,
        measures=measures,
    )
    return model, history, result


EXPERIMENT = Experiment(
    name="two_lookups",
    settings={
        **asdict(SETTINGS),
        "task": asdict(TASK),
        "variants": {name: asdict(variant) for name, variant in VARIANTS.items()},
    },
    floors={"one head": TASK.one_head_floor, "always 0": TASK.chance},
    variants=tuple(VARIANTS),
    run=lambda name, seed: run(name, seed)[2],
)

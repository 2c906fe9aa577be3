"""Lesson 05's experiment: twelve layers, with and without residuals and LayerNorm.

One layer is enough to reverse a short sequence, so eleven of the twelve need only do no harm.
Five models share everything but the join, the rule by which what a sublayer says meets what was
there before. Further variants change the rate, the warm-up and the depth.
"""

import copy
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from tx_utils.experiments.deep_model import JOINS, DeepModel
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.tasks import Reverse
from tx_utils.training import History, TokenCrossEntropy, seed_everything, train_step

TASK = Reverse(length=8)


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 05's training runs have in common."""

    d_model: int = 32
    num_heads: int = 1
    d_ff: int = 128
    probe_size: int = 256  # sequences on which gradients and cosines are taken


SETTINGS = Settings(batch_size=32, batches_per_epoch=10, epochs=15, learning_rate=1e-3)


@dataclass(frozen=True)
class Variant:
    """One way to build and train the model.

    Attributes:
        join: One of `JOINS`.
        learning_rate: Adam's.
        warmup_steps: Steps in which the rate rises linearly to that; it stays there afterwards.
        num_layers: Depth.
    """

    join: str
    learning_rate: float = SETTINGS.learning_rate
    warmup_steps: int = 1
    num_layers: int = 12

    @property
    def name(self) -> str:
        """One line that says it all, for instance "post-norm, 0.003, warm-up 50"."""
        parts = [self.join, f"{self.learning_rate:g}"]
        parts += [f"warm-up {self.warmup_steps}"] if self.warmup_steps > 1 else []
        parts += [f"depth {self.num_layers}"] if self.num_layers != 12 else []
        return ", ".join(parts)


WITH_RESIDUAL = ("residual only", "post-norm", "pre-norm")
VARIANTS = (
    *(Variant(join, num_layers=n) for join in ("none", "norm only") for n in (1, 2, 4)),
    *(Variant(join) for join in JOINS),
    *(Variant(join, 3e-3, warmup) for warmup in (1, 50) for join in JOINS),
    *(Variant(join, 1e-2, warmup) for warmup in (1, 50) for join in WITH_RESIDUAL),
)


def gradient_norms(model: DeepModel, tokens: Tensor, target: Tensor) -> list[float]:
    """The length of the loss's gradient at each layer's first feed-forward weight.

    Example:
        >>> tokens, target = TASK.sample(4, torch.Generator().manual_seed(0))
        >>> len(gradient_norms(start(Variant("post-norm", num_layers=3), 0), tokens, target))
        3
    """
    loss = TokenCrossEntropy()(model(tokens), target)
    gradients = torch.autograd.grad(loss, _first_weights(model))
    return [gradient.norm().item() for gradient in gradients]


def first_moves(
    model: DeepModel,
    tokens: Tensor,
    target: Tensor,
    learning_rate: float = SETTINGS.learning_rate,
    eps: float = 1e-8,
) -> list[float]:
    """How far Adam's first step moves each layer's first feed-forward weight, over the rate.

    Of all entries, the one that moves most counts. The model itself stays as it is. `eps` is what
    Adam adds to the size that it divides a gradient by.

    Example:
        >>> tokens, target = TASK.sample(4, torch.Generator().manual_seed(0))
        >>> moves = first_moves(start(Variant("post-norm", num_layers=3), 0), tokens, target)
        >>> [round(move, 2) for move in moves]
        [1.0, 1.0, 1.0]
    """
    moved = copy.deepcopy(model)
    optimizer = optim.Adam(moved.parameters(), lr=learning_rate, eps=eps)
    train_step(moved, (tokens, target), optimizer, TokenCrossEntropy(), clip_norm=None)
    pairs = zip(_first_weights(moved), _first_weights(model), strict=True)
    return [(after - before).abs().max().item() / learning_rate for after, before in pairs]


def _first_weights(model: DeepModel) -> list[nn.Parameter]:
    names = [f"layers.{n}.feed_forward.linear1.weight" for n in range(len(model.layers))]
    return [model.get_parameter(name) for name in names]


@torch.no_grad()
def mean_cosines(states: list[Tensor]) -> list[float]:
    """How alike the tokens of a sequence are: the mean cosine between two different ones.

    Args:
        states: What `DeepModel.stream` returns: (B, T, d_model) each.

    Example:
        >>> alike, perpendicular = torch.ones(1, 2, 2), torch.eye(2)[None]
        >>> [round(cosine, 6) for cosine in mean_cosines([alike, perpendicular])]
        [1.0, 0.0]
    """
    cosines = []
    for x in states:
        unit = F.normalize(x.double(), dim=-1, eps=1e-300)  # vectors may be tiny
        length = x.size(1)
        # |sum of unit vectors|^2 is the sum over all pairs; T of them are a token with itself.
        pairs = unit.sum(dim=1).square().sum(dim=-1) - length
        cosines.append((pairs / (length * (length - 1))).mean().item())
    return cosines


def start(variant: Variant, seed: int) -> DeepModel:
    """The untrained model of a variant and a seed; the same weights whatever the join."""
    seed_everything(seed)
    return DeepModel(
        variant.join,
        variant.num_layers,
        TASK.vocab_size,
        TASK.length,
        d_model=SETTINGS.d_model,
        num_heads=SETTINGS.num_heads,
        d_ff=SETTINGS.d_ff,
    )


def probe() -> tuple[Tensor, Tensor]:
    """The sequences, with their targets, on which gradients and cosines are taken.

    Example:
        >>> [tuple(x.shape) for x in probe()]
        [(256, 8), (256, 8)]
    """
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    return TASK.sample(SETTINGS.probe_size, generator)


def run(variant: Variant, seed: int) -> tuple[DeepModel, History, Result]:
    """Train one variant from one seed, with a look at it before and after."""
    model = start(variant, seed)
    tokens, target = probe()
    measures = {
        "gradients": gradient_norms(model, tokens, target),
        "cosines": mean_cosines(model.stream(tokens)),
    }
    optimizer = optim.Adam(model.parameters(), lr=variant.learning_rate)
    warmup = optim.lr_scheduler.LambdaLR(
        optimizer, lambda steps_done: min(1.0, (steps_done + 1) / variant.warmup_steps)
    )
    history = fit(
        model,
        TASK.sample,
        SETTINGS,
        seed,
        optimizer=optimizer,
        schedule=warmup,
        on_divergence="stop",
        label=variant.name,
    )
    measures["cosines after training"] = mean_cosines(model.stream(tokens))
    return model, history, measure(model, TASK.sample, SETTINGS, history, measures=measures)


EXPERIMENT = Experiment(
    name="depth",
    settings={
        **asdict(SETTINGS),
        "task": asdict(TASK),
        "variants": {variant.name: asdict(variant) for variant in VARIANTS},
    },
    # A model that gives all tokens of a sequence one answer: ln 8 at least, in every sequence,
    # by the argument of `AddressBook.uniform_floor`.
    floors={"chance": TASK.chance, "one answer": math.log(TASK.length)},
    variants=tuple(variant.name for variant in VARIANTS),
    run=lambda name, seed: run(next(v for v in VARIANTS if v.name == name), seed)[2],
)

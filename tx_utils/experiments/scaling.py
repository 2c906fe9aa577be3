"""Lesson 01's second experiment: attention with and without the division by sqrt(d_head).

Whether leaving it out hurts depends on the optimizer, its rate, clipping and the initialisation,
so the sweep covers them all, and nobody can say that one was chosen to hurt.
"""

import math
from dataclasses import asdict, dataclass

from torch import Tensor, nn, optim

from tx_utils.attention import scaled_dot_product_attention
from tx_utils.experiments import address_book
from tx_utils.experiments.address_book import TASK, AddressBookModel, SelfAttention
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import measure
from tx_utils.normalization import LayerNorm
from tx_utils.tasks import fresh_loader
from tx_utils.training import TokenCrossEntropy, seed_everything, train

OPTIMIZERS = {"SGD": optim.SGD, "Adam": optim.Adam}


@dataclass(frozen=True)
class Settings:
    """What the runs of the sweep have in common."""

    d_model: int = 32
    batch_size: int = 32
    batches_per_epoch: int = 20
    epochs: int = 15


SETTINGS = Settings()


@dataclass(frozen=True)
class Variant:
    """One point of the sweep.

    Attributes:
        optimizer: "SGD" or "Adam".
        learning_rate: Its rate.
        scaled: Whether scores are divided by sqrt(d_head).
        d_head: Width of queries and keys.
        clip_norm: Longest gradient allowed; None for no limit.
        unit_variance: Whether queries and keys start with variance 1 (as the paper's footnote 4
            assumes), or as torch initialises a linear layer, with variance 1/3.
    """

    optimizer: str
    learning_rate: float
    scaled: bool
    d_head: int = 512
    clip_norm: float | None = None
    unit_variance: bool = True

    @property
    def name(self) -> str:
        """One line that says it all, for instance "SGD 0.3, d_head 512, unscaled"."""
        parts = [f"{self.optimizer} {self.learning_rate:g}", f"d_head {self.d_head}"]
        parts += [] if self.clip_norm is None else [f"clipped to {self.clip_norm:g}"]
        parts += [] if self.unit_variance else ["default initialisation"]
        return ", ".join([*parts, "scaled" if self.scaled else "unscaled"])


RATES = {"SGD": (0.03, 0.1, 0.3, 1.0), "Adam": (3e-4, 1e-3, 3e-3, 1e-2)}
SWEEP = tuple(
    Variant(optimizer, rate, scaled, **options)
    for optimizer, rates in RATES.items()
    for rate in rates
    for options in (
        [{}, {"d_head": 64}]
        + ([{"clip_norm": 1.0}] if (optimizer, rate) == ("SGD", 1.0) else [])
        + ([{"unit_variance": False}] if optimizer == "Adam" else [])
    )
    for scaled in (True, False)
)


class WideAttention(SelfAttention):
    """Self-attention with queries and keys of any width, with or without the scaling."""

    def __init__(self, d_model: int, variant: Variant) -> None:
        super().__init__(d_model, variant.d_head)
        self.norm = LayerNorm(d_model)  # tokens of variance 1 in
        if variant.unit_variance:  # queries and keys of variance 1 out
            nn.init.normal_(self.query_proj.weight, std=d_model**-0.5)
            nn.init.normal_(self.key_proj.weight, std=d_model**-0.5)
        # The formula divides by sqrt(d_head); a query that much longer undoes it.
        self.query_factor = 1.0 if variant.scaled else math.sqrt(variant.d_head)

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output (B, T, d_model) and the weights (B, T, T)."""
        x = self.norm(x)
        query = self.query_proj(x) * self.query_factor
        return scaled_dot_product_attention(query, self.key_proj(x), self.value_proj(x))


def run(variant: Variant, seed: int) -> Result:
    """Train one point of the sweep from one seed; a run that diverges ends there."""
    seed_everything(seed)
    model = AddressBookModel(WideAttention(SETTINGS.d_model, variant), SETTINGS.d_model)
    loader = fresh_loader(
        TASK.sample, batch_size=SETTINGS.batch_size, batches=SETTINGS.batches_per_epoch, seed=seed
    )
    history = train(
        model,
        loader,
        OPTIMIZERS[variant.optimizer](model.parameters(), lr=variant.learning_rate),
        TokenCrossEntropy(),
        epochs=SETTINGS.epochs,
        clip_norm=variant.clip_norm,
        on_divergence="stop",
        label=variant.name,
    )
    result = measure(model, TASK.sample, address_book.SETTINGS, history)
    return Result(result.loss, result.accuracy)  # so many curves nobody would look at


EXPERIMENT = Experiment(
    name="scaling",
    settings={
        **asdict(SETTINGS),
        "test_size": address_book.SETTINGS.test_size,
        "test_seed": address_book.SETTINGS.test_seed,
        "task": asdict(TASK),
        "variants": {variant.name: asdict(variant) for variant in SWEEP},
    },
    floors={"uniform": TASK.uniform_floor, "alone": TASK.alone_floor},
    variants=tuple(variant.name for variant in SWEEP),
    run=lambda name, seed: run(next(v for v in SWEEP if v.name == name), seed),
)

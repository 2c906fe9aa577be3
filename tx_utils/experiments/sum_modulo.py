"""Lesson 04's experiment: the sum of two looked-up digits, with and without a nonlinearity.

All models look up the digits in the same way, with weights that see names only, so that what
comes out of attention is a sum of one term per digit. They differ in the layer that follows:
none, a feed-forward network, the same network narrower, or with its activation changed or taken
out, or a LayerNorm.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils.experiments.directory import DirectoryModel
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.feed_forward import FeedForward
from tx_utils.normalization import LayerNorm
from tx_utils.tasks import SumModulo
from tx_utils.training import History, seed_everything

TASK = SumModulo()
WIDTHS = (1, 2, 4, 8, 16, 32, 64)  # of the hidden layer; the variant "ReLU" has 128
SHARPER = "GELU, sharper"  # the same network and first weights, the bend four times as close


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 04's training runs have in common."""

    d_model: int = 32
    num_heads: int = 2
    d_ff: int = 128


SETTINGS = Settings(
    batch_size=128, batches_per_epoch=20, epochs=15, learning_rate=3e-3, test_size=5120
)


class LinearFeedForward(FeedForward):
    """The feed-forward network with its activation taken out: as many parameters, no bend.

    Args:
        d_model: Width of a token's vector, in and out.
        d_ff: Width of the hidden layer.

    Example:
        >>> LinearFeedForward(d_model=4, d_ff=16).activation
        Identity()
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__(d_model, d_ff)
        self.activation = nn.Identity()


class SharperGELU(nn.Module):
    """GELU drawn at a quarter of its size, gelu(4x) / 4: it bends four times closer to zero.

    Example:
        >>> import torch
        >>> x = torch.tensor(0.1)
        >>> bool(torch.isclose(4 * SharperGELU()(x), nn.GELU()(4 * x)))
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...), entry by entry."""
        return F.gelu(4 * x) / 4


class SharperFeedForward(FeedForward):
    """The feed-forward network with GELU, sharpened.

    Args:
        d_model: Width of a token's vector, in and out.
        d_ff: Width of the hidden layer.

    Example:
        >>> SharperFeedForward(d_model=4, d_ff=16).activation
        SharperGELU()
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__(d_model, d_ff)
        self.activation = SharperGELU()


class Plus(nn.Module):
    """What a layer makes of x, added to x itself.

    Args:
        layer: Keeps the shape of its input.

    Example:
        >>> import torch
        >>> Plus(nn.Identity())(torch.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_model) -> (..., d_model)."""
        return x + self.layer(x)


def narrow(width: int) -> str:
    """Name the variant whose hidden layer has that width, for instance "ReLU, width 4"."""
    return f"ReLU, width {width}"


def _narrowed(width: int) -> Callable[[int, int], nn.Module]:
    return lambda d_model, _: Plus(FeedForward(d_model, width))


LAYERS: dict[str, Callable[[int, int], nn.Module]] = {  # (d_model, d_ff) -> what follows attention
    "ReLU": lambda d_model, d_ff: Plus(FeedForward(d_model, d_ff)),
    "linear": lambda d_model, d_ff: Plus(LinearFeedForward(d_model, d_ff)),
    "none": lambda *_: nn.Identity(),
    "GELU": lambda d_model, d_ff: Plus(FeedForward(d_model, d_ff, activation="gelu")),
    "LayerNorm": lambda d_model, _: LayerNorm(d_model),
    SHARPER: lambda d_model, d_ff: Plus(SharperFeedForward(d_model, d_ff)),
    **{narrow(width): _narrowed(width) for width in WIDTHS},
}


def make_model(variant: str) -> DirectoryModel:
    """Build one variant's model, untrained."""
    return DirectoryModel(
        nn.Embedding(TASK.num_digits, SETTINGS.d_model),
        TASK.people,
        TASK.num_digits,
        d_model=SETTINGS.d_model,
        num_heads=SETTINGS.num_heads,
        after=LAYERS[variant](SETTINGS.d_model, SETTINGS.d_ff),
    )


def mass_on_asked(model: DirectoryModel) -> list[float]:
    """How much of each head's attention is on the two people asked for, on the test set."""
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    asked, names, *_ = TASK.sample(SETTINGS.test_size, generator)
    is_asked = (names[:, :, None] == asked[:, None, :]).any(dim=-1)  # (B, T)
    with torch.no_grad():
        weights = model.weights(asked, names).squeeze(2)  # (B, H, T)
    on_asked: list[float] = (weights * is_asked[:, None]).sum(dim=-1).mean(dim=0).tolist()
    return on_asked


def run(variant: str, seed: int) -> tuple[DirectoryModel, History, Result]:
    """Train one variant from one seed, exactly as the lesson does in the open."""
    seed_everything(seed)
    model = make_model(variant)
    history = fit(model, TASK.sample, SETTINGS, seed, label=variant)
    measures = {"on_asked": mass_on_asked(model)}
    return model, history, measure(model, TASK.sample, SETTINGS, history, measures=measures)


EXPERIMENT = Experiment(
    name="sum_modulo",
    settings={**asdict(SETTINGS), "task": asdict(TASK)},
    floors={"additive": TASK.additive_floor},
    variants=tuple(LAYERS),
    run=lambda variant, seed: run(variant, seed)[2],
)

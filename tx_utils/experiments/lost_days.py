"""Lesson 09's second experiment: name the lost days, reading both sides, or from left to right.

The two differ in the mask alone. Both are held against their own floor, which is exact: what the
forward-backward algorithm says, or its forward half. A third is trained by BERT's own recipe, in
which some chosen days show another weather, or their own.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn, optim

from tx_utils._modes import observed
from tx_utils.configs import BERTConfig
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.masks import causal_mask, padding_mask
from tx_utils.models import BERT
from tx_utils.recording import record_attention
from tx_utils.tasks.lost_days import LOST, NO_DAY, NOT_LOST, VOCAB_SIZE, LostDays
from tx_utils.tasks.weather import WEATHER
from tx_utils.training import History, seed_everything, warmup_cosine

TASK = LostDays()
BERT_TASK = replace(TASK, shown_wrong=0.1, shown_right=0.1)  # Devlin et al. (2019), section 3.1
BOTH_SIDES, LEFT_TO_RIGHT, BERT_RECIPE = "both sides", "left to right", "both sides, 80/10/10"
TASKS = {BOTH_SIDES: TASK, LEFT_TO_RIGHT: TASK, BERT_RECIPE: BERT_TASK}


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What the training runs have in common.

    Attributes:
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        num_layers: Number of layers.
        d_ff: Width of the feed-forward networks' hidden layer.
        warmup_steps: Steps of the rise to the peak rate; half a cosine follows.
    """

    d_model: int = 64
    num_heads: int = 4
    num_layers: int = 1
    d_ff: int = 128
    warmup_steps: int = 50

    @property
    def config(self) -> BERTConfig:
        """The model's sizes."""
        return BERTConfig(
            VOCAB_SIZE, self.d_model, self.num_heads, self.num_layers, self.d_ff, TASK.days
        )


SETTINGS = Settings(batch_size=128, batches_per_epoch=25, epochs=40, learning_rate=5e-3)


class DayReader(nn.Module):
    """A BERT with a linear layer on top that names each day's weather.

    Args:
        config: Sizes and choices.
        both_sides: False puts the causal mask on: no day sees a later one.
    """

    def __init__(self, config: BERTConfig, *, both_sides: bool = True) -> None:
        super().__init__()
        self.bert = BERT(config)
        self.output_proj = nn.Linear(config.d_model, len(WEATHER))
        self.both_sides = both_sides

    def forward(self, tokens: Tensor) -> Tensor:
        """Score every weather for every day.  (B, T) -> (B, T, 8)."""
        mask = padding_mask(tokens, NO_DAY)
        if not self.both_sides:
            mask = mask & causal_mask(tokens.size(1), device=tokens.device)
        return self.output_proj(self.bert(tokens, mask=mask))


def build(variant: str) -> DayReader:
    """The model of one variant, before training; from one seed, all start with the same weights."""
    return DayReader(SETTINGS.config, both_sides=variant != LEFT_TO_RIGHT)


def optimizer_and_schedule(
    model: nn.Module,
) -> tuple[optim.Optimizer, optim.lr_scheduler.LambdaLR]:
    """Adam, and a rate that rises for a few steps and then falls to 0."""
    optimizer = optim.Adam(model.parameters(), lr=SETTINGS.learning_rate)
    steps = SETTINGS.epochs * SETTINGS.batches_per_epoch
    return optimizer, warmup_cosine(
        optimizer, warmup_steps=SETTINGS.warmup_steps, total_steps=steps
    )


def excess(model: DayReader, task: LostDays, tokens: Tensor, target: Tensor) -> tuple[float, float]:
    """What a model's forecasts cost, with the weather of the lost days itself averaged out.

    Given what is read, Bayes' beliefs say how likely each weather is. So the expected cost of a
    forecast is their entropy plus their Kullback-Leibler divergence from it; the second is never
    negative (Gibbs), and 0 for Bayes' own forecast only.

    Args:
        model: Reads as many sides as its `both_sides` says.
        task: The one that the diaries come from.
        tokens: What can be read.                        (B, T)
        target: The weather of lost days, else `NOT_LOST`.  (B, T)

    Returns:
        The mean entropy, which is the floor, and the mean divergence, the excess; in nats.
    """
    asked = target != NOT_LOST
    with observed(model):
        log_forecast = model(tokens)[asked].double().log_softmax(dim=-1)
    belief = task.beliefs(tokens, both_sides=model.both_sides)[asked]
    entropy = -torch.xlogy(belief, belief).sum(dim=-1)
    cost = -(belief * log_forecast).sum(dim=-1)
    return entropy.mean().item(), (cost - entropy).mean().item()


def echo(model: DayReader, tokens: Tensor) -> float:
    """Share of the days that can be read whose likeliest weather, for the model, is the one read.

    Args:
        model: A trained reader.
        tokens: Diaries.  (B, T)
    """
    with observed(model):
        named = model(tokens).argmax(dim=-1)
    return (named == tokens)[tokens < LOST].float().mean().item()


def attention_by_distance(
    model: DayReader, tokens: Tensor, target: Tensor, reach: int = 3
) -> Tensor:
    """How much lost days look at the days before and after them, on average.

    Args:
        model: A reader; its last layer is looked at.
        tokens: Diaries.                                    (B, T)
        target: The weather of lost days, else `NOT_LOST`.  (B, T)
        reach: The farthest distance. Days nearer to an edge of the page are left out.

    Returns:
        Mean weights by head and distance, from `reach` days before to as many after.
        (H, 2 * reach + 1)
    """
    with observed(model), record_attention(model) as maps:
        model(tokens)
    *_, weights = maps.values()
    row, day = (target != NOT_LOST).nonzero().T
    inside = (day >= reach) & (day + reach < tokens.size(1))
    row, day = row[inside], day[inside]
    distances = range(-reach, reach + 1)
    return torch.stack([weights[row, :, day, day + d].mean(dim=0) for d in distances], dim=1)


def run(variant: str, seed: int) -> tuple[DayReader, History, Result]:
    """Train one variant from one seed, and measure it on a fixed test set of its task."""
    task = TASKS[variant]
    seed_everything(seed)
    model = build(variant)
    optimizer, schedule = optimizer_and_schedule(model)
    history = fit(
        model,
        task.sample,
        SETTINGS,
        seed,
        optimizer=optimizer,
        schedule=schedule,
        label=variant,
    )
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    tokens, target = task.sample(SETTINGS.test_size, generator)
    measures: dict[str, Any] = dict(
        zip(("floor", "excess"), excess(model, task, tokens, target), strict=True)
    )
    measures["echo"] = echo(model, tokens)
    return model, history, measure(model, task.sample, SETTINGS, history, measures=measures)


EXPERIMENT = Experiment(
    name="lost_days",
    settings={
        **asdict(SETTINGS),
        "tasks": {variant: asdict(task) for variant, task in TASKS.items()},
    },
    floors={
        BOTH_SIDES: TASK.floor(),
        LEFT_TO_RIGHT: TASK.floor(both_sides=False),
    },
    variants=tuple(TASKS),
    run=lambda variant, seed: run(variant, seed)[2],
)

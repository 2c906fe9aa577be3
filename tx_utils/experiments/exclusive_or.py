"""Lesson 04's second experiment: exclusive or from attention alone, once its keys see the bits.

"Attention is linear, so it cannot compute exclusive or" is often said and wrong. It is linear in
the values; the weights are not linear in what the keys hold. One thing changes between the
models: whether a key is made of an entry's name alone, or of its name and its bit.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from tx_utils.experiments.directory import DirectoryModel
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.tasks import SumModulo
from tx_utils.training import History, seed_everything

TASK = SumModulo(num_digits=2)


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What the runs of this experiment have in common."""

    d_model: int = 32


SETTINGS = Settings(
    batch_size=128, batches_per_epoch=20, epochs=30, learning_rate=3e-3, test_size=5120
)


class SeeingModel(DirectoryModel):
    """A directory model whose keys see what the entries hold, and not just their names."""

    def forward(self, asked: Tensor, names: Tensor, held: Tensor) -> Tensor:
        """Answer.  (B, 2), (B, T), (B, T) -> (B, num_outputs)."""
        content = self.held(held)
        found = self.attention(self.question(asked), self.name(names) + content, content)
        return self.readout(self.after(found)).squeeze(1)

    def weights_seeing(self, asked: Tensor, names: Tensor, held: Tensor) -> Tensor:
        """Where each head looks.  (B, 2), (B, T), (B, T) -> (B, H, 1, T)."""
        return self.attention.weights(self.question(asked), self.name(names) + self.held(held))


def mass_on_up(model: SeeingModel) -> list[float]:
    """How much of each head's attention is on the one that is up, of two bits that differ."""
    generator = torch.Generator().manual_seed(SETTINGS.test_seed)
    asked, names, bits, answer = TASK.sample(SETTINGS.test_size, generator)
    is_asked = (names[:, :, None] == asked[:, None, :]).any(dim=-1)  # (B, T)
    with torch.no_grad():
        weights = model.weights_seeing(asked, names, bits).squeeze(2)  # (B, H, T)
    on_up = (weights * (is_asked & (bits == 1))[:, None]).sum(dim=-1)  # (B, H)
    means: list[float] = on_up[answer == 1].mean(dim=0).tolist()
    return means


VARIANTS: dict[str, tuple[type[DirectoryModel], int]] = {  # the model, and its heads
    "keys see bits, 2 heads": (SeeingModel, 2),
    "keys see bits, 1 head": (SeeingModel, 1),
    "keys see names, 2 heads": (DirectoryModel, 2),
}


def run(variant: str, seed: int) -> tuple[DirectoryModel, History, Result]:
    """Train one variant from one seed."""
    seed_everything(seed)
    model_class, num_heads = VARIANTS[variant]
    d_model, digits = SETTINGS.d_model, TASK.num_digits
    held = nn.Embedding(digits, d_model)
    model = model_class(held, TASK.people, digits, d_model=d_model, num_heads=num_heads)
    history = fit(model, TASK.sample, SETTINGS, seed, label=variant)
    measures = {"on_up": mass_on_up(model)} if isinstance(model, SeeingModel) else {}
    return model, history, measure(model, TASK.sample, SETTINGS, history, measures=measures)


EXPERIMENT = Experiment(
    name="exclusive_or",
    settings={**asdict(SETTINGS), "task": asdict(TASK)},
    floors={"additive": TASK.additive_floor, "one head": TASK.one_head_floor},
    variants=tuple(VARIANTS),
    run=lambda variant, seed: run(variant, seed)[2],
)

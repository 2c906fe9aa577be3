"""Lesson 06's experiment: sort digits token by token, with the causal mask and without.

Two models start from the same weights and see the same batches. One is a `GPT`; the other is a
`GPT` whose mask has been forgotten, so that it finds the token to foretell among its inputs.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn, optim

from tx_utils.cache import KVCache
from tx_utils.configs import GPTConfig
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.models import GPT
from tx_utils.recording import record_attention
from tx_utils.tasks import SortDigits
from tx_utils.training import History, TokenAccuracy, seed_everything

TASK = SortDigits()


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 06's training runs have in common.

    Attributes:
        d_model: Width of a token's vector.
        num_heads: Attention heads per layer.
        num_layers: Layers, all pre-norm.
        d_ff: Width of the feed-forward networks' hidden layer.
        check_every: Epochs between two checks of what the model can write.
        prompts: Sequences in each check.
        prompt_seed: Names them; no run's own seed.
    """

    d_model: int = 64
    num_heads: int = 2
    num_layers: int = 2
    d_ff: int = 256
    check_every: int = 4
    prompts: int = 300
    prompt_seed: int = 2_000_000


SETTINGS = Settings(batch_size=64, batches_per_epoch=10, epochs=40, learning_rate=3e-3)


class NoMask(GPT):
    """A `GPT` whose mask has been forgotten: every position looks at the whole sequence."""

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Score the next token at every position, next tokens in sight.  (B, T, vocab_size).

        What a token looks at changes with what comes after it, so that no cache can serve.
        """
        if cache is not None:
            raise ValueError("without the mask, keys and values change: cache must be None")
        return self.output_proj(self.encoder(self.positions(self.embedding(tokens))))


MODELS: dict[str, type[GPT]] = {"mask": GPT, "no mask": NoMask}


def build(variant: str) -> GPT:
    """A new model; from one state of the random numbers, both variants start alike."""
    config = GPTConfig(
        TASK.vocab_size,
        d_model=SETTINGS.d_model,
        num_heads=SETTINGS.num_heads,
        num_layers=SETTINGS.num_layers,
        d_ff=SETTINGS.d_ff,
        max_len=2 * TASK.length,
        activation="relu",
    )
    return MODELS[variant](config)


@torch.no_grad()
def complete(model: nn.Module, tokens: Tensor, count: int) -> Tensor:
    """Write on, each time the token that scores highest.  (B, T) -> (B, T + count)."""
    for _ in range(count):
        following = model(tokens)[:, -1].argmax(dim=-1, keepdim=True)
        tokens = torch.cat([tokens, following], dim=1)
    return tokens


class AnswerAccuracy(TokenAccuracy):
    """Share of right answer tokens, each predicted behind the true ones (teacher forcing)."""

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Leave out the targets before the answer.  (B, T, vocab_size), (B, T) -> scalar."""
        return super().__call__(logits[:, -TASK.length :], target[:, -TASK.length :])


def check(model: nn.Module) -> dict[str, float]:
    """Answer the same prompts twice: teacher-forced, and in free generation."""
    generator = torch.Generator().manual_seed(SETTINGS.prompt_seed)
    tokens, target = TASK.sample(SETTINGS.prompts, generator)
    answer = target[:, -TASK.length :]
    written = complete(model, tokens[:, : TASK.length + 1], TASK.length)[:, -TASK.length :]
    with torch.no_grad():
        forced = AnswerAccuracy()(model(tokens), target)
    right = written == answer
    return {
        "teacher-forced": forced.item(),
        "generated tokens": right.float().mean().item(),
        "generated answers": right.all(dim=1).float().mean().item(),
    }


def next_token_mass(model: nn.Module) -> list[float]:
    """Mean attention weight on the next position, the one to foretell, layer by layer."""
    tokens, _ = TASK.sample(SETTINGS.prompts, torch.Generator().manual_seed(SETTINGS.prompt_seed))
    with record_attention(model) as maps, torch.no_grad():
        model(tokens)
    return [weights.diagonal(1, dim1=-2, dim2=-1).mean().item() for weights in maps.values()]


def run(variant: str, seed: int) -> tuple[GPT, History, Result]:
    """Train one variant from one seed, checking on the way what it can write."""
    seed_everything(seed)
    model, history = build(variant), History()
    optimizer = optim.Adam(model.parameters(), lr=SETTINGS.learning_rate)
    checks: dict[str, list[Any]] = {"step": []}
    for epochs in range(SETTINGS.check_every, SETTINGS.epochs + 1, SETTINGS.check_every):
        part = replace(SETTINGS, epochs=epochs)
        fit(model, TASK.sample, part, seed, optimizer=optimizer, history=history, progress=False)
        checks["step"].append(history.steps)
        for name, value in check(model).items():
            checks.setdefault(name, []).append(value)
    unmasked = NoMask(model.config)
    unmasked.load_state_dict(model.state_dict())
    measures = {
        **checks,
        "next token": next_token_mass(model),
        "generated answers, mask taken off": check(unmasked)["generated answers"],
    }
    result = measure(
        model, TASK.sample, SETTINGS, history, accuracy=AnswerAccuracy(), measures=measures
    )
    return model, history, result


EXPERIMENT = Experiment(
    name="sorting",
    settings={**asdict(SETTINGS), "task": asdict(TASK)},
    floors={"entropy": TASK.entropy_floor},
    variants=tuple(MODELS),
    run=lambda variant, seed: run(variant, seed)[2],
)

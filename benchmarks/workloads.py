"""What is timed, at which sizes, how often."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.contenders import gpts, training_steps, translators, writers
from benchmarks.flops import forward_flops, layer_weights, training_flops
from benchmarks.rounds import Contender
from tx_utils import GPTConfig, TransformerConfig

VOCAB = 256  # bytes
PROMPT, NEW = 8, 256


@dataclass(frozen=True)
class Size:
    """A model's size and its batch's."""

    d_model: int
    num_heads: int
    num_layers: int
    length: int
    batch: int

    def __str__(self) -> str:
        return (
            f"d_model {self.d_model}, {self.num_layers} layers, {self.num_heads} heads, "
            f"length {self.length}, batch {self.batch}"
        )

    def forward_flops(self, weights: int, *, attentions: int) -> int:
        """Of the whole batch, for tokens that meet `weights` and pass so many attentions."""
        tokens = self.batch * self.length
        return forward_flops(weights, tokens, attentions, d_model=self.d_model, length=self.length)


@dataclass(frozen=True)
class Workload:
    """One table of the report.

    Attributes:
        title: What is done, with its sizes.
        make: Builds the contenders; ours comes first.
        rounds: How often they take turns.
        quick: How often with `--quick`; 0 leaves it out.
        flops: Floating-point operations of the model in one call; 0 where they say nothing
            (a token written alone is bound by memory, not by arithmetic).
        tokens: Tokens written by one call; 0 for a training step.
    """

    title: str
    make: Callable[[], list[Contender]]
    rounds: int
    quick: int
    flops: int = 0
    tokens: int = 0


def gpt_training(size: Size, rounds: int, quick: int) -> Workload:
    """A GPT's training step."""
    config = gpt_config(size.d_model, size.num_heads, size.num_layers, size.length)

    def make() -> list[Contender]:
        tokens = torch.randint(VOCAB, (size.batch, size.length + 1))
        return training_steps(gpts(config), (tokens[:, :-1],), tokens[:, 1:].contiguous())

    weights = size.num_layers * layer_weights(size.d_model, config.d_ff) + size.d_model * VOCAB
    flops = training_flops(size.forward_flops(weights, attentions=size.num_layers))
    return Workload(f"GPT training step: {size}", make, rounds, quick, flops=flops)


def translation_training(size: Size, rounds: int, quick: int) -> Workload:
    """An encoder-decoder's training step; a quarter of the sources is half padding."""
    d_ff = 4 * size.d_model
    config = TransformerConfig(
        *(VOCAB, VOCAB, size.d_model, size.num_heads, size.num_layers, d_ff, size.length),
        dropout=0.0,
        activation="gelu",
        scale_embedding=False,
    )

    def make() -> list[Contender]:
        source = torch.randint(1, VOCAB, (size.batch, size.length))
        target = torch.randint(1, VOCAB, (size.batch, size.length + 1))
        source[: size.batch // 4, size.length // 2 :] = config.pad_id
        inputs = (source, target[:, :-1].contiguous())
        return training_steps(translators(config), inputs, target[:, 1:].contiguous())

    # A source token passes the encoder, the target token beside it the decoder and the output.
    encoder, decoder = (
        layer_weights(size.d_model, d_ff),
        layer_weights(size.d_model, d_ff, attentions=2),
    )
    weights = size.num_layers * (encoder + decoder) + size.d_model * VOCAB
    flops = training_flops(size.forward_flops(weights, attentions=3 * size.num_layers))
    title = f"Encoder-decoder training step, each side: {size}"
    return Workload(title, make, rounds, quick, flops=flops)


def generation(batch: int, rounds: int, quick: int, *, uncached_every: int) -> Workload:
    """Greedy writing after a short prompt."""
    config = gpt_config(384, 6, 6, PROMPT + NEW)

    def make() -> list[Contender]:
        prompt = torch.randint(VOCAB, (batch, PROMPT))
        return writers(config, prompt, NEW, uncached_every=uncached_every)

    title = f"Greedy generation of {NEW} tokens: d_model 384, 6 layers, 6 heads, batch {batch}"
    return Workload(title, make, rounds, quick, tokens=batch * NEW)


def gpt_config(d_model: int, num_heads: int, num_layers: int, max_len: int) -> GPTConfig:
    """GPT-2's form: embeddings tied and not scaled; exact GELU, d_ff = 4 d_model."""
    sizes = (VOCAB, d_model, num_heads, num_layers, 4 * d_model, max_len)
    return GPTConfig(*sizes, scale_embedding=False)


# With the attention layer eight to nine minutes on two quiet cores; `quick` a minute and a half.
WORKLOADS = {
    "toy": gpt_training(Size(64, 4, 2, length=32, batch=64), 60, 20),
    "small": gpt_training(Size(128, 4, 4, length=128, batch=32), 30, 5),
    "medium": gpt_training(Size(384, 6, 6, length=256, batch=8), 10, 1),
    "translation": translation_training(Size(128, 4, 2, length=16, batch=128), 40, 10),
    "write-1": generation(1, 8, 2, uncached_every=2),
    "write-8": generation(8, 8, 0, uncached_every=4),
}

"""The contenders: models of one size, made ready to be called in turn.

Every model has random weights, no dropout, exact GELU and an output projection tied to the
(target's) embedding, so that all learn the same number of parameters but for some biases.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel
from x_transformers import AutoregressiveWrapper, Decoder, Encoder, TransformerWrapper

from benchmarks.peers import NanoGPT, TorchGPT, TorchTransformer
from benchmarks.rounds import Contender
from benchmarks.written_out import write_out
from tx_utils import GPT, GPTConfig, Transformer, TransformerConfig, generate

OURS = "tx_utils"
WRITTEN_OUT = "tx_utils, attention written out"
WITHOUT_CACHE = "tx_utils, no cache"
NANO = "nanoGPT's design"
TORCH_GPT = "nn.TransformerEncoder"
TORCH_TRANSFORMER = "nn.Transformer"
HUGGING_FACE = "Hugging Face GPT-2"
X_TRANSFORMERS = "x-transformers"

Logits = Callable[..., Tensor]
Models = dict[str, tuple[nn.Module, Logits]]  # the model, and how it turns ids into logits


class XTransformer(nn.Module):
    """x-transformers' encoder and decoder, joined without the loss that its own class adds."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pad_id = config.pad_id
        shared = {"max_seq_len": config.max_len}
        self.encoder = TransformerWrapper(
            num_tokens=config.source_vocab_size,
            attn_layers=Encoder(**_x_layers(config)),
            return_only_embed=True,
            **shared,
        )
        self.decoder = TransformerWrapper(
            num_tokens=config.target_vocab_size,
            attn_layers=Decoder(cross_attend=True, **_x_layers(config)),
            tie_embedding=True,
            **shared,
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next target token.  (B, T_source), (B, T_target) -> (B, T_target, vocab)."""
        real = source != self.pad_id
        memory = self.encoder(source, mask=real)
        mask = target != self.pad_id
        return self.decoder(target, mask=mask, context=memory, context_mask=real)


def gpts(config: GPTConfig) -> Models:
    """Decoder-only models of this size."""
    ours, written_out = GPT(config), write_out(GPT(config))
    nano, torch_gpt = NanoGPT(config), TorchGPT(config)
    theirs, x = hugging_face(config), x_transformers(config)
    return {
        OURS: (ours, ours),
        WRITTEN_OUT: (written_out, written_out),
        NANO: (nano, nano),
        TORCH_GPT: (torch_gpt, torch_gpt),
        HUGGING_FACE: (theirs, lambda tokens: theirs(tokens, use_cache=False).logits),
        X_TRANSFORMERS: (x, x),
    }


def translators(config: TransformerConfig) -> Models:
    """Encoder-decoder models of this size."""
    models = {
        OURS: Transformer(config),
        WRITTEN_OUT: write_out(Transformer(config)),
        TORCH_TRANSFORMER: TorchTransformer(config),
        X_TRANSFORMERS: XTransformer(config),
    }
    return {name: (model, model) for name, model in models.items()}


def training_steps(models: Models, inputs: tuple[Tensor, ...], labels: Tensor) -> list[Contender]:
    """A step of each: forward, cross-entropy, backward, fused AdamW."""

    def step(model: nn.Module, logits_of: Logits) -> Callable[[], object]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

        def call() -> None:
            optimizer.zero_grad()
            logits = logits_of(*inputs)
            F.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
            optimizer.step()

        return call

    return [
        Contender(name, step(model.train(), logits_of), count(model))
        for name, (model, logits_of) in models.items()
    ]


def writers(config: GPTConfig, prompt: Tensor, new: int, *, uncached_every: int) -> list[Contender]:
    """Greedy generation of `new` tokens, by all that bring a loop for it."""
    ours, theirs, x = GPT(config), hugging_face(config), x_transformers(config)
    loop = AutoregressiveWrapper(x)
    request = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    mask = torch.ones_like(prompt)
    calls: Mapping[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        OURS: (ours, lambda: generate(ours, prompt, max_new_tokens=new, temperature=0.0)),
        WITHOUT_CACHE: (
            ours,
            lambda: generate(ours, prompt, max_new_tokens=new, temperature=0.0, use_cache=False),
        ),
        HUGGING_FACE: (theirs, lambda: theirs.generate(prompt, attention_mask=mask, **request)),
        X_TRANSFORMERS: (x, lambda: loop.generate(prompt, new, temperature=0.0)),
    }
    return [
        Contender(
            name,
            _complete(call, new, prompt),
            count(model.eval()),
            every=uncached_every if name == WITHOUT_CACHE else 1,
        )
        for name, (model, call) in calls.items()
    ]


def hugging_face(config: GPTConfig) -> Any:
    """`GPT2LMHeadModel` with the fused kernel."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_len,
            n_embd=config.d_model,
            n_layer=config.num_layers,
            n_head=config.num_heads,
            n_inner=config.d_ff,
            activation_function="gelu",
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            attn_implementation="sdpa",
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def x_transformers(config: GPTConfig) -> Any:
    """`TransformerWrapper` around a `Decoder` with the fused kernel."""
    return TransformerWrapper(
        num_tokens=config.vocab_size,
        max_seq_len=config.max_len,
        tie_embedding=True,
        attn_layers=Decoder(**_x_layers(config)),
    )


def count(model: nn.Module) -> int:
    """Numbers that the model learns; a shared table counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _x_layers(config: GPTConfig | TransformerConfig) -> dict[str, object]:
    return {
        "dim": config.d_model,
        "depth": config.num_layers,
        "heads": config.num_heads,
        "attn_dim_head": config.d_model // config.num_heads,
        "attn_flash": True,
        "ff_mult": config.d_ff // config.d_model,
    }


def _complete(call: Callable[[], Tensor], new: int, prompt: Tensor) -> Callable[[], object]:
    """The call, refused if it wrote fewer tokens than asked for (peers differ in the prompt)."""

    def checked() -> None:
        length = call().size(1)
        if length not in (new, new + prompt.size(1)):
            raise RuntimeError(f"{new} tokens were asked for, got a result of length {length}")

    return checked

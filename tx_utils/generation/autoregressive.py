"""Generate: let a decoder-only model go on with a text."""

from contextlib import nullcontext

import torch
from torch import Tensor

from tx_utils._checks import check_index, check_positive, check_tokens
from tx_utils._modes import observed, stored_by_columns
from tx_utils.cache import KVCache
from tx_utils.generation.sampling import check_sampling, sampling_distribution
from tx_utils.models import GPT

FEW_STEPS = 40  # in so many it saves what it takes to store the weights in another order


def generate(
    model: GPT,
    tokens: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    end_id: int | None = None,
    context: int | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
) -> Tensor:
    """Continue every sequence, one token after the other.

    With the cache each token is read once. Beyond `context` tokens all positions shift, so that
    nothing in a cache would be right: from there on every step reads the last `context` tokens
    anew. Dropout is off meanwhile, and nothing is recorded for gradients. To write a long text
    faster on the CPU, the linear layers' matrices are copied for that time.

    Args:
        model: The trained model.
        tokens: The prompts, all of one length.  (B, T), T >= 1
        max_new_tokens: How many tokens to write.
        temperature: As in `sampling_distribution`; 0 writes the likeliest token, draws nothing.
        top_k: As in `sampling_distribution`.
        top_p: As in `sampling_distribution`.
        end_id: The token that ends a sequence; an ended one is filled up with it.
        context: How many tokens the model looks back at, at most; its `max_len` if None.
        generator: Source of the randomness; torch's global one if None.
        use_cache: False reads everything anew at every step: the same result, slowly.

    Returns:
        The prompts and what follows them.  (B, T + new), new <= max_new_tokens

    Raises:
        ValueError: if an argument is out of range, the prompt is empty or one that `GPT`
            refuses, or the model's scores are not numbers.

    Example:
        >>> from tx_utils.configs import GPTConfig
        >>> config = GPTConfig(9, d_model=4, num_heads=2, num_layers=1, d_ff=8, max_len=6)
        >>> prompt = torch.tensor([[3, 1, 4]])
        >>> written = generate(GPT(config), prompt, max_new_tokens=5)
        >>> written.shape, written[:, :3].tolist()
        (torch.Size([1, 8]), [[3, 1, 4]])
    """
    context = model.config.max_len if context is None else context
    _check_request(model, tokens, max_new_tokens, end_id, context)
    check_sampling(temperature, top_k, top_p)
    batch, length = tokens.shape
    longest = min(context, length + max_new_tokens)
    ended = torch.zeros(batch, 1, dtype=torch.bool, device=tokens.device)
    use_cache = use_cache and length <= context
    layout = stored_by_columns(model) if use_cache and max_new_tokens > FEW_STEPS else nullcontext()
    with observed(model), layout:
        cache = model.new_cache(batch, longest) if use_cache else None
        for _ in range(max_new_tokens):
            logits = _next_logits(model, tokens, cache, context)
            probabilities = sampling_distribution(
                logits, temperature=temperature, top_k=top_k, top_p=top_p
            )
            if temperature == 0.0:  # nothing to draw: no randomness is used up
                following = probabilities.argmax(dim=-1, keepdim=True)
            else:
                following = probabilities.multinomial(1, generator=generator)
            if end_id is not None:
                following = following.masked_fill(ended, end_id)
                ended |= following == end_id
            tokens = torch.cat([tokens, following.to(tokens.dtype)], dim=1)
            if end_id is not None and ended.all():
                break
    return tokens


def _next_logits(model: GPT, tokens: Tensor, cache: KVCache | None, context: int) -> Tensor:
    """The scores of the token that follows.  (B, T) -> (B, vocab_size)."""
    if cache is None or tokens.size(1) > context:
        return model(tokens[:, -context:])[:, -1]
    return model(tokens[:, cache.length :], cache)[:, -1]


def _check_request(
    model: GPT, tokens: Tensor, max_new_tokens: int, end_id: int | None, context: int
) -> None:
    """Raise a ValueError unless the model can be asked to go on with these."""
    check_positive(max_new_tokens=max_new_tokens, context=context)
    check_tokens(tokens)
    if tokens.size(1) == 0:
        raise ValueError(f"a prompt needs at least one token, got shape {tuple(tokens.shape)}")
    if context > model.config.max_len:
        raise ValueError(
            f"context must be at most the model's max_len ({model.config.max_len}), got {context}"
        )
    if end_id is not None:
        check_index("end_id", end_id, model.config.vocab_size)

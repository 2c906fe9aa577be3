"""Bits per character: what a language model's surprise costs, whatever its tokens are.

A loss per token says little, since one model's tokens are longer than another's. All tokens' nats
together, divided by ln 2 and by the number of *characters*, can be compared with any model of the
same text, an n-gram or a compression program included.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils._checks import check_positive
from tx_utils._modes import observed


def token_nats(
    model: nn.Module, tokens: Tensor, *, context: int, stride: int | None = None
) -> Tensor:
    """Measure what each token of a text costs, the first one included.

    The text is read in windows of `context` tokens that overlap. Each window counts its last
    `stride` tokens only, so that each counted token (but the first few of the text) has had at
    least `context` - `stride` tokens to look back at. The very first has none: it costs
    ln(vocab_size), as if it were drawn from a hat.

    Args:
        model: A language model: called with tokens (B, T), it returns logits (B, T, vocab_size).
        tokens: The text.  (N,)
        context: Tokens per window.
        stride: How far the next window is ahead; half of `context` if None.

    Returns:
        The nats of each token, in float64, on the CPU.  (N,)

    Raises:
        ValueError: if the tokens are not of shape (N,) with N >= 2, or `stride` is not between 1
            and `context`.

    Example:
        >>> class Uniform(nn.Module):
        ...     def forward(self, tokens: Tensor) -> Tensor:
        ...         return torch.zeros(*tokens.shape, 4)
        >>> nats = token_nats(Uniform(), torch.arange(4), context=2)
        >>> bool((nats == math.log(4)).all())
        True
    """
    stride = max(1, context // 2) if stride is None else stride
    check_positive(context=context, stride=stride)
    if tokens.dim() != 1 or len(tokens) < 2:
        raise ValueError(f"tokens must have shape (N,) with N >= 2, got {tuple(tokens.shape)}")
    if stride > context:
        raise ValueError(f"stride must be at most context ({context}), got {stride}")
    context = min(context, len(tokens) - 1)
    last = len(tokens) - 1 - context  # where the last window begins
    nats, counted = torch.empty(len(tokens), dtype=torch.float64), 1
    with observed(model):
        for start in [*range(0, last, stride), last]:
            window = tokens[start : start + context + 1]
            logits = model(window[None, :-1])[0].double()
            new = start + context + 1 - counted  # tokens that no window has counted yet
            nats[counted : counted + new] = F.cross_entropy(
                logits[-new:], window[-new:], reduction="none"
            )
            counted += new
    nats[0] = math.log(logits.size(-1))
    return nats


def bits_per_character(nats: Tensor, text: str) -> float:
    """Turn the nats of a text's tokens into bits per character.

    Args:
        nats: Of each token, as `token_nats` returns them.  (N,)
        text: The text that those tokens stand for.

    Raises:
        ValueError: if the text is empty.

    Example:
        >>> nats = torch.full((3,), math.log(2))  # 3 tokens, 1 bit each
        >>> round(bits_per_character(nats, "sixsix"), 6)
        0.5
    """
    if not text:
        raise ValueError("text must have at least one character, got none")
    return nats.double().sum().item() / math.log(2) / len(text)

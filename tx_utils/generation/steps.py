"""What every way of decoding shares: its checks, and the scores of the next token."""

import math

import torch
from torch import Tensor

from tx_utils._checks import check_positive
from tx_utils.models import Transformer


def check_request(model: Transformer, start_id: int, end_id: int, max_new_tokens: int) -> None:
    """Raise a ValueError unless the model can be asked to write with these."""
    check_positive(max_new_tokens=max_new_tokens)
    config = model.config
    if max_new_tokens > config.max_len:
        raise ValueError(
            f"max_new_tokens must be at most the model's max_len ({config.max_len}), "
            f"got {max_new_tokens}"
        )
    for name, token in (("start_id", start_id), ("end_id", end_id)):
        is_id = isinstance(token, int) and not isinstance(token, bool)
        if not is_id or not 0 <= token < config.target_vocab_size or token == config.pad_id:
            raise ValueError(
                f"{name} must be an id of the target vocabulary, in [0, "
                f"{config.target_vocab_size}), other than pad_id ({config.pad_id}), got {token!r}"
            )


def next_log_probs(model: Transformer, tokens: Tensor, memory: Tensor, source: Tensor) -> Tensor:
    """The log-probability of each token to come next; padding is never written.

    The other tokens keep the model's own probabilities, so that a sequence's score is what the
    model gives it.  (B, T), (B, T_source, d_model), (B, T_source) -> (B, target_vocab_size)
    """
    logits = model.decode(tokens, memory, source)[:, -1]
    if logits.isnan().any():
        raise ValueError("the model scores tokens with NaN: its weights or its input are broken")
    dtype = torch.promote_types(logits.dtype, torch.float32)  # sums of bfloat16 would be rough
    log_probs = logits.log_softmax(dim=-1, dtype=dtype)
    log_probs[:, model.config.pad_id] = -math.inf
    return log_probs

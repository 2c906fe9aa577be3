"""Greedy decoding: always write the token that scores highest."""

import torch
from torch import Tensor

from tx_utils._modes import observed
from tx_utils.generation.steps import check_request, next_log_probs
from tx_utils.models import Transformer


def greedy_decode(
    model: Transformer, source: Tensor, *, start_id: int, end_id: int, max_new_tokens: int
) -> Tensor:
    """Write a target for every source, one token after the other, the likeliest each time.

    The source is read once. A sequence ends with its `end_id`; when all have, writing ends.
    Dropout is off meanwhile, and nothing is recorded for gradients.

    Args:
        model: The trained encoder-decoder.
        source: Source ids, padded on the right.  (B, T_source)
        start_id: What the decoder reads before the first token.
        end_id: What it says after the last.
        max_new_tokens: Where a sequence is cut off that has not ended.

    Returns:
        What was written, in the form of labels: without the start token, with the end token, then
        filled up with the model's `pad_id`.  (B, T), T <= max_new_tokens

    Raises:
        ValueError: if `start_id` or `end_id` is no id of the target vocabulary or is padding,
            `max_new_tokens` is not positive or above the model's `max_len`, the source is one that
            `Transformer` refuses, or the model's scores are not numbers.

    Example:
        >>> from tx_utils.configs import TransformerConfig
        >>> config = TransformerConfig(9, 9, d_model=4, num_heads=2, num_layers=1, d_ff=8)
        >>> model, source = Transformer(config), torch.tensor([[3, 4, 2], [5, 2, 0]])
        >>> written = greedy_decode(model, source, start_id=1, end_id=2, max_new_tokens=5)
        >>> written.size(0), written.size(1) <= 5
        (2, True)
    """
    check_request(model, start_id, end_id, max_new_tokens)
    with observed(model):
        memory = model.encode(source)
        tokens = source.new_full((source.size(0), 1), start_id)
        ended = torch.zeros_like(tokens, dtype=torch.bool)
        for _ in range(max_new_tokens):
            scores = next_log_probs(model, tokens, memory, source)
            following = scores.argmax(dim=-1, keepdim=True)
            tokens = torch.cat([tokens, following.masked_fill(ended, model.config.pad_id)], dim=1)
            ended |= following == end_id
            if ended.all():
                break
    return tokens[:, 1:]

"""Attention: every token asks a question and reads the answer off the other tokens.

Two public names, in reading order:

* `scaled_dot_product_attention` is the formula, softmax(QKᵀ / √d) V, written out to be read.
* `MultiHeadAttention` runs it in several learned subspaces at once, on torch's fused kernel.

Masks are boolean and mean the same thing everywhere in tx_utils: True = "may attend".
Shapes: B batch, T length (T_q of the queries, T_k of the keys), H heads (the paper's h);
d_head, the width of one head, is the paper's d_k.
Source: Vaswani et al. (2017), sections 3.2.1 and 3.2.2.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils._checks import check_divisible, check_features
from tx_utils.cache import LayerCache
from tx_utils.masks import causal_mask


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Average the values, weighting each by how well its key matches the query.

    Args:
        query: What each position is looking for.  (..., T_q, d_head)
        key:   What each position offers.          (..., T_k, d_head)
        value: What each position hands over.      (..., T_k, d_value)
        mask:  True where a query may look at a key; broadcasts to (..., T_q, T_k).

    Returns:
        The attended values (..., T_q, d_value) and the weights (..., T_q, T_k).
        Each row of weights sums to 1, or to 0 if that query may look at nothing.

    Raises:
        ValueError: if the shapes do not fit together, or the mask is not boolean.

    Example:
        >>> x = torch.eye(3)
        >>> only_self = torch.eye(3, dtype=torch.bool)
        >>> output, _ = scaled_dot_product_attention(x, x, x, mask=only_self)
        >>> torch.equal(output, x)  # each token sees only itself, so nothing moves
        True
    """
    if key.size(-1) != query.size(-1):
        raise ValueError(f"key width ({key.size(-1)}) must equal query width ({query.size(-1)})")
    if value.size(-2) != key.size(-2):
        raise ValueError(f"value length ({value.size(-2)}) must equal key length ({key.size(-2)})")
    weights = _weights(query, key, mask)
    return weights @ value, weights


class MultiHeadAttention(nn.Module):
    """Attention in `num_heads` subspaces side by side, mixed by one last projection.

    Self-attention passes the same tensor three times. Cross-attention takes the query
    from one sequence, and the key and value from another.

    Args:
        d_model: Width of a token's vector, in and out.
        num_heads: Number of heads H; each works in d_head = d_model / H dimensions.
        bias: Whether the four projections add a bias.

    Raises:
        ValueError: if a size is not positive or `num_heads` does not divide `d_model`.

    Example:
        >>> attention = MultiHeadAttention(d_model=6, num_heads=2)
        >>> x = torch.zeros(1, 5, 6)
        >>> attention(x, x, x).shape, attention.weights(x, x).shape
        (torch.Size([1, 5, 6]), torch.Size([1, 2, 5, 5]))
    """

    def __init__(self, d_model: int, num_heads: int, *, bias: bool = True) -> None:
        super().__init__()
        check_divisible(d_model, num_heads)
        self.num_heads = num_heads
        self.query_proj = nn.Linear(d_model, d_model, bias=bias)
        self.key_proj = nn.Linear(d_model, d_model, bias=bias)
        self.value_proj = nn.Linear(d_model, d_model, bias=bias)
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Read from `value` what each position of `query` asks for.

        Args:
            query: The sequence that reads.         (B, T_q, d_model)
            key:   The sequence that is compared.   (B, T_k, d_model)
            value: The sequence that is read from.  (B, T_k, d_model)
            mask:  True = may attend; (T_q, T_k), or 4-D and broadcasting to (B, H, T_q, T_k).
            is_causal: Whether no query looks ahead; the last query stands at the last key. The
                same as a causal mask; where T_q = T_k and no other is given, without its numbers.
            cache: Holds the keys and values of earlier tokens; those given here are added to it.
                T_k then counts both.

        Returns:
            One vector per query (B, T_q, d_model); it is `out_proj.bias` where a query may look
            at nothing.

        Raises:
            ValueError: if a shape does not fit, the mask is not boolean or not 2-D or 4-D, the
                cache has no room, or `is_causal` meets more queries than keys.
        """
        self._check_inputs(query, key, value)
        q = self._split_heads(self.query_proj(query))
        k = self._split_heads(self.key_proj(key))
        v = self._split_heads(self.value_proj(value))
        if cache is not None:
            k, v = cache.append(k, v)
        triangle = is_causal and mask is None and q.size(2) == k.size(2)  # the kernel's own mask
        mask = self._mask(mask, q, k, is_causal=is_causal and not triangle)
        # The same numbers as the formula above, without ever holding T_q x T_k weights.
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=triangle)
        return self.out_proj(self._merge_heads(heads))

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Compute, to look at, the weights that `forward` uses.

        Arguments and errors are those of `forward`; the result is (B, H, T_q, T_k).
        """
        self._check_inputs(query, key, key)
        q = self._split_heads(self.query_proj(query))
        k = self._split_heads(self.key_proj(key))
        if cache is not None:
            cache.check_room(k)
            k = torch.cat([cache.keys[:, :, : cache.length], k], dim=2)
        return _weights(q, k, self._mask(mask, q, k, is_causal=is_causal))

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, H, T, d_head)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _merge_heads(self, x: Tensor) -> Tensor:
        """(B, H, T, d_head) -> (B, T, d_model)."""
        return x.transpose(1, 2).flatten(-2)

    def _check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        for name, x in (("query", query), ("key", key), ("value", value)):
            check_features(name, x, self.query_proj.in_features)
        if key.size(0) != query.size(0) or value.shape != key.shape:
            raise ValueError(
                "query, key and value must share one batch size, and key and value one length, "
                f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
            )

    def _mask(self, mask: Tensor | None, q: Tensor, k: Tensor, *, is_causal: bool) -> Tensor | None:
        """The mask of these queries and keys, checked; joined with the causal one if wanted."""
        length_q, length_k = q.size(2), k.size(2)
        if mask is not None:
            # A (B, T_q, T_k) mask would silently line up the batch with the heads.
            if mask.dim() not in (2, 4):
                raise ValueError(
                    "mask must be (T_q, T_k) or 4-D, broadcasting to (B, H, T_q, T_k), "
                    f"got shape {tuple(mask.shape)}"
                )
            _check_mask(mask, (q.size(0), self.num_heads, length_q, length_k))
        if not is_causal or length_q == 1:  # a single query stands at the last key: it sees all
            return mask
        if length_q > length_k:
            raise ValueError(
                f"is_causal needs a key for each query, got {length_q} queries and {length_k} keys"
            )
        past = causal_mask(length_k, device=q.device)[length_k - length_q :]
        return past if mask is None else past & mask


def _weights(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(QKᵀ / √d) over what the mask lets through.  (..., T_q, T_k)."""
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is None:
        return scores.softmax(dim=-1)
    _check_mask(mask, tuple(scores.shape))
    # The lowest finite number, not -inf: in a row with no True no NaN ever appears.
    blocked = ~mask
    scores = scores.masked_fill(blocked, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(blocked, 0.0)


def _check_mask(mask: Tensor, scores_shape: tuple[int, ...]) -> None:
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be boolean (True = may attend), got {mask.dtype}")
    # Sizes are compared from the right; a 1 in the mask, or a missing axis, repeats it.
    pairs = zip(reversed(mask.shape), reversed(scores_shape), strict=False)
    if mask.dim() > len(scores_shape) or any(m not in (1, s) for m, s in pairs):
        raise ValueError(
            f"mask of shape {tuple(mask.shape)} does not broadcast to "
            f"the scores' shape {scores_shape}"
        )

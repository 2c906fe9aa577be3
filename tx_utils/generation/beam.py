"""Beam search: keep several beginnings alive, and return the best whole sequence found.

Source: Wu et al. (2016), section 7, for the length penalty; used by Vaswani et al. (2017),
section 6.1, with a beam of 4 and a penalty of 0.6.
"""

import math

import torch
from torch import Tensor

from tx_utils._checks import check_positive, check_switches
from tx_utils._modes import observed
from tx_utils.generation.steps import check_request, next_log_probs
from tx_utils.models import Transformer


def beam_search(
    model: Transformer,
    source: Tensor,
    *,
    start_id: int,
    end_id: int,
    max_new_tokens: int,
    beam_width: int = 4,
    length_penalty: float = 0.0,
    early_stopping: bool = False,
) -> tuple[Tensor, Tensor]:
    """Write for every source the best target that a beam of several beginnings finds.

    Each step extends every living beginning by every token and keeps the `beam_width` best; those
    that end with `end_id` leave the beam. A sequence that is cut off at `max_new_tokens` competes
    too. A width of 1 writes what `greedy_decode` writes, but for tokens that score exactly alike.

    The search for a source ends when its best finished sequence scores at least as high as any
    living beginning still can: log-probabilities only fall, so nothing better can come.

    Args:
        model: The trained encoder-decoder.
        source: Source ids, padded on the right.  (B, T_source)
        start_id: What the decoder reads before the first token.
        end_id: What it says after the last.
        max_new_tokens: Where a sequence is cut off that has not ended.
        beam_width: Beginnings kept for each source.
        length_penalty: The exponent a in score = log-probability / ((5 + length) / 6)^a, the
            length counting the end token: 0 for the plain log-probability, more to favour longer
            sequences.
        early_stopping: True ends a search as soon as `beam_width` sequences have finished,
            however bad they are; better ones may be lost. It is here to be compared with.

    Returns:
        What was written, in the form of labels (as `greedy_decode` returns it), and its scores,
        in float32 at least.
        (B, T), T <= max_new_tokens, and (B,)

    Raises:
        ValueError: as for `greedy_decode`, or if `beam_width` is not positive or `length_penalty`
            is negative or not finite.

    Example:
        >>> from tx_utils.configs import TransformerConfig
        >>> config = TransformerConfig(9, 9, d_model=4, num_heads=2, num_layers=1, d_ff=8)
        >>> model, source = Transformer(config), torch.tensor([[3, 4, 2], [5, 2, 0]])
        >>> written, scores = beam_search(model, source, start_id=1, end_id=2, max_new_tokens=5)
        >>> written.size(0), scores.shape, bool((scores <= 0).all())
        (2, torch.Size([2]), True)
    """
    check_request(model, start_id, end_id, max_new_tokens)
    check_positive(beam_width=beam_width)
    check_switches(early_stopping=early_stopping)
    is_number = isinstance(length_penalty, int | float) and not isinstance(length_penalty, bool)
    if not is_number or not 0.0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty must be finite and >= 0, got {length_penalty!r}")
    with observed(model):
        # One row per beginning: the K beginnings of a source stand one below the other.
        memory = model.encode(source).repeat_interleave(beam_width, dim=0)
        sources = source.repeat_interleave(beam_width, dim=0)
        pad_id = model.config.pad_id
        beams = _Beams(
            len(source), beam_width, start_id, max_new_tokens, length_penalty, pad_id, memory
        )
        while not beams.ended:
            log_probs = next_log_probs(model, beams.tokens.flatten(0, 1), memory, sources)
            beams.extend(log_probs.unflatten(0, (-1, beam_width)), end_id)
            beams.stop(early=early_stopping)
    return beams.best()


class _Beams:
    """The living beginnings of every source, best first, and the best finished sequence of each.

    A beginning that has left the beam keeps its place with a log-probability of -inf.

    Attributes:
        tokens: The beginnings, start token included.               (B, K, T + 1)
        log_probs: The log-probability of each.                     (B, K)
        finished: How many sequences have finished for each source. (B,)
    """

    def __init__(
        self,
        batch: int,
        width: int,
        start_id: int,
        max_new_tokens: int,
        length_penalty: float,
        pad_id: int,
        like: Tensor,
    ) -> None:
        self.max_new_tokens, self.length_penalty = max_new_tokens, length_penalty
        self.tokens = torch.full((batch, width, 1), start_id, device=like.device)
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.log_probs = like.new_full((batch, width), -math.inf, dtype=dtype)
        self.log_probs[:, 0] = 0.0  # all beginnings are still the same: one of them counts
        self.finished = torch.zeros(batch, dtype=torch.long, device=like.device)
        self._best_scores = like.new_full((batch,), -math.inf, dtype=dtype)
        self._best_tokens = self.tokens.new_full((batch, max_new_tokens), pad_id)
        self._best_lengths = self.finished.clone()

    @property
    def length(self) -> int:
        """Number of tokens written so far, T."""
        return self.tokens.size(-1) - 1

    @property
    def ended(self) -> bool:
        """Whether no beginning lives, or none may go on."""
        return self.length == self.max_new_tokens or not self.log_probs.isfinite().any()

    def extend(self, log_probs: Tensor, end_id: int) -> None:
        """Keep the K best continuations of each source; those that end leave the beam.

        Args:
            log_probs: Of each token after each beginning.  (B, K, vocab_size)
            end_id: The token that ends a sequence.
        """
        vocab_size, width = log_probs.size(-1), self.log_probs.size(-1)
        candidates = (self.log_probs.unsqueeze(-1) + log_probs).flatten(1)
        self.log_probs, picked = candidates.topk(width, dim=-1)
        beginning = (picked // vocab_size).unsqueeze(-1).expand(-1, -1, self.length + 1)
        following = (picked % vocab_size).unsqueeze(-1)
        self.tokens = torch.cat([self.tokens.gather(1, beginning), following], dim=-1)
        self._retire(following.squeeze(-1) == end_id)

    def stop(self, *, early: bool) -> None:
        """End the search of every source that cannot find better, or has found enough."""
        reachable = self._score(self.log_probs.amax(dim=-1), self.max_new_tokens)
        done = self._best_scores >= reachable
        if early:
            done |= self.finished >= self.log_probs.size(-1)
        self.log_probs = self.log_probs.masked_fill(done.unsqueeze(-1), -math.inf)

    def best(self) -> tuple[Tensor, Tensor]:
        """The best sequence of each source, and its score; what still lives competes."""
        self._retire(torch.ones_like(self.log_probs, dtype=torch.bool))
        longest = max(self._best_lengths.tolist(), default=0)
        return self._best_tokens[:, :longest], self._best_scores

    def _retire(self, which: Tensor) -> None:
        """Take beginnings out of the beam, and note the best of them.  which: (B, K)."""
        retired = self.log_probs.masked_fill(~which, -math.inf)
        self.log_probs = self.log_probs.masked_fill(which, -math.inf)
        self.finished += retired.isfinite().sum(dim=-1)
        scores, places = self._score(retired, self.length).max(dim=-1)
        (rows,) = torch.nonzero(scores > self._best_scores, as_tuple=True)
        self._best_scores[rows] = scores[rows]
        self._best_lengths[rows] = self.length
        self._best_tokens[rows, : self.length] = self.tokens[rows, places[rows], 1:]

    def _score(self, log_prob: Tensor, length: int) -> Tensor:
        return log_prob / ((5 + length) / 6) ** self.length_penalty

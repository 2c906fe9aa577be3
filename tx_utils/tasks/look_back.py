"""Look back: everybody in a queue names the one who stands a few places further ahead.

The answer depends on a distance and not on where in the queue one stands, so what a model has
learned at one length could serve at every length. Lesson 03 asks whether it does.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive
from tx_utils.tasks.sampling import shuffled

NOT_ASKED = -100  # the target that torch's cross-entropy leaves out of its mean


@dataclass(frozen=True)
class LookBack:
    """Sequences of distinct tokens, each position asked for the token `back` places before it.

    Attributes:
        length: Tokens per sequence, T.
        vocab_size: Tokens to draw from, without repetition within a sequence.
        back: How far to look back.
        first_asked: The first position that is asked; at least `back`, before which there is
            nothing to look back to.

    Raises:
        ValueError: if the length is larger than the vocabulary, or nobody can be asked.

    Example:
        >>> tokens, target = LookBack(length=5).sample(2, torch.Generator().manual_seed(0))
        >>> bool((target[:, 3:] == tokens[:, :2]).all()), target[0, :3].tolist()
        (True, [-100, -100, -100])
    """

    length: int = 12
    vocab_size: int = 64
    back: int = 3
    first_asked: int = 3

    def __post_init__(self) -> None:
        """Refuse sequences that cannot be drawn or have no question in them."""
        check_positive(
            length=self.length,
            vocab_size=self.vocab_size,
            back=self.back,
            first_asked=self.first_asked,
        )
        if self.length > self.vocab_size:
            raise ValueError(
                f"length ({self.length}) must be at most vocab_size ({self.vocab_size})"
            )
        if not self.back <= self.first_asked < self.length:
            raise ValueError(
                f"first_asked ({self.first_asked}) must be at least back ({self.back}) and less "
                f"than length ({self.length})"
            )

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            size: Number of sequences, B.
            generator: Source of the randomness.

        Returns:
            Tokens (B, length), and the target (B, length): the token `back` places before, or
            `NOT_ASKED` at the positions before `first_asked`.
        """
        tokens = shuffled(size, self.vocab_size, generator)[:, : self.length]
        target = tokens.roll(self.back, dims=1)
        target[:, : self.first_asked] = NOT_ASKED
        return tokens, target

    @property
    def chance(self) -> float:
        """Loss in nats of a model that holds all tokens equally likely: ln 64."""
        return math.log(self.vocab_size)

    @property
    def orderless_accuracy(self) -> float:
        """Largest expected accuracy of a model that sees the set, but not the order: 1 / 11.

        As in `Reverse.orderless_floor`: each of the other tokens is the answer equally often.
        """
        return 1 / (self.length - 1)

"""Reverse: a sequence of distinct tokens, to be given back from the end to the beginning.

Where the answer to position i stands depends on i and on nothing else, so this is the task of
a model that must know where it is (lesson 03), and an easy one for many layers (lesson 05).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive
from tx_utils.tasks.sampling import shuffled


@dataclass(frozen=True)
class Reverse:
    """Sequences of distinct tokens and their mirror images.

    Attributes:
        length: Tokens per sequence, T; even, so that no token is its own answer.
        vocab_size: Tokens to draw from, without repetition within a sequence.

    Raises:
        ValueError: if the length is odd, or larger than the vocabulary.

    Example:
        >>> tokens, target = Reverse().sample(2, torch.Generator().manual_seed(0))
        >>> tokens.shape, bool((target == tokens.flip(1)).all())
        (torch.Size([2, 10]), True)
    """

    length: int = 10
    vocab_size: int = 16

    def __post_init__(self) -> None:
        """Refuse lengths for which the floors do not hold."""
        check_positive(length=self.length, vocab_size=self.vocab_size)
        if self.length % 2 or self.length > self.vocab_size:
            raise ValueError(
                f"length ({self.length}) must be even and at most vocab_size ({self.vocab_size})"
            )

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            size: Number of sequences, B.
            generator: Source of the randomness.

        Returns:
            Tokens (B, length), and the target (B, length): the same from the end.
        """
        tokens = shuffled(size, self.vocab_size, generator)[:, : self.length]
        return tokens, tokens.flip(1)

    @property
    def chance(self) -> float:
        """Loss in nats of a model that holds all tokens equally likely: ln 16."""
        return math.log(self.vocab_size)

    @property
    def orderless_floor(self) -> float:
        """Least expected loss in nats of a model that sees the set, but not the order: ln 9.

        It knows its own token, which is not the answer, and the others, each of which is the
        answer equally often.
        """
        return math.log(self.length - 1)

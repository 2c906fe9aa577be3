"""Sort digits: a row of random digits, a separator, and the same digits in order.

The whole sequence is to be written token by token (lesson 06). Nobody can foresee the random
digits; the separator and the answer follow from what stands before. So the least possible loss
is known, and a model that gets below it has seen what it should have foretold.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive


@dataclass(frozen=True)
class SortDigits:
    """Sequences of digits, a separator and the sorted digits, for predicting the next token.

    Attributes:
        length: Digits to sort; a sequence has 2 * length + 1 tokens.
        num_digits: Digits are 0 ... num_digits - 1, all equally likely, repetitions allowed.

    Raises:
        ValueError: if a size is not a positive integer.

    Example:
        >>> tokens, target = SortDigits().sample(2, torch.Generator().manual_seed(0))
        >>> tokens.shape, bool((tokens[:, 1:] == target[:, :-1]).all())
        (torch.Size([2, 12]), True)
    """

    length: int = 6
    num_digits: int = 10

    def __post_init__(self) -> None:
        """Refuse a row without digits."""
        check_positive(length=self.length, num_digits=self.num_digits)

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            size: Number of sequences, B.
            generator: Source of the randomness.

        Returns:
            Tokens (B, 2 * length), the sequence without its last token, and the target, of the
            same shape: at every position the token that comes next.
        """
        digits = torch.randint(self.num_digits, (size, self.length), generator=generator)
        separator = torch.full((size, 1), self.separator)
        sequence = torch.cat([digits, separator, digits.sort(dim=1).values], dim=1)
        return sequence[:, :-1], sequence[:, 1:]

    @property
    def separator(self) -> int:
        """The token between digits and answer: the first id after the digits."""
        return self.num_digits

    @property
    def vocab_size(self) -> int:
        """Number of different tokens: the digits and the separator."""
        return self.num_digits + 1

    @property
    def entropy_floor(self) -> float:
        """Expected loss in nats that no causal model gets below: 5 ln 10 / 12 by default.

        It is the mean of all targets, (n - 1) ln K / 2n for n digits out of K, on sequences that
        the model was not made from.

        A causal model predicts a token from those before it. The digits after the first are
        targets, and each is uniform whatever stands before: no prediction costs less than
        ln K in expectation (cross-entropy is at least the entropy). All other targets can be
        foretold: the separator by its place, the answer from the digits. So of 2n targets n - 1
        cost ln K and the others nothing. A forecast that says just this pays the floor in every
        sequence.
        """
        return (self.length - 1) * math.log(self.num_digits) / (2 * self.length)

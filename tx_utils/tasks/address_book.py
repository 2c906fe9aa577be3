"""The address book: everybody must find a friend among the others and read off a number.

Eight people sit in a circle that nobody sees. Each knows their own name, their own number and
the name of one friend; each must say the friend's number. The order of the tokens means nothing,
so the only way is to look for the token with the right name: one lookup, one attention head.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive
from tx_utils.tasks.sampling import shuffled

NAMES = (
    *("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo"),
    *("Ida", "Jon", "Kim", "Leo", "Mia", "Noa", "Otto", "Pia"),
)
OWN_NAME, OWN_NUMBER, FRIEND_NAME = range(3)  # the three fields of a token


@dataclass(frozen=True)
class AddressBook:
    """Sequences of people who each look for one friend's number.

    Attributes:
        people: Tokens per sequence, T.
        num_names: Names to draw from, without repetition within a sequence.
        num_numbers: Numbers to draw from, without repetition within a sequence.

    Raises:
        ValueError: if there are fewer than two people, or fewer names or numbers than people.

    Example:
        >>> tokens, target = AddressBook().sample(2, torch.Generator().manual_seed(0))
        >>> tokens.shape, target.shape
        (torch.Size([2, 8, 3]), torch.Size([2, 8]))
    """

    people: int = 8
    num_names: int = 16
    num_numbers: int = 16

    def __post_init__(self) -> None:
        """Refuse a circle that cannot be drawn."""
        check_positive(people=self.people, num_names=self.num_names, num_numbers=self.num_numbers)
        if not 2 <= self.people <= min(self.num_names, self.num_numbers):
            raise ValueError(
                f"people ({self.people}) must be at least 2 and at most num_names "
                f"({self.num_names}) and num_numbers ({self.num_numbers})"
            )

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            size: Number of sequences, B.
            generator: Source of the randomness.

        Returns:
            Tokens (B, people, 3) of (own name, own number, friend's name), and the target
            (B, people): the friend's number.
        """
        names = shuffled(size, self.num_names, generator)[:, : self.people]
        numbers = shuffled(size, self.num_numbers, generator)[:, : self.people]
        friends = self._circle(size, generator)
        tokens = torch.stack([names, numbers, names.gather(1, friends)], dim=-1)
        return tokens, numbers.gather(1, friends)

    def _circle(self, size: int, generator: torch.Generator) -> Tensor:
        """Each person's friend, all in one circle, so that nobody is their own.  (B, people)."""
        seats = shuffled(size, self.people, generator)
        return torch.empty_like(seats).scatter_(1, seats, seats.roll(-1, dims=1))

    @property
    def chance(self) -> float:
        """Loss in nats of a model that holds all numbers equally likely: ln 16."""
        return math.log(self.num_numbers)

    @property
    def uniform_floor(self) -> float:
        """Least loss in nats, in every sequence, of a model that gives everyone one answer: ln 8.

        Each number is the right answer exactly once, so the mean of -ln p(number) over the
        people is least when p is 1/8 for each of them (Gibbs' inequality).
        """
        return math.log(self.people)

    @property
    def alone_floor(self) -> float:
        """Least expected loss in nats of a model that sees only its own token: ln 15.

        All it can know is that the answer is not its own number.
        """
        return math.log(self.num_numbers - 1)


def friend_positions(tokens: Tensor) -> Tensor:
    """Find where each person's friend sits.  (B, people, 3) -> (B, people).

    Example:
        >>> friend_positions(torch.tensor([[[4, 0, 9], [9, 1, 4]]]))
        tensor([[1, 0]])
    """
    looks_for, is_called = tokens[..., FRIEND_NAME], tokens[..., OWN_NAME]
    return (looks_for[:, :, None] == is_called[:, None, :]).int().argmax(dim=-1)

"""The directory: eight people and what each holds, two of whom a question names.

The question asks for something that takes *both* entries: their difference (two lookups, lesson
02) or their sum modulo a small number (a function of two lookups, lesson 04). Names and entries
are drawn independently of each other, and the order of the entries means nothing.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive
from tx_utils.tasks.sampling import shuffled


@dataclass(frozen=True)
class Difference:
    """Questions for the first person's number minus the second's.

    Attributes:
        people: Entries of the directory, T; each has one of as many names.

    Raises:
        ValueError: if there are fewer than two people.

    Example:
        >>> inputs = Difference().sample(3, torch.Generator().manual_seed(0))
        >>> [tuple(x.shape) for x in inputs]
        [(3, 2), (3, 8), (3, 8), (3, 1)]
    """

    people: int = 8

    def __post_init__(self) -> None:
        """Refuse a directory in which nobody can be compared."""
        _check_people(self.people)

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw questions, each with a directory of its own.

        Args:
            size: Number of questions, B.
            generator: Source of the randomness.

        Returns:
            The two names asked for (B, 2), never the same; the entries' names (B, people) and
            numbers (B, people), the latter standard normal; and the answer (B, 1).
        """
        asked, names, positions = _questions(size, self.people, generator)
        numbers = torch.randn(size, self.people, generator=generator)
        first, second = numbers.gather(1, positions).unbind(dim=1)
        return asked, names, numbers, (first - second)[:, None]

    @property
    def chance(self) -> float:
        """Mean squared error of always answering 0: the answer's variance, 2."""
        return 2.0

    @property
    def one_head_floor(self) -> float:
        """Least expected squared error of one head whose weights see names only: 1.

        Such a head answers `sum_j a_j (w v_j + b) + c` with weights a_j >= 0 that do not depend
        on the numbers v. The numbers are independent with variance 1, so its expected squared
        error is at least (w a_A - 1)^2 + (w a_B + 1)^2, for the two people asked for. Since
        w a_A and w a_B have the same sign, one of the two squares is at least 1.
        """
        return 1.0

    @property
    def one_head_signs(self) -> float:
        """Largest expected share of right signs of such a head: 3/4.

        Its answer without the constant c and the wanted one are normal with mean 0, and their
        correlation is at most (a_A - a_B) / sqrt(2 sum_j a_j^2) <= 1 / sqrt(2), or the same with
        A and B exchanged. Such variables share their sign with probability 1 - arccos(1 / sqrt 2)
        / pi = 3/4 at most. A constant lowers that, and never lifts a smaller share above 1/2.
        """
        return 0.75


@dataclass(frozen=True)
class SumModulo:
    """Questions for the sum of two people's digits, modulo the number of digits.

    Attributes:
        people: Entries of the directory, T; each has one of as many names.
        num_digits: Digits are 0 ... num_digits - 1, all equally likely.

    Raises:
        ValueError: if there are fewer than two people or two digits.

    Example:
        >>> inputs = SumModulo().sample(3, torch.Generator().manual_seed(0))
        >>> [tuple(x.shape) for x in inputs]
        [(3, 2), (3, 8), (3, 8), (3,)]
    """

    people: int = 8
    num_digits: int = 5

    def __post_init__(self) -> None:
        """Refuse a directory in which there is nothing to add."""
        _check_people(self.people)
        check_positive(num_digits=self.num_digits)
        if self.num_digits < 2:
            raise ValueError(f"num_digits must be at least 2, got {self.num_digits}")

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw questions, each with a directory of its own.

        Args:
            size: Number of questions, B.
            generator: Source of the randomness.

        Returns:
            The two names asked for (B, 2), never the same; the entries' names (B, people) and
            digits (B, people); and the answer (B,).
        """
        asked, names, positions = _questions(size, self.people, generator)
        digits = torch.randint(self.num_digits, (size, self.people), generator=generator)
        answer = digits.gather(1, positions).sum(dim=1) % self.num_digits
        return asked, names, digits, answer

    def all_pairs(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw one question and ask it with every pair of digits, all else held.

        Over such a table the floors below hold exactly, and not just on average.

        Args:
            generator: Source of the randomness.

        Returns:
            As `sample`, with num_digits**2 rows: the first person's digit is the row's number
            divided by num_digits, the second person's the remainder.
        """
        asked, names, digits, _ = self.sample(1, generator)
        first, second = (int((names == name).int().argmax()) for name in asked[0])
        pair = torch.arange(self.num_digits**2)
        digits = digits.repeat(len(pair), 1)
        digits[:, first], digits[:, second] = pair // self.num_digits, pair % self.num_digits
        answer = (digits[:, first] + digits[:, second]) % self.num_digits
        return asked.repeat(len(pair), 1), names.repeat(len(pair), 1), digits, answer

    @property
    def additive_floor(self) -> float:
        """Least expected loss in nats of a model whose logits add up: ln n, for n digits.

        One term per digit. For a fixed first digit each answer is right once as the second runs
        over all its values. So the mean of the right answer's logit, over the table of all n * n
        pairs with all else held, is the mean of all logits. The mean loss therefore is that of
        `(1 / n) sum_c -ln p_c`, and by Gibbs' inequality this is never below ln n, the loss of
        the uniform guess.
        """
        return math.log(self.num_digits)

    @property
    def one_head_floor(self) -> float:
        """No expected loss in nats of one head whose keys see the digits too is below (ln n) / n.

        The head alone, with a query that does not see them, read by a linear layer. Its logits
        are fractions z_c = N_c / Z, where Z > 0 adds up the exponentiated scores. Every N_c and
        Z are sums of one term per digit. Over the table of all n * n pairs of digits, with
        all else held, the mean of N_y for the right class y therefore is the mean of all N_c.
        So the margins m = z_y - (mean of z) obey `sum Z m = 0`.

        The loss at margin m is at least phi(m) = ln(1 + (n - 1) exp(-m n / (n - 1))), which is
        positive and convex, with phi(0) = ln n. Weighting by Z / max Z, which is at most 1, and
        with Jensen's inequality, `sum phi(m) >= (sum Z / max Z) ln n`. Since Z is a sum of
        positive terms, one per digit, its mean is at least 1 / n of its maximum. So the mean
        loss over the table is at least (1 / n) ln n.
        """
        return math.log(self.num_digits) / self.num_digits


def _check_people(people: int) -> None:
    check_positive(people=people)
    if people < 2:
        raise ValueError(f"people must be at least 2, got {people}")


def _questions(size: int, people: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two names to ask for (B, 2), the entries' names (B, people), and where the two stand."""
    names = shuffled(size, people, generator)
    positions = shuffled(size, people, generator)[:, :2]
    return names.gather(1, positions), names, positions

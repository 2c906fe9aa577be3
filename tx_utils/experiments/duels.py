"""Duels: two of lesson 09's readers on all pictures of the file, picture by picture and by sheet.

Pictures by one hand are no independent trials: who misreads one of somebody's sevens misreads
the others. So a duel is judged twice, and what counts has to show in two rounds of new splits.
"""

from typing import NamedTuple

from torch import Tensor

from tx_utils.experiments.digits import right_answers
from tx_utils.experiments.evidence import Evidence
from tx_utils.paired import PairedComparison, compare_paired, sign_test
from tx_utils.tasks.digits import FOLDS, load_digits

ROUNDS = (0, FOLDS)  # the first seeds of two rounds
LEVEL = 0.05


class Round(NamedTuple):
    """Two readers in one round, in which every picture is tested once.

    Attributes:
        pictures: The comparison by pictures.
        sheets_won: Sheets on which the first reader has more pictures right.
        sheets_lost: Sheets on which the second one has.
    """

    pictures: PairedComparison
    sheets_won: int
    sheets_lost: int


class Duel(NamedTuple):
    """Two readers in two rounds.

    Attributes:
        first: The name of the one.
        second: The name of the other.
        rounds: What came out, round by round.
    """

    first: str
    second: str
    rounds: tuple[Round, ...]

    @property
    def counts(self) -> bool:
        """Whether the same one is ahead in all rounds, and on more sheets than by coins' chance."""
        ahead = {one.pictures.difference > 0 for one in self.rounds}
        rare = [sign_test(one.sheets_won, one.sheets_lost) < LEVEL for one in self.rounds]
        return len(ahead) == 1 and all(rare)

    def __str__(self) -> str:
        """A line per round: difference, its 95 % interval, pictures, sheets; and the verdict."""
        verdict = "counts" if self.counts else "does not count"
        lines = [f"{self.first} - {self.second}: {verdict}"]
        for (pictures, won, lost), number in zip(self.rounds, "12", strict=True):
            low, high = (f"{100 * end:+.1f}" for end in pictures.interval)
            lines.append(
                f"   round {number}: {100 * pictures.difference:+.1f} % ({low} to {high})   "
                f"pictures {pictures.only_first:>3} : {pictures.only_second:<3}   "
                f"sheets {won:>2} : {lost}"
            )
        return "\n".join(lines)


def duel(evidence: Evidence, first: str, second: str, among: Tensor | None = None) -> Duel:
    """Compare two variants of the experiment "digits" in both rounds.

    Args:
        evidence: That experiment's.
        first: The name of the one.
        second: The name of the other.
        among: True at the pictures that are compared, (1797,); all if None.
    """
    sheets = load_digits().sheets
    if among is not None:
        sheets = sheets[among]
    rounds = []
    for seed in ROUNDS:
        pair = [right_answers(evidence, name, seed) for name in (first, second)]
        one, other = pair if among is None else (right[among] for right in pair)
        lead = one.int() - other.int()
        by_sheet = [int(lead[sheets == sheet].sum()) for sheet in sheets.unique()]
        won, lost = sum(n > 0 for n in by_sheet), sum(n < 0 for n in by_sheet)
        rounds.append(Round(compare_paired(one, other), won, lost))
    return Duel(first, second, tuple(rounds))


def mistakes(evidence: Evidence, variant: str) -> float:
    """Share of all pictures that a variant misreads, as the mean of the rounds."""
    shares = [1 - right_answers(evidence, variant, seed).float().mean().item() for seed in ROUNDS]
    return sum(shares) / len(shares)

"""Pieces: how a text is cut before pairs are counted, how pairs are counted, and glued."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

# GPT-2's pieces: an English ending, or a word, a number, a run of signs, each with the space
# before it, or a run of white space without its last character where something follows. (Signs
# like ² and ½, which GPT-2 counts among the numbers, are letters to Python's patterns.)
PIECES = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")

Pair = tuple[int, int]


def split_pieces(text: str) -> list[str]:
    r"""Cut a text into words, numbers, signs and white space; no token goes across a cut.

    Nothing is lost: the pieces, one after the other, are the text.

    Example:
        >>> split_pieces("x1 = f(x)\n    return")
        ['x', '1', ' =', ' f', '(', 'x', ')', '\n   ', ' return']
    """
    return PIECES.findall(text)


def merge_pair(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Put one id in the place of every occurrence of a pair, from left to right.

    Example:
        >>> merge_pair([1, 1, 1, 2], (1, 1), 256)
        [256, 1, 2]
    """
    merged: list[int] = []
    position = 0
    while position < len(ids):
        found = tuple(ids[position : position + 2]) == pair
        merged.append(new_id if found else ids[position])
        position += 2 if found else 1
    return merged


class Corpus:
    """The different pieces of a text, how often each one comes, and all pairs in them.

    Pieces repeat, so a merge looks at each different piece once, and only where the pair is.

    Attributes:
        pair_counts: How often each pair of neighbours comes in the text.

    Example:
        >>> Corpus(["lo", "low", "lo"]).most_frequent_pair() == (ord("l"), ord("o"))
        True
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        counted = Counter(pieces)
        self._pieces = [list(piece.encode()) for piece in counted]
        self._counts = list(counted.values())
        self.pair_counts: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)
        for number in range(len(self._pieces)):
            self._count(number, sign=1)

    def most_frequent_pair(self) -> Pair:
        """The most frequent pair; among equals the one with the smallest ids."""
        most = max(self.pair_counts.values())
        return min(pair for pair, count in self.pair_counts.items() if count == most)

    def merge(self, pair: Pair, new_id: int) -> None:
        """Glue a pair wherever it is, and bring the counts up to date."""
        for number in self._places.pop(pair):
            self._count(number, sign=-1)
            self._pieces[number] = merge_pair(self._pieces[number], pair, new_id)
            self._count(number, sign=1)
        self.pair_counts = +self.pair_counts  # without those that are gone

    def _count(self, number: int, *, sign: int) -> None:
        ids = self._pieces[number]
        for pair in pairwise(ids):
            self.pair_counts[pair] += sign * self._counts[number]
            if sign > 0:
                self._places[pair].add(number)

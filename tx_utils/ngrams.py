"""N-grams: foretell the next character from the few before it, by counting.

The honest rival of a language model: no gradient, no parameters to tune, a second of work.
Source: Kneser and Ney (1995); Chen and Goodman (1999), section 2.7, for the interpolated form.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tx_utils._checks import check_positive

Symbols = str | bytes | tuple[int, ...]  # a sequence whose slices can be counted


@dataclass(frozen=True)
class _Level:
    """The counts of one length of n-grams.

    Attributes:
        counts: Of each n-gram.
        totals: Sum of the counts of the n-grams that begin with a context.
        followers: How many different symbols follow that context.
        discount: What is taken from every count and given to the next shorter n-grams.
    """

    counts: Counter[Any]
    totals: Counter[Any]
    followers: Counter[Any]
    discount: float


class KneserNey:
    """An n-gram model with interpolated Kneser-Ney smoothing.

    It takes a discount from every count and spreads what it has taken as the shorter context
    says. A shorter n-gram counts in how many *different* contexts it was seen, not how often.
    Below the single symbols all `alphabet_size` symbols are equally likely, so that a symbol
    which was never seen has a small probability, too, and all probabilities sum to 1.

    Args:
        text: What to count: characters (`str`), `bytes`, or a tuple of token ids.
        order: Length n of the n-grams; n - 1 symbols are looked back at.
        alphabet_size: Number of different symbols that could come.

    Raises:
        ValueError: if `order` or `alphabet_size` is not positive, the text is shorter than
            `order`, or it has more different symbols than `alphabet_size`.

    Example:
        >>> model = KneserNey("abracadabra", order=2, alphabet_size=26)
        >>> model.probability("b", after="a") > model.probability("c", after="a")
        True
        >>> round(sum(model.probability(x, after="a") for x in "abcdefghijklmnopqrstuvwxyz"), 6)
        1.0
    """

    def __init__(self, text: Symbols, *, order: int, alphabet_size: int) -> None:
        check_positive(order=order, alphabet_size=alphabet_size)
        if len(text) < order:
            raise ValueError(f"text must have at least {order} symbols, got {len(text)}")
        if len(set(text)) > alphabet_size:
            raise ValueError(
                f"alphabet_size must be at least {len(set(text))}, the number of different "
                f"symbols in the text, got {alphabet_size}"
            )
        self.order, self.alphabet_size = order, alphabet_size
        counts = Counter(text[end - order : end] for end in range(order, len(text) + 1))
        self._levels = [_level(counts)]
        while len(self._levels) < order:  # each longer n-gram is one context of the shorter one
            counts = Counter(gram[1:] for gram in counts)
            self._levels.insert(0, _level(counts))

    def probability(self, symbol: Symbols, *, after: Symbols) -> float:
        """How likely a symbol is to come next.

        Args:
            symbol: A sequence of length 1.
            after: What comes before it; only the last `order` - 1 symbols are looked at.

        Raises:
            ValueError: if `symbol` is not one symbol.
        """
        if len(symbol) != 1:
            raise ValueError(f"symbol must be a sequence of length 1, got {symbol!r}")
        gram: Any = after + symbol  # type: ignore[operator]
        probability = 1.0 / self.alphabet_size
        for length, level in enumerate(self._levels[: len(gram)]):
            context = gram[len(gram) - 1 - length : -1]
            total = level.totals[context]
            if total == 0:  # never seen, and so no longer one either
                break
            taken = level.discount * level.followers[context]
            left = max(0.0, level.counts[gram[len(gram) - 1 - length :]] - level.discount)
            probability = (left + taken * probability) / total
        return probability

    def bits(self, text: Symbols) -> float:
        """Bits that a text costs, every symbol counted; the first ones have less to look back at.

        Divide by the number of characters for bits per character.
        """
        return -sum(
            math.log2(
                self.probability(text[at : at + 1], after=text[max(0, at - self.order + 1) : at])
            )
            for at in range(len(text))
        )


def _level(counts: Counter[Any]) -> _Level:
    totals: Counter[Any] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    followers = Counter(gram[:-1] for gram in counts)
    return _Level(counts, totals, followers, _discount(counts))


def _discount(counts: Counter[Any]) -> float:
    """Ney, Essen and Kneser (1994): from how many n-grams came once, and how many twice."""
    of_count = Counter(counts.values())
    once, twice = of_count[1], of_count[2]
    return once / (once + 2 * twice) if once else 0.5

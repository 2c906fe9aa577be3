"""Translation: number words from one language into another (lessons 07 and 08).

The job that the Transformer was made for, in small: the data are endless, every answer can be
checked, and nothing is downloaded. From English to German the units and the tens change places,
so whoever translates word by word gets it wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tx_utils._checks import check_positive
from tx_utils.tasks.number_words import LANGUAGES, LIMIT
from tx_utils.tasks.vocabulary import END, PAD, START, Vocabulary

Pair = tuple[Tensor, Tensor]  # ids of the source and of the target, (T_source,) and (T_target,)


class Split(NamedTuple):
    """Numbers to learn from, to watch the training by, and to judge it by; none is in two lists."""

    train: list[int]
    validation: list[int]
    test: list[int]


class Floors(NamedTuple):
    """What a translator can reach at best that knows too little of the source.

    Attributes:
        blind_loss: Least expected loss without any sight of the source, in nats per target token.
        bag_loss: The same for one that knows which words the source has, but not their order.
        bag_exact: Largest expected share of numbers that the latter translates without a fault.
    """

    blind_loss: float
    bag_loss: float
    bag_exact: float


@dataclass(frozen=True)
class NumberTranslation:
    """Numbers below a limit, in the words of two languages.

    Attributes:
        source: The language to read: "English", "German" or "French".
        target: The language to write.
        limit: The numbers are 0 ... limit - 1.
        zeros: How likely each decimal digit is to be 0 when numbers are drawn, the other nine
            sharing the rest; None for 1/10, so that all numbers are drawn alike. Of all numbers
            below a million only one in a thousand has fewer than four digits; with more zeros,
            short and round numbers come up more often.

    Raises:
        ValueError: if a language is unknown, the limit is not in [1, 1000000], or `zeros` not
            in (0, 1).

    Example:
        >>> task = NumberTranslation()
        >>> " ".join(task.source_words(45)), " ".join(task.target_words(45))
        ('forty five', 'fünf und vierzig')
    """

    source: str = "English"
    target: str = "German"
    limit: int = LIMIT
    zeros: float | None = None

    def __post_init__(self) -> None:
        """Refuse languages and numbers that nobody here can write."""
        for name in ("source", "target"):
            if getattr(self, name) not in LANGUAGES:
                known = ", ".join(LANGUAGES)
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        check_positive(limit=self.limit)
        if self.limit > LIMIT:
            raise ValueError(f"limit must be at most {LIMIT}, got {self.limit}")
        is_share = isinstance(self.zeros, float) and 0.0 < self.zeros < 1.0
        if self.zeros is not None and not is_share:
            raise ValueError(f"zeros must lie in (0, 1) or be None, got {self.zeros!r}")

    def source_words(self, number: int) -> list[str]:
        """The number as it is read."""
        return LANGUAGES[self.source](number)

    def target_words(self, number: int) -> list[str]:
        """The number as it should be written."""
        return LANGUAGES[self.target](number)

    @cached_property
    def source_vocabulary(self) -> Vocabulary:
        """Every word of the source language, whatever the limit."""
        return _vocabulary(self.source)

    @cached_property
    def target_vocabulary(self) -> Vocabulary:
        """Every word of the target language, whatever the limit."""
        return _vocabulary(self.target)

    def probabilities(self) -> Tensor:
        """How likely each number is to be drawn first.  (limit,), sum 1.

        Example:
            >>> likely = NumberTranslation(limit=10, zeros=0.5).probabilities()
            >>> [round(p, 2) for p in likely.tolist()[:2]]
            [0.5, 0.06]
        """
        zeros = torch.tensor(0.1 if self.zeros is None else self.zeros, dtype=torch.float64)
        numbers = torch.arange(self.limit)
        places = 10 ** torch.arange(len(str(self.limit - 1)))
        is_zero = numbers[:, None] // places % 10 == 0  # (limit, digits), leading zeros included
        likely = torch.where(is_zero, zeros, (1.0 - zeros) / 9).prod(dim=-1)
        return likely / likely.sum()

    def split(self, *, train: int, validation: int, test: int, seed: int) -> Split:
        """Draw three lists of numbers, one number after the other, none of them twice.

        Args:
            train: Numbers to learn from.
            validation: Numbers to watch the training by.
            test: Numbers to judge the result by.
            seed: Names the draw.

        Raises:
            ValueError: if a size is not positive, or there are not enough numbers.
        """
        check_positive(train=train, validation=validation, test=test)
        total = train + validation + test
        if total > self.limit:
            raise ValueError(f"{total} different numbers are wanted, there are {self.limit}")
        generator = torch.Generator().manual_seed(seed)
        if self.zeros is None:
            drawn = torch.randperm(self.limit, generator=generator)[:total]
        else:
            drawn = torch.multinomial(self.probabilities(), total, generator=generator)
        return Split(*(part.tolist() for part in drawn.split([train, validation, test])))

    def pair(self, number: int) -> Pair:
        """The token ids of a number: words and `END`; the target begins with `START`.

        Raises:
            ValueError: if the number is no whole number in [0, limit).

        Example:
            >>> source, target = NumberTranslation().pair(7)
            >>> source.tolist(), target.tolist()
            ([10, 2], [1, 10, 2])
        """
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < self.limit:
            raise ValueError(f"number must be an integer in [0, {self.limit}), got {number!r}")
        source = [*self.source_vocabulary.encode(self.source_words(number)), END]
        target = [START, *self.target_vocabulary.encode(self.target_words(number)), END]
        return torch.tensor(source), torch.tensor(target)

    def pairs(self, numbers: Iterable[int]) -> list[Pair]:
        """A list of pairs, which is all that a `DataLoader` asks of a data set."""
        return [self.pair(number) for number in numbers]

    def floors(self, numbers: Iterable[int]) -> Floors:
        """The computed limits of a translator that knows too little of the source.

        They hold for a test number drawn from `numbers`, which are those that the model has not
        seen, each as likely as the task's `probabilities` say; they are expectations, so that a
        small test set may dip below. (A test list has no number twice. What that changes is small
        while the list is short and its likeliest numbers are rare.)

        A target says its number, and no two numbers share one. By the chain rule the losses of a
        target's tokens add up to -ln of the probability that the model gives to all of it, and in
        expectation that is at least the entropy of what the model cannot know. Without the source
        that is the number. With the bag of the source's words it is the number given the bag:
        H(number) - H(bag), since the number determines the bag. Whoever always writes the same
        for one bag is right at most for the likeliest number in it.

        Raises:
            ValueError: if there is no number, or one is listed twice or is not below the limit.
        """
        likely, listed = self.probabilities(), list(numbers)
        wrong = [number for number in listed if not 0 <= number < self.limit]
        if not listed or wrong or len(set(listed)) < len(listed):
            raise ValueError(
                f"numbers must be different and in [0, {self.limit}), got {len(listed)}, "
                f"{len(set(listed))} of them different, {len(wrong)} out of range"
            )
        likely = likely[listed] / likely[listed].sum()
        bags: dict[tuple[str, ...], list[float]] = {}
        for number, probability in zip(listed, likely.tolist(), strict=True):
            bags.setdefault(tuple(sorted(self.source_words(number))), []).append(probability)
        lengths = torch.tensor([len(self.target_words(number)) + 1 for number in listed])
        tokens = float((likely * lengths).sum())
        entropy = _entropy(likely)
        known = _entropy(torch.tensor([sum(bag) for bag in bags.values()], dtype=likely.dtype))
        exact = sum(max(bag) for bag in bags.values())
        return Floors(entropy / tokens, (entropy - known) / tokens, exact)


def collate(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """Make one batch of sequences of unequal length: fill up, and shift the target.

    Args:
        pairs: Source and target ids; every target begins with `START` and ends with `END`.

    Returns:
        The source (B, T_source), what the decoder reads (B, T_target) and what it should say
        there (B, T_target): the target without its last token, and without its first. All are
        filled up with `PAD` on the right.

    Example:
        >>> first, second = torch.tensor([1, 7, 8, 2]), torch.tensor([1, 9, 2])
        >>> [x.tolist() for x in collate([(first[1:], first), (second[1:], second)])]
        [[[7, 8, 2], [9, 2, 0]], [[1, 7, 8], [1, 9, 0]], [[7, 8, 2], [9, 2, 0]]]
    """
    sources = [source for source, _ in pairs]
    decoder_inputs = [target[:-1] for _, target in pairs]
    labels = [target[1:] for _, target in pairs]
    source, decoder_input, label = (
        pad_sequence(ids, batch_first=True, padding_value=PAD)
        for ids in (sources, decoder_inputs, labels)
    )
    return source, decoder_input, label


def _vocabulary(language: str) -> Vocabulary:
    """All words of a language: every number below 1000, and the thousand."""
    return Vocabulary(word for number in range(1001) for word in LANGUAGES[language](number))


def _entropy(probabilities: Tensor) -> float:
    """In nats."""
    return -float(torch.xlogy(probabilities, probabilities).sum())

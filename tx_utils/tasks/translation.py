"""Translation: number words from one language into another (lessons 07 and 08).

The job that the Transformer was made for, in small: the data are endless, every answer can be
checked, and nothing is downloaded. From English to German the units and the tens change places,
so whoever translates word by word gets it wrong.
"""

import math
from collections import Counter
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

    Raises:
        ValueError: if a language is unknown, or the limit is not in [1, 1000000].

    Example:
        >>> task = NumberTranslation()
        >>> " ".join(task.source_words(45)), " ".join(task.target_words(45))
        ('forty five', 'fünf und vierzig')
    """

    source: str = "English"
    target: str = "German"
    limit: int = LIMIT

    def __post_init__(self) -> None:
        """Refuse languages and numbers that nobody here can write."""
        for name in ("source", "target"):
            if getattr(self, name) not in LANGUAGES:
                known = ", ".join(LANGUAGES)
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        check_positive(limit=self.limit)
        if self.limit > LIMIT:
            raise ValueError(f"limit must be at most {LIMIT}, got {self.limit}")

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

    def split(self, *, train: int, validation: int, test: int, seed: int) -> Split:
        """Draw three lists of numbers, all of them different.

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
        drawn: list[int] = torch.randperm(self.limit, generator=generator)[:total].tolist()
        return Split(drawn[:train], drawn[train : train + validation], drawn[train + validation :])

    def pair(self, number: int) -> Pair:
        """The token ids of a number: words and `END`; the target begins with `START`.

        Raises:
            ValueError: if the number is no whole number in [0, limit).

        Example:
            >>> source, target = NumberTranslation().pair(7)
            >>> source.tolist(), target.tolist()
            ([10, 2], [1, 11, 2])
        """
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < self.limit:
            raise ValueError(f"number must be an integer in [0, {self.limit}), got {number!r}")
        source = [*self.source_vocabulary.encode(self.source_words(number)), END]
        target = [START, *self.target_vocabulary.encode(self.target_words(number)), END]
        return torch.tensor(source), torch.tensor(target)

    def pairs(self, numbers: Iterable[int]) -> list[Pair]:
        """A list of pairs, which is all that a `DataLoader` asks of a data set."""
        return [self.pair(number) for number in numbers]

    def floors(self, numbers: Sequence[int] | range) -> Floors:
        """The computed limits of a translator that knows too little of the source.

        They hold for a test number drawn evenly from `numbers`, which are those that the model
        has not seen; they are expectations, so that a small test set may dip below.

        A target says its number, and no two numbers share one. By the chain rule the losses of a
        target's tokens add up to -ln of the probability that the model gives to all of it, and in
        expectation that is at least the entropy of the numbers that are still possible: ln of
        their count, since all are equally likely. Without the source these are all n. With the
        bag of its words, they are the numbers that share the bag; whoever always writes the same
        for one bag is right for at most one of them.
        """
        bags = Counter(tuple(sorted(self.source_words(number))) for number in numbers)
        total = len(numbers)
        tokens = sum(len(self.target_words(number)) + 1 for number in numbers) / total
        bag_nats = sum(count * math.log(count) for count in bags.values()) / total
        return Floors(math.log(total) / tokens, bag_nats / tokens, len(bags) / total)


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

"""Vocabularies: words in, token ids out, and back again."""

from collections.abc import Iterable, Sequence

PAD, START, END = 0, 1, 2
SPECIAL = ("<pad>", "<start>", "<end>")


class Vocabulary:
    """The words of one language, each with its id; the first three ids have a special meaning.

    `PAD` (0) fills up the shorter sequences of a batch, `START` (1) is what a decoder reads before
    the first word, `END` (2) is what it says after the last.

    Args:
        words: The words that there are; ids follow their order, repetitions are passed over.

    Attributes:
        tokens: Every token's name, by id.

    Raises:
        ValueError: if a word has the name of a special token.

    Example:
        >>> vocabulary = Vocabulary(["tea", "hot"])
        >>> vocabulary.encode(["hot", "tea"])
        [4, 3]
        >>> vocabulary.decode([4, 3, 2, 0, 0])  # up to the first <end>
        ['hot', 'tea']
    """

    def __init__(self, words: Iterable[str]) -> None:
        words = list(words)
        if taken := sorted({*words} & {*SPECIAL}):
            raise ValueError(f"words must not be special tokens, got {', '.join(taken)}")
        self.tokens = tuple(dict.fromkeys((*SPECIAL, *words)))
        self._ids = {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, words: Sequence[str]) -> list[int]:
        """Look up the id of each word.

        Raises:
            ValueError: if a word is not in the vocabulary, or has a special meaning.
        """
        for word in words:
            if word not in self._ids or word in SPECIAL:
                known = ", ".join(self.tokens[len(SPECIAL) :])
                raise ValueError(f"{word!r} is not in the vocabulary; the words are: {known}")
        return [self._ids[word] for word in words]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Name the tokens before the first `END`; start token and padding are left out.

        Raises:
            ValueError: if an id is out of range.
        """
        words = []
        for number in ids:
            if not 0 <= number < len(self):
                raise ValueError(f"token ids must lie in [0, {len(self)}), got {number}")
            if number == END:
                break
            if number not in (PAD, START):
                words.append(self.tokens[number])
        return words

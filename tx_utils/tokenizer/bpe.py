"""Byte-pair encoding: text as tokens that are longer than a letter and shorter than a sentence.

It starts from the 256 bytes, so there is no text that it cannot write, and then glues together
the pair of neighbours that is most frequent, again and again. It is GPT-2's kind of tokenizer.
Source: Sennrich, Haddow, Birch (2016), section 3.2; for bytes Radford et al. (2019), section 2.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from tx_utils._checks import check_positive
from tx_utils.tokenizer.pieces import Corpus, Pair, merge_pair, split_pieces

BYTES = 256  # the first ids are the single bytes


@dataclass(frozen=True)
class BPETokenizer:
    """Turns any text into ids and back.

    Attributes:
        merges: The pairs in the order in which they are glued; number n makes the id 256 + n.
        alphabet: The bytes that the ids 0 ... 255 stand for; each stands for itself by default.
        special: Texts with ids of their own after all others; `encode` never gives these.

    Raises:
        ValueError: if a merge needs an id that is not there yet, or comes twice, or `alphabet` is
            not all the 256 bytes.

    Example:
        >>> tokenizer = BPETokenizer.train("low lower lowest", vocab_size=258)
        >>> tokenizer.tokens[256:], tokenizer.encode("slow")
        ((b'lo', b'low'), [115, 257])
        >>> tokenizer.decode([115, 257])
        'slow'
    """

    merges: tuple[Pair, ...]
    alphabet: bytes = bytes(range(BYTES))
    special: tuple[str, ...] = ()
    _known: dict[str, list[int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Refuse merges that cannot be carried out in their order."""
        for number, pair in enumerate(self.merges):
            if not all(0 <= part < BYTES + number for part in pair):
                raise ValueError(
                    f"merge {number} must join ids in [0, {BYTES + number}), got {pair}"
                )
        if len(self._ranks) != len(self.merges):
            raise ValueError("merges must be different pairs, got one twice")
        if sorted(self.alphabet) != list(range(BYTES)):
            raise ValueError(
                f"alphabet must be each of the {BYTES} bytes once, got {len(set(self.alphabet))} "
                f"different ones in {len(self.alphabet)}"
            )

    @classmethod
    def train(cls, text: str, vocab_size: int) -> "BPETokenizer":
        """Learn the merges: the most frequent pair first, the smaller ids first among equals.

        Args:
            text: What to learn from.
            vocab_size: Number of ids in the end, the 256 bytes included.

        Raises:
            ValueError: if `vocab_size` is below 256, or the text has too few different pairs.
        """
        check_positive(vocab_size=vocab_size)
        if vocab_size < BYTES:
            raise ValueError(f"vocab_size must be at least {BYTES}, the bytes, got {vocab_size}")
        corpus = Corpus(split_pieces(text))
        merges: list[Pair] = []
        for new_id in range(BYTES, vocab_size):
            if not corpus.pair_counts:
                raise ValueError(
                    f"the text has pairs for {new_id} ids, too few for vocab_size {vocab_size}"
                )
            merges.append(corpus.most_frequent_pair())
            corpus.merge(merges[-1], new_id)
        return cls(tuple(merges))

    @property
    def vocab_size(self) -> int:
        """Number of different ids."""
        return BYTES + len(self.merges) + len(self.special)

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes that each id stands for."""
        tokens = [bytes([value]) for value in self.alphabet]
        for left, right in self.merges:
            tokens.append(tokens[left] + tokens[right])
        return *tokens, *(text.encode() for text in self.special)

    @cached_property
    def _id_of_byte(self) -> bytes:
        return bytes(self.alphabet.index(value) for value in range(BYTES))

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: number for number, pair in enumerate(self.merges)}

    def encode(self, text: str) -> list[int]:
        """Turn a text into ids.

        Raises:
            UnicodeEncodeError: if the text holds half a character (a lone surrogate).
        """
        ids: list[int] = []
        for piece in split_pieces(text):
            if piece not in self._known:  # words come again: look each one up only once
                self._known[piece] = self._encode_piece(piece)
            ids += self._known[piece]
        return ids

    def _encode_piece(self, piece: str) -> list[int]:
        """Glue what was learned first, as long as there is something to glue."""
        ids = list(piece.encode().translate(self._id_of_byte))
        while len(ids) > 1:
            pair = min(pairwise(ids), key=self._rank)
            if pair not in self._ranks:
                break
            ids = merge_pair(ids, pair, BYTES + self._ranks[pair])
        return ids

    def _rank(self, pair: Pair) -> int:
        return self._ranks.get(pair, len(self.merges))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text; bytes that form no character become U+FFFD.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        ids = list(ids)
        unknown = [token for token in ids if not 0 <= token < self.vocab_size]
        if unknown:
            raise ValueError(f"ids must lie in [0, {self.vocab_size}), got {unknown[0]}")
        return b"".join(self.tokens[token] for token in ids).decode(errors="replace")

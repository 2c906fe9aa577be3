"""Real text that every Python brings along: the topics of its `help()`, the language reference.

No download, no licence question, and a text that programmers know. It differs a little from one
version of Python to the next. About a fifth of its paragraphs are repeats: they must go before
training and validation are separated, or the validation text has been read already.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tx_utils._checks import check_positive

BLANK_LINES = re.compile(r"\n\s*\n")
BREAK = "\n\n"  # between two paragraphs
BLOCK = 20  # paragraphs that stay together
EVERY = 10  # of so many blocks one is for validation


class TextSplit(NamedTuple):
    """Two texts without a common paragraph, if the paragraphs were different.

    Attributes:
        train: Paragraphs to learn from.
        validation: Paragraphs to measure on.
    """

    train: list[str]
    validation: list[str]


def python_topics() -> str:
    """All topics of Python's `help()`, one after the other, repeats included.

    Raises:
        FileNotFoundError: if this Python was installed without them.

    Example:
        >>> "assert" in python_topics()
        True
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise FileNotFoundError(
            "this Python has no pydoc_data.topics, the texts of its help(): "
            "install its standard library whole"
        ) from error
    return BREAK.join(text.strip("\n") for text in topics.values())


def split_paragraphs(text: str) -> list[str]:
    r"""Cut a text at its blank lines; indentation stays.

    Example:
        >>> split_paragraphs("One\n\n  two,\n  still two\n\n\nthree\n")
        ['One', '  two,\n  still two', 'three']
    """
    found = BLANK_LINES.split(text.strip("\n"))
    return [paragraph.rstrip() for paragraph in found if paragraph.strip()]


def without_repeats(paragraphs: Iterable[str]) -> list[str]:
    r"""Keep each paragraph once, where it came first.

    Two are the same if their words are, however they are indented and broken into lines.

    Example:
        >>> without_repeats(["a b", "c", "  a\n  b"])
        ['a b', 'c']
    """
    first: dict[str, str] = {}
    for paragraph in paragraphs:
        first.setdefault(" ".join(paragraph.split()), paragraph)
    return list(first.values())


def split_blocks(paragraphs: Sequence[str], *, block: int = BLOCK, every: int = EVERY) -> TextSplit:
    """Put every tenth block of twenty neighbours aside for validation.

    Blocks, since neighbours speak of the same thing: single paragraphs from between two of
    training would be too easy.

    Args:
        paragraphs: In their order.
        block: Paragraphs per block.
        every: The last of so many blocks is for validation.

    Raises:
        ValueError: if there are too few paragraphs for one block of validation.

    Example:
        >>> split_blocks(["a", "b", "c", "d", "e"], block=1, every=2)
        TextSplit(train=['a', 'c', 'e'], validation=['b', 'd'])
    """
    check_positive(block=block, every=every)
    parts: tuple[list[str], list[str]] = ([], [])
    for number, paragraph in enumerate(paragraphs):
        parts[number // block % every == every - 1].append(paragraph)
    if not all(parts):
        raise ValueError(
            f"{len(paragraphs)} paragraphs are too few for every {every}th block of {block}"
        )
    return TextSplit(*parts)


def join(paragraphs: Iterable[str]) -> str:
    r"""Make one text of paragraphs, a blank line after each.

    Example:
        >>> join(["a", "b"])
        'a\n\nb\n\n'
    """
    return "".join(paragraph + BREAK for paragraph in paragraphs)


def digest(text: str) -> str:
    """Name a text by twelve signs, so that results can say which one they were measured on.

    Example:
        >>> digest("abc")
        'ba7816bf8f01'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:12]

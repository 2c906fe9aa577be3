"""Python's own text: cut at blank lines, rid of repeats, split in blocks that share nothing."""

import hashlib
import re
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tx_utils.tasks.python_topics import (
    digest,
    join,
    python_topics,
    split_blocks,
    split_paragraphs,
    without_repeats,
)

line = st.text(alphabet="ab .", min_size=1, max_size=5).filter(str.strip)
paragraph = st.lists(line.map(str.rstrip), min_size=1, max_size=3).map("\n".join)


# Oracle


def test_blocks_are_split_as_the_loop_says() -> None:
    names = [str(number) for number in range(47)]
    train, validation = split_blocks(names, block=5, every=3)
    blocks = [names[start : start + 5] for start in range(0, 47, 5)]
    assert validation == [name for block in blocks[2::3] for name in block]
    assert train == [name for name in names if name not in validation]
    assert validation[:6] == ["10", "11", "12", "13", "14", "25"]


def test_every_tenth_block_of_twenty_is_for_validation() -> None:
    names = [str(number) for number in range(400)]
    assert split_blocks(names).validation == names[180:200] + names[380:]


def test_a_digest_is_the_beginning_of_sha_256() -> None:
    text = "größe\n"
    assert digest(text) == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert digest(text) != digest(text + " ")


# Property


@given(st.lists(paragraph, max_size=6))
def test_paragraphs_come_back_from_the_text_they_make(paragraphs: list[str]) -> None:
    assert split_paragraphs(join(paragraphs)) == paragraphs


@given(st.lists(st.sampled_from(["a b", "a  b", " a\nb", "ab", "c"]), max_size=12))
def test_each_paragraph_is_kept_once_where_it_came_first(paragraphs: list[str]) -> None:
    kept = without_repeats(paragraphs)
    words = [tuple(text.split()) for text in paragraphs]
    assert [tuple(text.split()) for text in kept] == list(dict.fromkeys(words))
    assert kept == [text for n, text in enumerate(paragraphs) if words[n] not in words[:n]]
    assert without_repeats(kept) == kept


@given(st.lists(st.integers(0, 5).map(str), min_size=4, max_size=40), st.integers(1, 2))
def test_a_split_loses_nothing_and_keeps_the_order(names: list[str], block: int) -> None:
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    train, validation = split_blocks(numbered, block=block, every=2)
    assert sorted([*train, *validation]) == sorted(numbered)
    for part in (train, validation):
        assert part == sorted(part, key=numbered.index)
    assert not {*train} & {*validation}


def test_pythons_text_is_there_and_repeats_itself() -> None:
    paragraphs = split_paragraphs(python_topics())
    once = without_repeats(paragraphs)
    assert len(paragraphs) > 2000
    assert 0.1 < 1 - len(once) / len(paragraphs) < 0.4  # a fifth; it differs between versions
    assert max(Counter(" ".join(text.split()) for text in once).values()) == 1
    assert not any(re.search(r"\n\s*\n", text) for text in once)
    train, validation = split_blocks(once)
    assert 0.05 < len(join(validation)) / len(join(train)) < 0.2
    assert len(join(train)) > 250_000
    assert not {*train} & {*validation}


# Border


def test_blank_lines_alone_are_no_paragraph() -> None:
    assert split_paragraphs("") == split_paragraphs("\n \n\t\n") == []
    assert split_paragraphs("\n\n  a\n \n\n b  \n") == ["  a", " b"]
    assert join([]) == ""


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_paragraphs_are_refused(count: int) -> None:
    message = rf"^{count} paragraphs are too few for every 2th block of 3$"
    with pytest.raises(ValueError, match=message):
        split_blocks(["a"] * count, block=3, every=2)
    assert split_blocks(["a"] * 4, block=3, every=2).validation == ["a"]
    with pytest.raises(ValueError, match=r"^block must be a positive integer, got 0$"):
        split_blocks(["a"] * 4, block=0)
    with pytest.raises(ValueError, match="too few for every 1th block"):  # nothing to learn from
        split_blocks(["a"] * 4, block=1, every=1)


def test_a_python_without_its_help_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(FileNotFoundError, match=r"no pydoc_data\.topics.*standard library whole"):
        python_topics()

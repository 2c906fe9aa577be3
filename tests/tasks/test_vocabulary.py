"""Vocabularies: ids follow the words' order, and lead back to them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tx_utils.tasks import END, PAD, START, Vocabulary

WORDS = ["tea", "hot", "two", "cups"]

some_words = st.lists(st.text("abc", min_size=1, max_size=3), max_size=11)


# Property


@given(words=some_words, data=st.data())
def test_decoding_gives_back_what_was_encoded(words: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary(words)
    sentence = data.draw(st.lists(st.sampled_from(words), max_size=7) if words else st.just([]))
    ids = vocabulary.encode(sentence)
    assert [vocabulary.tokens[number] for number in ids] == sentence
    assert vocabulary.decode(ids) == sentence
    assert all(number not in (PAD, START, END) for number in ids)


@given(words=some_words)
def test_every_word_has_one_id_in_the_order_of_first_appearance(words: list[str]) -> None:
    vocabulary = Vocabulary(words)
    distinct = sorted(set(words), key=words.index)
    assert vocabulary.tokens == ("<pad>", "<start>", "<end>", *distinct)
    assert len(vocabulary) == 3 + len(distinct)
    assert vocabulary.encode(distinct) == list(range(3, 3 + len(distinct)))


def test_words_may_come_from_a_generator() -> None:
    assert Vocabulary(word for word in WORDS).tokens == Vocabulary(WORDS).tokens


def test_decoding_passes_over_start_and_padding_and_stops_at_the_end() -> None:
    vocabulary = Vocabulary(WORDS)
    assert vocabulary.decode([START, 5, 3, END, 6, PAD]) == ["two", "tea"]
    assert vocabulary.decode([PAD, 4, PAD, 4]) == ["hot", "hot"]  # cut off: no end
    assert vocabulary.decode([END, 4]) == vocabulary.decode([]) == []


# Border


def test_the_special_tokens_are_the_first_three() -> None:
    assert (PAD, START, END) == (0, 1, 2)
    assert Vocabulary([]).tokens == ("<pad>", "<start>", "<end>")


def test_words_with_a_special_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^words must not be special tokens, got <end>, <pad>$"):
        Vocabulary(["tea", "<pad>", "<end>"])


@pytest.mark.parametrize("word", ["cold", "", "Tea", "<pad>", "<start>", "<end>"])
def test_words_that_are_not_there_and_special_names_are_refused(word: str) -> None:
    message = f"{word!r} is not in the vocabulary; the words are: tea, hot, two, cups"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Vocabulary(WORDS).encode(["tea", word])


@pytest.mark.parametrize("number", [-1, 7, 100])
def test_ids_out_of_range_are_refused(number: int) -> None:
    message = f"token ids must lie in [0, 7), got {number}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Vocabulary(WORDS).decode([3, number])

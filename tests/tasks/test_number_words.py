"""Number words: equal to num2words' but for its one fault, and to examples written by hand."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from num2words import num2words  # type: ignore[import-untyped]

from tx_utils.tasks.number_words import LANGUAGES, LIMIT, english, french, german

Writer = Callable[[int], list[str]]

# Every number below 20,000, others below a million, and each language's own traps among those.
TRAPS = [1000 * thousands + rest for thousands in (101, 301, 371, 680, 701) for rest in (0, 1, 80)]
DRAWN = random.Random(0).sample(range(20_000, LIMIT), 3_000)
NUMBERS = sorted({*range(20_000), *DRAWN, *TRAPS, LIMIT - 1})

every_language = pytest.mark.parametrize("write", LANGUAGES.values(), ids=LANGUAGES)


# Oracle


@pytest.mark.parametrize(("write", "code"), [(english, "en"), (french, "fr")])
def test_english_and_french_are_num2words_without_hyphens_and_commas(
    write: Writer, code: str
) -> None:
    for number in NUMBERS:
        assert write(number) == re.sub("[,-]", " ", num2words(number, lang=code)).split()


def test_german_joined_is_num2words_but_where_that_says_einstausend() -> None:
    pairs = {n: ("".join(german(n)), num2words(n, lang="de")) for n in NUMBERS}
    different = {number for number, (ours, theirs) in pairs.items() if ours != theirs}
    assert different == {n for n in NUMBERS if n >= 101_000 and n // 1000 % 100 == 1}
    assert len(different) >= 20
    for number in different:
        ours, theirs = pairs[number]
        assert theirs.count("einstausend") == 1
        assert ours == theirs.replace("einstausend", "eintausend")


EXAMPLES = [
    (english, 0, "zero"),
    (english, 13, "thirteen"),
    (english, 45, "forty five"),
    (english, 100, "one hundred"),
    (english, 101, "one hundred and one"),
    (english, 2_000, "two thousand"),
    (english, 2_007, "two thousand and seven"),
    (english, 2_100, "two thousand one hundred"),
    (english, 117_030, "one hundred and seventeen thousand and thirty"),
    (german, 0, "null"),
    (german, 1, "eins"),
    (german, 21, "ein und zwanzig"),
    (german, 45, "fünf und vierzig"),
    (german, 101, "ein hundert eins"),
    (german, 1_001, "ein tausend eins"),
    (german, 21_061, "ein und zwanzig tausend ein und sechzig"),
    (german, 101_000, "ein hundert ein tausend"),
    (german, 300_000, "drei hundert tausend"),
    (french, 0, "zéro"),
    (french, 17, "dix sept"),
    (french, 21, "vingt et un"),
    (french, 71, "soixante et onze"),
    (french, 77, "soixante dix sept"),
    (french, 80, "quatre vingts"),
    (french, 81, "quatre vingt un"),
    (french, 91, "quatre vingt onze"),
    (french, 200, "deux cents"),
    (french, 201, "deux cent un"),
    (french, 1_000, "mille"),
    (french, 80_080, "quatre vingt mille quatre vingts"),
    (french, 200_200, "deux cent mille deux cents"),
]


@pytest.mark.parametrize(("write", "number", "words"), EXAMPLES)
def test_examples_by_hand(write: Writer, number: int, words: str) -> None:
    assert write(number) == words.split()


def test_languages_go_by_their_names() -> None:
    assert [*LANGUAGES.items()] == [("English", english), ("German", german), ("French", french)]


# Property


@every_language
def test_no_two_numbers_are_written_alike(write: Writer) -> None:
    assert len({tuple(write(number)) for number in NUMBERS}) == len(NUMBERS)


@every_language
def test_a_word_holds_no_space_and_no_hyphen(write: Writer) -> None:
    words = {word for number in NUMBERS for word in write(number)}
    assert all(word.isalpha() and word == word.lower() for word in words)


@every_language
def test_writing_twice_gives_two_lists(write: Writer) -> None:
    write(7).append("and a half")
    assert write(7) == write(1_007)[-1:]


# Border


@every_language
def test_the_largest_number_is_the_last_below_a_million(write: Writer) -> None:
    assert LIMIT == 1_000_000
    assert len(write(LIMIT - 1)) > len(write(99_999))


@every_language
@pytest.mark.parametrize("number", [-1, 1_000_000, 1.5, 7.0, True, "7", None])
def test_what_is_no_number_below_a_million_is_refused(write: Writer, number: Any) -> None:
    message = f"number must be an integer in [0, 1000000), got {number!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        write(number)

"""N-grams: probabilities by the formula, written out slowly; that they sum to 1, whatever came."""

import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tx_utils.ngrams import KneserNey, Symbols

LETTERS = "abcde"
TEXT = "abracadabra abacab badcab cabbed dabbed abbed " * 2 + "decade"
SIGNS = " abcder"

short_text = st.text(alphabet=LETTERS, min_size=5, max_size=25)


def slow(text: Sequence[int], order: int, size: int, symbol: int, after: Sequence[int]) -> float:
    """Interpolated Kneser-Ney by its definition: every count is taken anew, by looking."""
    text, after = list(text), list(after)
    probability = 1 / size
    for n in range(1, min(order, len(after) + 1) + 1):
        places = [tuple(text[at : at + n]) for at in range(len(text) - n + 1)]
        if n < order:  # in how many different contexts, among the longer n-grams
            counted = _contexts(text, n, order)
        else:
            counted = {gram: places.count(gram) for gram in places}
        context = tuple(after[len(after) - n + 1 :])
        total = sum(count for gram, count in counted.items() if gram[:-1] == context)
        if total == 0:
            break
        once = sum(count == 1 for count in counted.values())
        twice = sum(count == 2 for count in counted.values())
        discount = once / (once + 2 * twice) if once else 0.5
        followers = sum(gram[:-1] == context for gram in counted)
        own = max(0, counted.get((*context, symbol), 0) - discount)
        probability = own / total + discount * followers / total * probability
    return probability


def _contexts(text: Sequence[int], n: int, order: int) -> dict[tuple[int, ...], int]:
    """How many different symbols stand before each n-gram, among those with room for `order`."""
    longer = {tuple(text[at : at + order]) for at in range(len(text) - order + 1)}
    while True:
        shorter = [gram[1:] for gram in longer]
        if len(shorter[0]) == n:
            return {gram: shorter.count(gram) for gram in shorter}
        longer = set(shorter)


# Oracle


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_formula(order: int) -> None:
    model = KneserNey(TEXT, order=order, alphabet_size=11)
    codes = [ord(sign) for sign in TEXT]
    for after in ("", "a", "ab", "abra", "cabbe", "xab", "zz", "abracadab"):
        for symbol in SIGNS + "x":
            expected = slow(codes, order, 11, ord(symbol), [ord(sign) for sign in after])
            assert model.probability(symbol, after=after) == pytest.approx(expected, rel=1e-12)


def test_a_bigram_by_hand() -> None:
    # In "aab": aa, ab once each, so the discount is 1 and takes all. Before a stands a, before b
    # stands a: one context each, again a discount of 1. What is left is one third for each of 3.
    assert KneserNey("aab", order=2, alphabet_size=3).probability("c", after="a") == 1 / 3
    # In "aaab": aa twice, ab once: the discount is 1 / (1 + 2).
    model = KneserNey("aaab", order=2, alphabet_size=3)
    below = 1 / 3  # one context for a, one for b: a discount of 1 once more
    assert model.probability("a", after="a") == pytest.approx((2 - 1 / 3 + 2 / 3 * below) / 3)
    assert model.probability("b", after="a") == pytest.approx((1 - 1 / 3 + 2 / 3 * below) / 3)
    assert model.probability("c", after="a") == pytest.approx(2 / 3 * below / 3)


def test_bits_are_the_sum_of_all_symbols_surprises() -> None:
    model, text = KneserNey(TEXT, order=3, alphabet_size=11), "abbexa"
    chances = [model.probability(text[at], after=text[:at]) for at in range(len(text))]
    assert model.bits(text) == pytest.approx(-math.log2(math.prod(chances)), rel=1e-12)
    assert model.bits("") == 0


# Property


@given(text=short_text, order=st.integers(1, 4), after=st.text(alphabet=LETTERS + "z", max_size=5))
def test_probabilities_sum_to_1_after_whatever_came(text: str, order: int, after: str) -> None:
    model = KneserNey(text, order=order, alphabet_size=7)
    seen = [model.probability(letter, after=after) for letter in LETTERS]
    unseen = model.probability("?", after=after)
    assert unseen > 0
    assert min(seen) >= 0.0
    assert math.isclose(sum(seen) + 2 * unseen, 1.0)


@given(text=short_text, order=st.integers(1, 4), after=st.text(alphabet=LETTERS, max_size=6))
def test_bytes_and_ids_are_counted_as_characters_are(text: str, order: int, after: str) -> None:
    options = {"order": order, "alphabet_size": 256}
    as_text = KneserNey(text, **options).probability("a", after=after)
    as_bytes = KneserNey(text.encode(), **options).probability(b"a", after=after.encode())
    as_ids = KneserNey(tuple(text.encode()), **options)
    assert as_bytes == as_text == as_ids.probability((97,), after=tuple(after.encode()))


def test_only_the_last_symbols_are_looked_at() -> None:
    model = KneserNey(TEXT, order=3, alphabet_size=9)
    near = model.probability("c", after="ba")
    assert model.probability("c", after="deadba") == near
    assert model.probability("c", after="a") != near != model.probability("c", after="da")


def test_a_context_that_was_never_seen_is_no_context() -> None:
    model = KneserNey(TEXT, order=3, alphabet_size=9)
    assert model.probability("a", after="zb") == model.probability("a", after="b")
    assert model.probability("a", after="zz") == model.probability("a", after="")


# Border


def test_a_text_that_says_nothing_once_still_leaves_something_for_the_unseen() -> None:
    model = KneserNey("aabb" * 3, order=1, alphabet_size=3)  # no count of 1: the discount is 0.5
    assert model.probability("c", after="") == pytest.approx(2 * 0.5 / 12 / 3)
    assert model.probability("a", after="") == pytest.approx((6 - 0.5 + 2 * 0.5 / 3) / 12)


def test_the_shortest_text_has_one_n_gram() -> None:
    assert KneserNey("abc", order=3, alphabet_size=3).probability("c", after="ab") == 1 / 3
    with pytest.raises(ValueError, match=r"^text must have at least 3 symbols, got 2$"):
        KneserNey("ab", order=3, alphabet_size=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0, "alphabet_size": 5}, "order must be a positive integer, got 0"),
        ({"order": 2, "alphabet_size": 0}, "alphabet_size must be a positive integer, got 0"),
        (
            {"order": 2, "alphabet_size": 4},
            "alphabet_size must be at least 5, the number of different symbols in the text, got 4",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    assert KneserNey(LETTERS, order=2, alphabet_size=5).order == 2
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        KneserNey(LETTERS, **options)


@pytest.mark.parametrize("symbol", ["", "ab", (), (1, 2)])
def test_what_is_not_one_symbol_is_refused(symbol: Symbols) -> None:
    model = KneserNey(TEXT, order=2, alphabet_size=9)
    with pytest.raises(ValueError, match=rf"length 1, got {re.escape(repr(symbol))}$"):
        model.probability(symbol, after="a")


# Learning


def test_more_context_costs_fewer_bits_on_text_of_the_same_kind() -> None:
    text = "the cat sat on the mat and the dog sat on the log and that was that " * 20
    bits = [
        KneserNey(text, order=n, alphabet_size=128).bits("the cat sat on the log")
        for n in (1, 2, 4)
    ]
    assert bits[0] > 2 * bits[1] > 2 * bits[2] > 0

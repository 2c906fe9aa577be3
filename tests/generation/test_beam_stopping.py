"""When a beam search ends: not before nothing better can come, and not after."""

import math

import pytest
from decoding import IDS, MAX_LEN, Scripted, score, search, sources, text

import parity
from tx_utils import greedy_decode

SOURCES = sources(3)

# To end at once is likeliest, but with a length penalty the long sequence scores higher.
LONG = {
    "": {".": 0.5, "a": 0.45, "d": 0.05},
    "a": {"b": 0.7, ".": 0.3},
    **{"abcbcd"[:length]: {"abcbcd"[length]: 1.0} for length in range(2, 6)},
}
# After two steps two sequences have ended, and a likelier one has not.
LIKELY = {"": {"a": 0.7, ".": 0.3}, "a": {"b": 0.6, ".": 0.3, "c": 0.1}}


def test_the_search_goes_on_while_a_longer_sequence_can_still_win() -> None:
    model = Scripted(LONG)
    greedy = greedy_decode(model, SOURCES[:2], **IDS, max_new_tokens=MAX_LEN)
    early, _ = search(model, SOURCES[:2], beam_width=2, length_penalty=1.5, early_stopping=True)
    written, scores = search(model, SOURCES[:2], beam_width=2, length_penalty=1.5)
    assert [text(row) for row in greedy.tolist()] == [".", "."]
    assert [text(row) for row in early.tolist()] == [".", "."]
    assert [text(row) for row in written.tolist()] == ["abcbcd."] * 2
    parity.assert_close(scores, scores.new_full((2,), score(math.log(0.45 * 0.7), 7, 1.5)))


def test_early_stopping_loses_a_likelier_sequence_without_a_penalty_too() -> None:
    early, _ = search(Scripted(LIKELY), SOURCES[:1], beam_width=2, early_stopping=True)
    written, _ = search(Scripted(LIKELY), SOURCES[:1], beam_width=2)
    assert text(early[0].tolist()) == "."
    assert text(written[0].tolist()) == "ab."


@pytest.mark.parametrize(
    ("table", "length_penalty", "steps"),
    [
        ({"": {".": 0.9, "a": 0.1}}, 0.0, 1),
        ({"": {".": 0.68, "a": 0.32}}, 1.5, 1),  # ln 0.32 / 2^1.5 < ln 0.68, just so
        ({"": {".": 0.5, "a": 0.5}}, 0.0, 1),  # as good is not better
        (LONG, 0.0, 1),
        (LONG, 0.6, 2),  # ln 0.45 / 2^0.6 > ln 0.5, but ln (0.45 * 0.7) / 2^0.6 < ln 0.5
        (LIKELY, 0.0, 3),
        (LONG, 1.5, 7),
    ],
)
def test_the_search_ends_as_soon_as_nothing_better_can_come(
    table: dict[str, dict[str, float]], length_penalty: float, steps: int
) -> None:
    model = Scripted(table)
    search(model, SOURCES[:3], beam_width=2, length_penalty=length_penalty)
    assert (model.encoded, model.decoded) == (1, steps)


def test_early_stopping_waits_for_as_many_sequences_as_the_beam_is_wide() -> None:
    model = Scripted(LONG)
    search(model, SOURCES[:3], beam_width=2, length_penalty=1.5, early_stopping=True)
    assert model.decoded == 2


@pytest.mark.parametrize("beam_width", range(2, 17))
def test_empty_places_of_a_wide_beam_are_no_finished_sequences(beam_width: int) -> None:
    # One beginning alone is possible: all other places of the beam hold nothing.
    model = Scripted({"abacad"[:length]: {sign: 1.0} for length, sign in enumerate("abacad")})
    written, scores = search(model, SOURCES, beam_width=beam_width, early_stopping=True)
    assert [text(row) for row in written.tolist()] == ["abacad."] * 3
    assert scores.tolist() == [0.0] * 3

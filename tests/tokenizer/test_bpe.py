"""Byte-pair encoding: merges by counting and by the tokenizers library, text there and back."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tx_utils.tokenizer import BPETokenizer, merge_pair, split_pieces

# Words that share beginnings and endings, digits, signs, an indented line, three scripts.
TEXT = (
    "low lower lowest, new newer newest; wide wider widest.\n\n"
    "def lower(text):\n    return text.lower()  # 10 20 2010\n\n"
    "don't can't we've it's; größer, größte; 低い 高い; __init__ __name__\n"
) * 3 + "slow slower slowest snow snows snowed"

some_text = st.text(max_size=60)
code_like = st.text(alphabet="ab_1 '\n=(s", max_size=60)


def as_letters(piece: str) -> str:
    """One letter per byte, in the order of the bytes, for a library that merges letters."""
    return "".join(chr(0x4E00 + byte) for byte in piece.encode())


def library(pieces: list[str], vocab_size: int) -> Tokenizer:
    """The tokenizers library, trained on the same pieces; its ids 0 ... 255 are the bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=[chr(0x4E00 + byte) for byte in range(256)],
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(map(as_letters, pieces))], trainer)
    return tokenizer


def most_frequent_by_counting(pieces: list[list[int]]) -> tuple[int, int]:
    counts = Counter(pair for ids in pieces for pair in pairwise(ids))
    return min(counts, key=lambda pair: (-counts[pair], pair))


# Oracle


@pytest.mark.parametrize("vocab_size", [256, 257, 283, 331])
def test_merges_and_ids_are_those_of_the_tokenizers_library(vocab_size: int) -> None:
    ours, theirs = BPETokenizer.train(TEXT, vocab_size), library(split_pieces(TEXT), vocab_size)
    vocabulary = {
        token: bytes(ord(sign) - 0x4E00 for sign in token) for token in theirs.get_vocab()
    }
    ids = theirs.get_vocab()
    names = sorted(vocabulary, key=lambda name: ids[name])
    assert ours.tokens == tuple(vocabulary[name] for name in names)
    assert ours.vocab_size == theirs.get_vocab_size() == vocab_size
    for text in (TEXT, "a lowly snowman's newish wideness, 2020", "  größer\n\n\t高低"):
        pieces = " ".join(map(as_letters, split_pieces(text)))
        assert ours.encode(text) == theirs.encode(pieces).ids


@pytest.mark.parametrize("text", [TEXT, "x  =  1\n\n\n  y_2 = x's\t\n", "'sting 'll' we'd"])
def test_pieces_are_those_of_gpt_2(text: str) -> None:
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    splitter = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    assert split_pieces(text) == [piece for piece, _ in splitter.pre_tokenize_str(text)]


def test_every_merge_is_the_most_frequent_pair_of_what_the_merges_before_it_left() -> None:
    pieces = [list(piece.encode()) for piece in split_pieces(TEXT)]
    for number, pair in enumerate(BPETokenizer.train(TEXT, 311).merges):
        assert pair == most_frequent_by_counting(pieces)
        pieces = [merge_pair(ids, pair, 256 + number) for ids in pieces]


def test_a_text_gets_the_ids_that_carrying_out_all_merges_in_order_gives() -> None:
    tokenizer, text = BPETokenizer.train(TEXT, 311), "the slowest newcomer's widow"
    ids = []
    for piece in split_pieces(text):
        part = list(piece.encode())
        for number, pair in enumerate(tokenizer.merges):
            part = merge_pair(part, pair, 256 + number)
        ids += part
    assert tokenizer.encode(text) == ids


# Property


@settings(deadline=None)
@given(text=some_text | code_like)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = BPETokenizer.train(TEXT, 293)
    assert "".join(split_pieces(text)) == text
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text)) == text  # the second time from memory


@given(text=code_like)
def test_tokens_stay_within_their_pieces(text: str) -> None:
    tokenizer = BPETokenizer.train(TEXT, 293)
    together = [token for piece in split_pieces(text) for token in tokenizer.encode(piece)]
    assert tokenizer.encode(text) == together


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_merging_changes_no_byte_and_leaves_no_pair(ids: list[int]) -> None:
    merged = merge_pair(ids, (1, 2), 9)
    assert [part for token in merged for part in ([1, 2] if token == 9 else [token])] == ids
    assert (1, 2) not in pairwise(merged)


def test_more_merges_begin_with_the_fewer_and_make_no_text_longer() -> None:
    few, many = BPETokenizer.train(TEXT, 271), BPETokenizer.train(TEXT, 311)
    assert many.merges[: len(few.merges)] == few.merges
    assert len(many.encode(TEXT)) < len(few.encode(TEXT)) < len(TEXT.encode())


def test_training_is_deterministic_and_prefers_small_ids_among_equals() -> None:
    assert BPETokenizer.train("cd ab", 257).merges == ((32, 97),)  # all pairs once; the space is 32
    assert BPETokenizer.train("cdab", 257).merges == ((97, 98),)
    assert BPETokenizer.train(TEXT, 300) == BPETokenizer.train(TEXT, 300)


def test_a_pair_that_overlaps_itself_is_merged_from_the_left() -> None:
    tokenizer = BPETokenizer.train("aaaaaaaa", 258)
    assert tokenizer.merges == ((97, 97), (256, 256))
    assert tokenizer.encode("aaaaaaa") == [257, 256, 97]


# Border


def test_without_merges_a_text_is_its_bytes() -> None:
    tokenizer = BPETokenizer.train("", 256)
    assert tokenizer == BPETokenizer(())
    assert tokenizer.vocab_size == len(tokenizer.tokens) == 256
    assert tokenizer.encode("aß高") == list("aß高".encode())
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_half_a_character_is_shown_as_such() -> None:
    tokenizer = BPETokenizer(())
    first, _ = tokenizer.encode("ß")
    assert tokenizer.decode([97, first]) == "a\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        tokenizer.encode("\ud800")


@pytest.mark.parametrize(
    ("vocab_size", "message"),
    [
        (255, "vocab_size must be at least 256, the bytes, got 255"),
        (0, "vocab_size must be a positive integer, got 0"),
        (259, "the text has pairs for 258 ids, too few for vocab_size 259"),
    ],
)
def test_vocabularies_that_cannot_be_are_refused(vocab_size: int, message: str) -> None:
    assert BPETokenizer.train("abc", 258).tokens[256:] == (b"ab", b"abc")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BPETokenizer.train("abc", vocab_size)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (((97, 98), (257, 99)), "merge 1 must join ids in [0, 257), got (257, 99)"),
        (((-1, 98),), "merge 0 must join ids in [0, 256), got (-1, 98)"),
        (((97, 98), (97, 98)), "merges must be different pairs, got one twice"),
    ],
)
def test_merges_that_cannot_be_carried_out_are_refused(
    merges: tuple[tuple[int, int], ...], message: str
) -> None:
    assert BPETokenizer(((97, 98), (256, 99))).tokens[257] == b"abc"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BPETokenizer(merges)


@pytest.mark.parametrize(
    ("alphabet", "count", "length"),
    [(b"", 0, 0), (bytes(range(255)), 255, 255), (bytes(256), 1, 256)],
)
def test_alphabets_without_all_bytes_are_refused(alphabet: bytes, count: int, length: int) -> None:
    assert BPETokenizer(((0, 1),), bytes(range(255, -1, -1))).tokens[256] == bytes([255, 254])
    message = f"alphabet must be each of the 256 bytes once, got {count} different ones in {length}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        BPETokenizer((), alphabet)


@pytest.mark.parametrize("token", [-1, 257])
def test_ids_out_of_the_vocabulary_are_refused(token: int) -> None:
    tokenizer = BPETokenizer(((97, 98),))
    assert tokenizer.decode(range(97, 100)) == "abc"
    with pytest.raises(ValueError, match=rf"^ids must lie in \[0, 257\), got {token}$"):
        tokenizer.decode([97, token])


def test_another_order_of_the_bytes_is_another_name_for_the_same_tokens() -> None:
    backwards = bytes(range(255, -1, -1))
    merges = tuple((255 - left, 255 - right) for left, right in [(97, 98), (99, 100)])
    other, plain = BPETokenizer(merges, backwards), BPETokenizer(((97, 98), (99, 100)))
    assert other.tokens[256:] == plain.tokens[256:] == (b"ab", b"cd")
    assert other.encode("xabcd") == [255 - ord("x"), 256, 257]
    assert other.decode(other.encode("größe")) == "größe"


# Learning


def test_frequent_words_become_one_token() -> None:
    tokenizer = BPETokenizer.train(TEXT, 311)
    assert {b" lower", b" newest", b"return"} & {*tokenizer.tokens}
    assert len(tokenizer.encode(" lower")) == 1

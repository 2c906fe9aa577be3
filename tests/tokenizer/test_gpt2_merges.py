"""GPT-2's tokenizer: the same ids as the tokenizers library gives with the same list of merges."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tx_utils.tokenizer import BPETokenizer, gpt2_tokenizer
from tx_utils.tokenizer.gpt2 import END, HIDDEN, LETTERS, VISIBLE

TEXT = "low lower lowest\n\n  new newer newest 10 20 2010; don't größer größte 低い 高い 🙂🙂\t" * 3


def library() -> Tokenizer:
    """GPT-2's kind of tokenizer, trained by the library itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=311, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer


THEIRS = library()
MERGES = [" ".join(pair) for pair in json.loads(THEIRS.to_str())["model"]["merges"]]
OURS = gpt2_tokenizer("\n".join(["#version: 0.2", *MERGES, ""]))


# Oracle


@pytest.mark.parametrize(
    "text", [TEXT, "a lowly snowman's newish 2020\n\n\tgrößtes 低高 🙃", "", " "]
)
def test_ids_are_those_of_the_library(text: str) -> None:
    assert OURS.encode(text) == THEIRS.encode(text).ids
    assert OURS.decode(THEIRS.encode(text).ids) == THEIRS.decode(THEIRS.encode(text).ids) == text


def test_each_byte_has_the_letter_that_the_library_gives_it() -> None:
    assert OURS.vocab_size - 1 == THEIRS.get_vocab_size() == 256 + len(MERGES)
    assert set(LETTERS) == set(pre_tokenizers.ByteLevel.alphabet())
    for number, letter in enumerate(LETTERS):
        assert THEIRS.token_to_id(letter) == number
        assert OURS.tokens[number] == bytes([(VISIBLE + HIDDEN)[number]])


def test_the_last_id_ends_a_text_and_no_text_is_given_it() -> None:
    last = OURS.vocab_size - 1
    assert OURS.decode([*OURS.encode("low"), last]) == "low" + END
    assert last not in OURS.encode(END)
    assert OURS.decode(OURS.encode(END)) == END


# Property


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_comes_back(text: str) -> None:
    assert OURS.decode(OURS.encode(text)) == text


# Border


def test_without_merges_only_the_bytes_are_left_in_their_order() -> None:
    tokenizer = gpt2_tokenizer("#version: 0.2\n\n")
    assert tokenizer.merges == ()
    assert tokenizer.encode("!ab ") == [0, ord("a") - 0x21, ord("b") - 0x21, 220]
    assert tokenizer != BPETokenizer(())


@pytest.mark.parametrize("line", ["l", "l o w", "lo w", "l  o", "l \N{SNOWMAN}"])
def test_lines_that_are_no_pair_are_refused(line: str) -> None:
    assert gpt2_tokenizer("#version: 0.2\nl o\nlo w").tokens[257] == b"low"
    message = f"line 2 must be a pair of tokens known by then, got {line!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        gpt2_tokenizer(f"#version: 0.2\n{line}")

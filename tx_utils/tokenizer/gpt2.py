"""GPT-2's own tokenizer, from its published list of merges.

Source: Radford et al. (2019), section 2.2. The list writes each byte as one visible letter.
"""

from tx_utils.tokenizer.bpe import BYTES, BPETokenizer
from tx_utils.tokenizer.pieces import Pair

# The bytes that are a visible letter in Latin-1 are written as that letter; the others, in their
# order, as the letters from U+0100 on. In this order they have the ids 0 ... 255.
VISIBLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
HIDDEN = tuple(value for value in range(BYTES) if value not in VISIBLE)
END = "<|endoftext|>"
LETTERS = "".join(map(chr, VISIBLE)) + "".join(chr(0x100 + n) for n in range(len(HIDDEN)))


def gpt2_tokenizer(merges: str) -> BPETokenizer:
    r"""Build the tokenizer that GPT-2's ids belong to.

    Its last id, 50256, is `END`, which the model writes where a text ends. The ids are GPT-2's but
    where a sign like ² or ½, which `split_pieces` counts among the letters, meets one or a digit.

    Args:
        merges: The text of the published file `merges.txt`: a pair of tokens in each line.

    Raises:
        ValueError: if a line is no pair of tokens that are known by then.

    Example:
        >>> tokenizer = gpt2_tokenizer("#version: 0.2\nl o\nlo w\n")
        >>> tokenizer.tokens[256:], tokenizer.decode(tokenizer.encode("a low"))
        ((b'lo', b'low', b'<|endoftext|>'), 'a low')
    """
    ids = {letter: number for number, letter in enumerate(LETTERS)}
    pairs: list[Pair] = []
    for number, line in enumerate(merges.splitlines(), 1):
        if line.startswith("#version") or not line.strip():
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not all(part in ids for part in parts):
            raise ValueError(f"line {number} must be a pair of tokens known by then, got {line!r}")
        pairs.append((ids[parts[0]], ids[parts[1]]))
        ids["".join(parts)] = BYTES + len(pairs) - 1
    return BPETokenizer(tuple(pairs), bytes(VISIBLE + HIDDEN), special=(END,))

"""Tokenizers: byte-pair encoding, trained here or read from the file that GPT-2 comes with."""

from tx_utils.tokenizer.bpe import BPETokenizer
from tx_utils.tokenizer.gpt2 import gpt2_tokenizer
from tx_utils.tokenizer.pieces import merge_pair, split_pieces

__all__ = ["BPETokenizer", "gpt2_tokenizer", "merge_pair", "split_pieces"]

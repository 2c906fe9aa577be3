"""Published weights in our modules: what was learned from a whole library, read by our own code.

`gpt2` and `bert` rename what they are given, cut it into our modules' pieces, and account for
every tensor. Each has a table of names to read: `NAMES` in `gpt2.py`, three in `bert.py`.
"""

from tx_utils.pretrained.bert import bert
from tx_utils.pretrained.gpt2 import gpt2

__all__ = ["bert", "gpt2"]

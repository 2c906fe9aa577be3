"""The sizes of a model, in one frozen object that refuses nonsense.

The paper's N is `num_layers`, its h `num_heads`. Its base model is `TransformerConfig`'s default.
"""

from tx_utils.configs.bert import BERTConfig
from tx_utils.configs.gpt import GPTConfig
from tx_utils.configs.stack import StackConfig
from tx_utils.configs.transformer import TransformerConfig
from tx_utils.configs.vit import ViTConfig

__all__ = ["BERTConfig", "GPTConfig", "StackConfig", "TransformerConfig", "ViTConfig"]

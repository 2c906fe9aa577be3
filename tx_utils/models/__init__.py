"""Models: stacks of layers between what goes in and what comes out."""

from tx_utils.models.bert import BERT
from tx_utils.models.gpt import GPT
from tx_utils.models.transformer import Transformer
from tx_utils.models.vit import ViT, split_patches

__all__ = ["BERT", "GPT", "Transformer", "ViT", "split_patches"]

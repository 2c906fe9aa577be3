"""BERT's published weights, and those of its descendants, in our `BERT`.

The names are those of Hugging Face's `BertModel`; the MiniLM sentence encoders have them too, and
`RobertaModel` and `RobertaPreLayerNormModel`. Source of the model: Devlin et al. (2019), section 3.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tx_utils._checks import check_index
from tx_utils.configs import BERTConfig
from tx_utils.models import BERT
from tx_utils.pretrained.accounting import Account, assemble
from tx_utils.pretrained.names import (
    Constant,
    embedding,
    find_prefix,
    in_layers,
    linear,
    norm,
    with_prefix,
)
from tx_utils.pretrained.reading import StateDict, read_weights

# One row per module: its published name, ours, and its sizes.
_EMBEDDINGS = (
    *embedding("embeddings.word_embeddings", "embedding", "vocab_size"),
    *embedding("embeddings.position_embeddings", "positions", "max_len"),
    *embedding("embeddings.token_type_embeddings", "token_types", "num_token_types"),
    *norm("embeddings.LayerNorm", "norm"),
)
_LAYER = (
    *linear("attention.self.query", "self_attention.query_proj", "d_model", "d_model"),
    *linear("attention.self.key", "self_attention.key_proj", "d_model", "d_model"),
    *linear("attention.self.value", "self_attention.value_proj", "d_model", "d_model"),
    *linear("attention.output.dense", "self_attention.out_proj", "d_model", "d_model"),
    *linear("intermediate.dense", "feed_forward.linear1", "d_model", "d_ff"),
    *linear("output.dense", "feed_forward.linear2", "d_ff", "d_model"),
)
_POST_NORM_LAYER = (
    *_LAYER,
    *norm("attention.output.LayerNorm", "attention_residual.norm"),
    *norm("output.LayerNorm", "feed_forward_residual.norm"),
)
_PRE_NORM_LAYER = (
    *_LAYER,
    *norm("attention.LayerNorm", "attention_residual.norm"),
    *norm("intermediate.LayerNorm", "feed_forward_residual.norm"),
)
POST_NORM_NAMES = (*_EMBEDDINGS, *in_layers(_POST_NORM_LAYER, "encoder.layer"))
PRE_NORM_NAMES = (
    *_EMBEDDINGS,
    *in_layers(_PRE_NORM_LAYER, "encoder.layer"),
    *norm("LayerNorm", "encoder.norm"),
)

PREFIXES = ("bert.", "roberta.", "roberta_prelayernorm.")
# What stands on top of the hidden states, for one task or another: left out.
HEADS = ("pooler.", "cls.", "classifier.", "qa_outputs.", "lm_head.")


def _counts_up(tensor: Tensor, sizes: Mapping[str, int]) -> bool:
    return torch.equal(tensor.cpu().double(), torch.arange(sizes.get("max_len", 0)).double()[None])


# Older files store the numbers of the positions as well.
CONSTANTS = (Constant("embeddings.position_ids", "0, 1, ..., max_len - 1 in one row", _counts_up),)


def bert(
    state_dict: StateDict,
    *,
    num_heads: int,
    norm_eps: float = 1e-12,
    activation: str = "gelu",
    position_offset: int = 0,
) -> BERT:
    """Build a `BERT` from published weights: those of BERT, a MiniLM, or another of its kind.

    All sizes but the number of heads are read off the tensors, and their names tell post-norm
    from pre-norm. The numbers are copied: half precision becomes float32, float64 stays. Heads are
    left out, as the hidden states need none: what begins with `pooler.`, `cls.`, `classifier.`,
    `qa_outputs.` or `lm_head.`.

    Args:
        state_dict: The `state_dict()` of a Hugging Face model, with or without heads and the
            prefix `bert.` (`roberta.`, `roberta_prelayernorm.`); or the path of a safetensors
            file that holds one.
        num_heads: Attention heads per layer, which the weights don't tell; 12 in BERT's base model
            and in the MiniLM sentence encoders.
        norm_eps: The LayerNorms' eps; RoBERTa's is 1e-5.
        activation: "gelu", "gelu_tanh" or "relu".
        position_offset: Rows of the position table before the first token's. RoBERTa has 2: it
            counts positions from its padding's id, 1, on; with padding on the right our positions
            are the same.

    Returns:
        The model, in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, tensors are missing, unexpected or misshapen (the
            message lists them all), or a choice is out of range.

    Example:
        >>> sizes = {"vocab_size": 13, "max_len": 5, "num_token_types": 2, "d_model": 8, "d_ff": 32}
        >>> published = [entry.of_layer(0) for entry in POST_NORM_NAMES]
        >>> weights = {e.published: torch.ones(e.published_shape(sizes)) for e in published}
        >>> model = bert(weights, num_heads=2)
        >>> model.config.norm_first, model(torch.tensor([[3, 1, 4]])).shape
        (False, torch.Size([1, 3, 8]))
    """
    weights = _todays_names(read_weights(state_dict))
    prefix = find_prefix(weights, PREFIXES)
    norm_first = any(".attention.LayerNorm." in name for name in weights)
    table = PRE_NORM_NAMES if norm_first else POST_NORM_NAMES
    account = Account(
        weights,
        with_prefix(table, prefix),
        with_prefix(CONSTANTS, prefix),
        left_out=(*HEADS, *(prefix + head for head in HEADS)),
    )
    account.check("BERT")
    check_index("position_offset", position_offset, account.sizes["max_len"])
    parameters = account.parameters()
    positions = parameters["positions.weight"].detach()[position_offset:].clone()
    parameters["positions.weight"] = nn.Parameter(positions)
    config = BERTConfig(
        **account.sizes | {"max_len": len(positions)},
        num_heads=num_heads,
        activation=activation,
        norm_first=norm_first,
        norm_eps=norm_eps,
    )
    return assemble(BERT, config, parameters)


def _todays_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """BERT's first files call a LayerNorm's weight gamma, and its bias beta."""
    renamed = {}
    for name, tensor in weights.items():
        today = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        today = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", today)
        renamed[name if today in weights else today] = tensor
    return renamed

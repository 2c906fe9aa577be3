"""GPT-2's published weights, in our `GPT`.

The names are those of Hugging Face's `GPT2Model` and `GPT2LMHeadModel`.
Source of the model: Radford et al. (2019), section 2.3.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from tx_utils.configs import GPTConfig
from tx_utils.models import GPT
from tx_utils.pretrained.accounting import Account, assemble
from tx_utils.pretrained.names import (
    Constant,
    conv1d,
    embedding,
    find_prefix,
    in_layers,
    norm,
    with_prefix,
)
from tx_utils.pretrained.reading import StateDict, read_weights

QUERY_KEY_VALUE = tuple(f"self_attention.{part}_proj" for part in ("query", "key", "value"))

# One row per module: its published name, ours, and its sizes.
LAYER_NAMES = (
    *norm("ln_1", "attention_residual.norm"),
    *conv1d("attn.c_attn", QUERY_KEY_VALUE, "d_model", "d_model"),
    *conv1d("attn.c_proj", ("self_attention.out_proj",), "d_model", "d_model"),
    *norm("ln_2", "feed_forward_residual.norm"),
    *conv1d("mlp.c_fc", ("feed_forward.linear1",), "d_model", "d_ff"),
    *conv1d("mlp.c_proj", ("feed_forward.linear2",), "d_ff", "d_model"),
)
NAMES = (
    *embedding("wte", "embedding", "vocab_size"),
    *embedding("wpe", "positions", "max_len"),
    *in_layers(LAYER_NAMES, "h"),
    *norm("ln_f", "encoder.norm"),
)
HEAD = embedding("lm_head", "output_proj", "vocab_size")


def _is_causal(tensor: Tensor, sizes: Mapping[str, int]) -> bool:
    length = sizes.get("max_len", 0)
    return torch.equal(tensor.float(), torch.ones(1, 1, length, length).tril().to(tensor.device))


def _is_low(tensor: Tensor, sizes: Mapping[str, int]) -> bool:
    return tensor.numel() == 1 and float(tensor) <= -1e4


# Older files store the mask as well: which keys are seen, and the score of those that are not.
CONSTANTS = (
    Constant("h.N.attn.bias", "the causal mask (1, 1, max_len, max_len)", _is_causal),
    Constant("h.N.attn.masked_bias", "one number of at most -10000", _is_low),
)


def gpt2(
    state_dict: StateDict,
    *,
    num_heads: int,
    norm_eps: float = 1e-5,
    activation: str = "gelu_tanh",
) -> GPT:
    """Build a `GPT` from GPT-2's published weights.

    All sizes but the number of heads are read off the tensors. A `lm_head.weight` that differs
    from the token embeddings makes a model with `tie_weights=False`. The numbers are copied: half
    precision becomes float32, float64 stays.

    Args:
        state_dict: The `state_dict()` of a Hugging Face GPT-2, with or without its head and the
            prefix `transformer.`; or the path of a safetensors file that holds one.
        num_heads: Attention heads per layer, which the weights don't tell; 12 in the smallest
            GPT-2, and 64 numbers wide in all of them.
        norm_eps: The LayerNorms' eps.
        activation: "relu", "gelu" or "gelu_tanh".

    Returns:
        The model, in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, tensors are missing, unexpected or misshapen (the
            message lists them all), or a choice is out of range.

    Example:
        >>> sizes = {"vocab_size": 13, "max_len": 5, "d_model": 8, "d_ff": 32}
        >>> published = [entry.of_layer(0) for entry in NAMES]
        >>> weights = {e.published: torch.ones(e.published_shape(sizes)) for e in published}
        >>> model = gpt2(weights, num_heads=2)
        >>> model.config.num_layers, model(torch.tensor([[3, 1, 4]])).shape
        (1, torch.Size([1, 3, 13]))
    """
    weights = read_weights(state_dict)
    prefix = find_prefix(weights, ("transformer.",))
    head = HEAD if "lm_head.weight" in weights else ()
    account = Account(weights, (*with_prefix(NAMES, prefix), *head), with_prefix(CONSTANTS, prefix))
    account.check("GPT-2")
    parameters = account.parameters()
    table = parameters["embedding.weight"]
    output = parameters.get("output_proj.weight", table)
    tied = torch.equal(output, table)
    parameters["output_proj.weight"] = table if tied else output
    config = GPTConfig(
        **account.sizes,
        num_heads=num_heads,
        activation=activation,
        tie_weights=tied,
        scale_embedding=False,
        norm_eps=norm_eps,
    )
    return assemble(GPT, config, parameters)

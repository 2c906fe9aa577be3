"""Recording: look at every attention map of a model while it runs, and change nothing."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tx_utils.attention import MultiHeadAttention


@contextmanager
def record_attention(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Collect the attention weights of every `MultiHeadAttention` that runs inside the block.

    Args:
        model: Any module; its attention modules are found wherever they are.

    Yields:
        A dictionary that fills while the model runs: the module's dotted name -> its weights
        (B, H, T_q, T_k), detached. If a module runs twice, its last call stays.

    Example:
        >>> model = nn.ModuleDict({"reader": MultiHeadAttention(d_model=4, num_heads=2)})
        >>> x = torch.zeros(1, 3, 4)
        >>> with record_attention(model) as maps:
        ...     _ = model["reader"](x, x, x)
        >>> {name: weights.shape for name, weights in maps.items()}
        {'reader': torch.Size([1, 2, 3, 3])}
    """
    maps: dict[str, Tensor] = {}

    def hook_for(name: str) -> Any:
        def hook(
            module: MultiHeadAttention, args: tuple[Any, ...], kwargs: dict[str, Any], _: Tensor
        ) -> None:
            call = inspect.signature(module.forward).bind(*args, **kwargs).arguments
            with torch.no_grad():
                maps[name] = module.weights(**{k: v for k, v in call.items() if k != "value"})

        return hook

    handles = [
        module.register_forward_hook(hook_for(name), with_kwargs=True)
        for name, module in model.named_modules()
        if isinstance(module, MultiHeadAttention)
    ]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()

"""Our models with the attention formula as it is read, not as it is run: what the kernel saves."""

from typing import TypeVar

from torch import Tensor, nn

from tx_utils import MultiHeadAttention
from tx_utils.cache import LayerCache

Model = TypeVar("Model", bound=nn.Module)


class WrittenOutAttention(MultiHeadAttention):
    """`MultiHeadAttention` that holds its T_q x T_k weights, as the formula does."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """The same numbers as the parent's.  (B, T_q, d_model)."""
        if cache is not None:
            raise ValueError(f"the written-out form takes no cache, got {cache!r}")
        weights = self.weights(query, key, mask, is_causal=is_causal)
        return self.out_proj(self._merge_heads(weights @ self._split_heads(self.value_proj(value))))


def write_out(model: Model) -> Model:
    """Give every attention of `model` the written-out form, and hand the model back."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is MultiHeadAttention:
                attention = WrittenOutAttention(child.out_proj.in_features, child.num_heads)
                attention.load_state_dict(child.state_dict())
                setattr(parent, name, attention.to(child.out_proj.weight))  # its dtype and device
    return model

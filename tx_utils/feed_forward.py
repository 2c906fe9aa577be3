"""The feed-forward network: after tokens have exchanged information, each one thinks alone.

Source: Vaswani et al. (2017), section 3.3.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from tx_utils._checks import check_dropout, check_positive

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),  # the approximation GPT-2 was trained with
}


def check_activation(activation: str) -> None:
    """Raise a ValueError that lists the known activations unless `activation` is one of them."""
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")


class FeedForward(nn.Module):
    """Two linear layers with a nonlinearity between them, applied to every token by itself.

    Args:
        d_model: Width of a token's vector, in and out.
        d_ff: Width of the hidden layer; the paper takes 4 * d_model.
        dropout: Probability of zeroing a hidden unit after the activation.
        activation: "relu" (the paper's), "gelu" (exact) or "gelu_tanh" (its approximation).

    Raises:
        ValueError: if a size is not positive, `dropout` lies outside [0, 1), or the activation
            is unknown.

    Example:
        >>> import torch
        >>> FeedForward(d_model=4, d_ff=16)(torch.zeros(2, 3, 4)).shape
        torch.Size([2, 3, 4])
    """

    def __init__(
        self, d_model: int, d_ff: int, *, dropout: float = 0.0, activation: str = "relu"
    ) -> None:
        super().__init__()
        check_positive(d_model=d_model, d_ff=d_ff)
        check_dropout(dropout)
        check_activation(activation)
        self.linear1 = nn.Linear(d_model, d_ff)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token's vector on its own.  (..., d_model) -> (..., d_model)."""
        if x.size(-1) != self.linear1.in_features:
            raise ValueError(
                f"x must have width {self.linear1.in_features}, got shape {tuple(x.shape)}"
            )
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

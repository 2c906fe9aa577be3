"""LayerNorm: bring every token's vector back to mean 0 and variance 1.

`layer_norm` is the formula, written out to be read; `LayerNorm` computes the same numbers with
torch's fused kernel. Source: Ba, Kiros and Hinton (2016), section 3, equation 4.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils._checks import check_eps, check_positive


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Subtract a token's mean, divide by its standard deviation, then rescale and shift.

    Args:
        x: Any number of token vectors.       (..., d_model)
        weight: The learned scale.            (d_model,)
        bias: The learned shift.              (d_model,)
        eps: Added to the variance, inside the root, so that a constant vector does not divide by 0.

    Returns:
        The normalised vectors.  (..., d_model)

    Example:
        >>> x = torch.tensor([1.0, 3.0])  # mean 2, standard deviation 1
        >>> layer_norm(x, torch.ones(2), torch.zeros(2), eps=0.0).tolist()
        [-1.0, 1.0]
    """
    mean = x.mean(dim=-1, keepdim=True)
    # The biased variance: the mean of the squares, not their sum over d_model - 1.
    variance = (x - mean).square().mean(dim=-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


class LayerNorm(nn.Module):
    """Layer normalisation with a learned scale and shift, on torch's fused kernel.

    Args:
        d_model: Width of a token's vector.
        eps: Added to the variance inside the root.

    Raises:
        ValueError: if `d_model` is not positive or `eps` is negative or infinite.

    Example:
        >>> LayerNorm(2, eps=0.0)(torch.tensor([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """

    def __init__(self, d_model: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        check_positive(d_model=d_model)
        check_eps(eps=eps)
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each token's vector on its own.  (..., d_model) -> (..., d_model)."""
        if x.size(-1) != self.weight.numel():
            raise ValueError(f"x must have width {self.weight.numel()}, got {tuple(x.shape)}")
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

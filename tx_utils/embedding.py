"""Token embeddings: a learned vector for every word of the vocabulary.

Source: Vaswani et al. (2017), section 3.4.
"""

import math

import torch
from torch import Tensor, nn

from tx_utils._checks import check_positive, check_tokens


class TokenEmbedding(nn.Module):
    """Look up each token's vector and bring it to the size of the positions it is added to.

    The table starts with standard deviation d_model**-0.5, which suits an output projection that
    shares it; times sqrt(d_model), the vectors have entries of size 1, as positions have.

    Args:
        vocab_size: Number of different tokens.
        d_model: Width of a token's vector.
        scale: Whether to multiply by sqrt(d_model), as the paper does.

    Raises:
        ValueError: if a size is not positive.

    Example:
        >>> TokenEmbedding(vocab_size=9, d_model=4)(torch.tensor([[1, 8]])).shape
        torch.Size([1, 2, 4])
    """

    def __init__(self, vocab_size: int, d_model: int, *, scale: bool = True) -> None:
        super().__init__()
        check_positive(vocab_size=vocab_size, d_model=d_model)
        self.weight = nn.Parameter(torch.randn(vocab_size, d_model) * d_model**-0.5)
        self.scale = math.sqrt(d_model) if scale else 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """Turn ids into vectors.

        Args:
            tokens: Token ids in [0, vocab_size).  (B, T)

        Returns:
            (B, T, d_model)

        Raises:
            ValueError: if the ids are not integers of shape (B, T), or (on the CPU) out of range.
        """
        check_tokens(tokens)
        try:
            return nn.functional.embedding(tokens, self.weight) * self.scale
        except IndexError as error:  # raised on the CPU only; elsewhere a check would cost a wait
            raise ValueError(
                f"token ids must lie in [0, {self.weight.size(0)}), "
                f"got {int(tokens.min())} to {int(tokens.max())}"
            ) from error

"""Model FLOPs: the arithmetic that the model's equations ask for, whoever computes them."""


def layer_weights(d_model: int, d_ff: int, *, attentions: int = 1) -> int:
    """Entries of one layer's weight matrices: four for each attention, two for feed-forward.

    Example:
        >>> layer_weights(10, 40)  # 12 d²
        1200
    """
    return attentions * 4 * d_model**2 + 2 * d_model * d_ff


def forward_flops(weights: int, tokens: int, attentions: int, *, d_model: int, length: int) -> int:
    """What a forward pass asks for, in floating-point operations.

    Two (multiply, add) per token and entry of a weight matrix, the output projection's included
    and embedding tables not; and per token and attention 4 * length * d_model: half of them for
    the scores QKᵀ, half for the weighted sum. The full T x T square counts, as in the PaLM paper,
    though a causal kernel may skip half of it. Norms, activations and softmax are left out.

    Args:
        weights: Entries of all weight matrices that a token is multiplied with.
        tokens: Tokens in the batch, all sequences together.
        attentions: How many a token passes: the number of layers.
        d_model: Width of a token's vector.
        length: Keys that a query looks at.

    Source: Chowdhery et al. (2022), *PaLM*, appendix B.

    Example:
        >>> forward_flops(1000, tokens=7, attentions=2, d_model=5, length=3)
        14840
    """
    return tokens * (2 * weights + 4 * attentions * length * d_model)


def training_flops(forward: int) -> int:
    """A training step's: the backward pass takes two products for each one of the forward pass.

    Example:
        >>> training_flops(10)
        30
    """
    return 3 * forward

"""Losses and metrics over token sequences: means over the targets that count."""

from torch import Tensor, nn


class TokenCrossEntropy(nn.CrossEntropyLoss):
    """Cross-entropy of every position's logits against its target id, averaged.

    torch's own loss with the vocabulary on the last axis, where our models put it. Arguments are
    torch's; the two that matter here: `ignore_index=pad_id` leaves padding out of the average,
    and `label_smoothing` softens the targets (Vaswani et al., 2017, section 5.4).

    Example:
        >>> import torch
        >>> loss = TokenCrossEntropy()(torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.long))
        >>> bool(torch.isclose(loss, torch.tensor(8.0).log()))  # knowing nothing costs ln V
        True
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Average the loss over all counted positions.

        Args:
            logits: One score per class.  (..., num_classes)
            target: The right class's id.  (...)

        Returns:
            The mean in nats, a scalar.

        Raises:
            ValueError: if the two shapes do not belong together.
        """
        if logits.shape[:-1] != target.shape:
            raise ValueError(
                f"logits {tuple(logits.shape)} need one target per row, got {tuple(target.shape)}"
            )
        return super().forward(logits.reshape(-1, logits.size(-1)), target.reshape(-1))


class TokenAccuracy:
    """Share of the counted positions whose largest logit is the target's.

    Args:
        ignore_index: Positions with this target are not counted; the same as the loss's.

    Example:
        >>> import torch
        >>> TokenAccuracy()(torch.eye(4), torch.tensor([0, 1, 2, 1])).item()  # 3 of 4
        0.75
    """

    def __init__(self, *, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Measure the share.

        Args:
            logits: One score per class.   (..., num_classes)
            target: The right class's id.  (...)

        Returns:
            A scalar in [0, 1].
        """
        counted = target != self.ignore_index
        return (logits.argmax(dim=-1) == target)[counted].float().mean()

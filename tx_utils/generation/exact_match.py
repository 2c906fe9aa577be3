"""Exact match: the measure of free generation, since one wrong word makes a wrong answer."""

from torch import Tensor
from torch.nn import functional as F


def exact_match(written: Tensor, labels: Tensor, *, pad_id: int) -> Tensor:
    """Say which of the written sequences are the wanted ones, token by token.

    The two may be padded to different lengths; the end token counts.

    Args:
        written: What `greedy_decode` or `beam_search` returned.  (B, T)
        labels: What should have been written.                    (B, T')
        pad_id: The id that fills up shorter sequences.

    Returns:
        True where a row is right.  (B,)

    Raises:
        ValueError: if the two are not two-dimensional with one batch size.

    Example:
        >>> import torch
        >>> written, labels = torch.tensor([[5, 2, 0], [5, 6, 2]]), torch.tensor([[5, 2], [5, 2]])
        >>> exact_match(written, labels, pad_id=0).tolist()
        [True, False]
    """
    if written.dim() != 2 or labels.dim() != 2 or len(written) != len(labels):
        raise ValueError(
            "written and labels must be (B, T) and (B, T') with one B, "
            f"got {tuple(written.shape)} and {tuple(labels.shape)}"
        )
    length = max(written.size(1), labels.size(1))
    written, labels = (F.pad(x, (0, length - x.size(1)), value=pad_id) for x in (written, labels))
    return (written == labels).all(dim=1)

"""Attended: is what [CLS] looks at what the answer hangs on? Hide patches, and count.

A map of attention is no explanation. But it makes a prediction that may fail: to hide the patches
with most attention should cost more right answers than to hide as many others: random ones, the
darkest, the same ones in every picture (those with most attention on average), or the ones that
[CLS] looks at most in another picture: only these tell what the picture in hand has to do with it.
"""

import torch
from torch import Tensor, nn

from tx_utils._modes import observed
from tx_utils.recording import record_attention

WHICH = (
    *("most attended", "another picture's", "most attended on average"),
    *("least attended", "random", "darkest"),
)


def class_attention(model: nn.Module, images: Tensor) -> Tensor:
    """How much [CLS] looks at each patch in the last layer, as the mean of the heads.

    Args:
        model: A `ViT`, or a model that holds one.
        images: (B, C, size, size)

    Returns:
        Weights; what is missing to 1 goes to [CLS] itself.  (B, T)
    """
    with observed(model), record_attention(model) as maps:
        model(images)
    *_, last = maps.values()
    return last[:, :, 0, 1:].mean(dim=1)


def hide_patches(images: Tensor, hidden: Tensor, filling: Tensor) -> Tensor:
    """Replace some patches of each image.

    Args:
        images: (B, C, size, size)
        hidden: True at patches to be replaced, row by row.  (B, T)
        filling: The image that shows in their place.        (C, size, size)

    Returns:
        The new images.  (B, C, size, size)

    Example:
        >>> image, hidden = torch.ones(1, 1, 4, 4), torch.tensor([[True, False, False, False]])
        >>> hide_patches(image, hidden, torch.zeros(1, 4, 4))[0, 0].tolist()[1:3]
        [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    side = int(hidden.size(1) ** 0.5)
    scale = images.size(-1) // side
    squares = hidden.view(-1, 1, side, side)
    pixels = squares.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    return torch.where(pixels, filling, images)


def ranked(scores: Tensor, count: int) -> Tensor:
    """True at the `count` highest scores of each row.  (B, T) -> (B, T).

    Example:
        >>> ranked(torch.tensor([[0.1, 0.6, 0.3]]), count=2).tolist()
        [[False, True, True]]
    """
    return torch.zeros_like(scores, dtype=torch.bool).scatter(
        1, scores.topk(count, dim=1).indices, True
    )


def choose_patches(
    model: nn.Module, images: Tensor, count: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Which patches to hide, in each of the ways of `WHICH`; True at them.  (B, T) each.

    Args:
        model: A `ViT`, or a model that holds one.
        images: (B, 1, size, size), dark pixels high.
        count: Patches to hide in each image.
        generator: Draws the random ones.
    """
    attention = class_attention(model, images)
    side = int(attention.size(1) ** 0.5)
    darkness = torch.nn.functional.avg_pool2d(images, images.size(-1) // side).flatten(1)
    random = torch.rand(attention.shape, generator=generator)
    another = attention.roll(len(attention) // 2, dims=0)  # as many of each place, other pictures
    on_average = attention.mean(dim=0).expand_as(attention)  # the same patches in every image
    scores = (attention, another, on_average, -attention, random, darkness)
    return {name: ranked(score, count) for name, score in zip(WHICH, scores, strict=True)}


def accuracy_hidden(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    filling: Tensor,
    count: int,
    generator: torch.Generator,
) -> dict[str, float]:
    """Share of the pictures still read rightly with patches hidden, by the way of choosing them.

    Args:
        model: A `ViT`, or a model that holds one.
        images: (B, 1, size, size)
        labels: What they show.                              (B,)
        filling: The image that shows in the patches' place. (1, size, size)
        count: Patches to hide in each image.
        generator: Draws the random ones.
    """
    chosen = choose_patches(model, images, count, generator)
    with observed(model):
        return {
            name: (model(hide_patches(images, hidden, filling)).argmax(dim=-1) == labels)
            .float()
            .mean()
            .item()
            for name, hidden in chosen.items()
        }

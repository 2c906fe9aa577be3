"""Rivals: three classic models of scikit-learn's, on the same pictures as lesson 09's Transformer.

All get the same information as it does: they learn from the training pictures, and of a few
settings each takes the one that gets most validation pictures right.
"""

from typing import Any

import torch
from torch import Tensor

from tx_utils.tasks.digits import Augmentation

Pictures = tuple[Tensor, Tensor]  # images (N, 1, height, width), labels (N,)

CHOICES: dict[str, tuple[float, ...]] = {
    "logistic regression": (0.1, 1.0, 10.0),  # C: how little the weights are held back
    "nearest neighbours": (1, 3, 5),  # how many are asked
    "SVM": (0.03, 0.1, 0.3),  # gamma: how quickly likeness fades with the distance
}


def unfitted(name: str, choice: float) -> Any:
    """A rival that has seen nothing yet.

    Args:
        name: One of `CHOICES`.
        choice: One of its settings there.

    Raises:
        ValueError: if there is no such rival.
    """
    # Imported here, since every lesson imports the experiments and one needs scikit-learn.
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    if name == "logistic regression":
        return LogisticRegression(C=choice, max_iter=5000)
    if name == "nearest neighbours":
        return KNeighborsClassifier(n_neighbors=int(choice))
    if name == "SVM":
        return SVC(C=10.0, gamma=choice)
    raise ValueError(f"name must be one of {', '.join(CHOICES)}, got {name!r}")


def predict(model: Any, images: Tensor) -> Tensor:
    """What a fitted model says, as the classes' ids.  (N, 1, height, width) -> (N,)."""
    return torch.from_numpy(model.predict(images.flatten(1).numpy()))


def best_rival(name: str, train: Pictures, validation: Pictures) -> Any:
    """Fit a rival with each of its settings; keep the one with most validation pictures right.

    Args:
        name: One of `CHOICES`.
        train: The pictures to learn from.
        validation: The pictures to choose by.

    Returns:
        The fitted model, for `predict`; of equals, the one of the first setting.

    Example:
        >>> pictures = torch.eye(4).view(4, 1, 2, 2), torch.tensor([0, 0, 1, 1])
        >>> model = best_rival("SVM", pictures, pictures)
        >>> predict(model, pictures[0]).tolist()
        [0, 0, 1, 1]
    """
    images, labels = train
    fitted = [
        unfitted(name, choice).fit(images.flatten(1).numpy(), labels.numpy())
        for choice in CHOICES[name]
    ]
    right = [int((predict(model, validation[0]) == validation[1]).sum()) for model in fitted]
    return fitted[right.index(max(right))]


def with_copies(
    train: Pictures, augmentation: Augmentation, copies: int, generator: torch.Generator
) -> Pictures:
    """The training pictures, and so many changed copies of each.

    Args:
        train: The pictures.
        augmentation: Changes the copies.
        copies: Changed copies of each picture.
        generator: Source of the randomness.
    """
    images, labels = train
    changed = [augmentation(images, generator) for _ in range(copies)]
    return torch.cat([images, *changed]), labels.repeat(1 + copies)

"""Rivals: each is scikit-learn's own model, its setting chosen by the validation pictures alone."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import Tensor

from tx_utils.experiments.rivals import CHOICES, best_rival, predict, unfitted, with_copies
from tx_utils.tasks.digits import Augmentation, load_digits

every_rival = pytest.mark.parametrize("name", CHOICES)


def some(start: int, count: int) -> tuple[Tensor, Tensor]:
    images, labels, _ = load_digits()
    return images[start : start + count], labels[start : start + count]


# Oracle


@every_rival
def test_a_rival_is_the_best_of_its_settings_on_the_validation_pictures(name: str) -> None:
    """By hand, on plain arrays; with few pictures the settings differ."""
    makers: dict[str, Any] = {
        "logistic regression": lambda c: LogisticRegression(C=c, max_iter=5000),
        "nearest neighbours": lambda k: KNeighborsClassifier(k),
        "SVM": lambda gamma: SVC(C=10, gamma=gamma),
    }
    train, validation, test = some(0, 60), some(200, 200), some(700, 100)
    flat = [images.numpy().reshape(len(images), 64) for images, _ in (train, validation, test)]
    fitted = [makers[name](choice).fit(flat[0], train[1].numpy()) for choice in CHOICES[name]]
    shares = [model.score(flat[1], validation[1].numpy()) for model in fitted]
    expected = fitted[int(np.argmax(shares))].predict(flat[2])
    assert len(set(shares)) > 1
    assert predict(best_rival(name, train, validation), test[0]).tolist() == expected.tolist()


def test_of_equals_the_first_setting_is_taken() -> None:
    pictures = some(0, 20)
    assert best_rival("SVM", pictures, pictures).gamma == CHOICES["SVM"][0]  # all are right


def test_copies_are_changed_pictures_with_the_labels_of_their_originals() -> None:
    train = some(0, 7)
    augmentation = Augmentation(slant=0, degrees=0, scale=0, shift=0.5)
    images, labels = with_copies(train, augmentation, 3, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    expected = torch.cat([train[0], *(augmentation(train[0], generator) for _ in range(3))])
    assert torch.equal(images, expected)
    assert labels.tolist() == 4 * train[1].tolist()
    assert not torch.equal(images[:7], images[7:14])


# Property


@every_rival
def test_a_rival_sees_no_space_only_a_list_of_pixels(name: str) -> None:
    """The same answers if all pictures have their pixels in another order, always the same."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))

    def scrambled(pictures: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        images, labels = pictures
        return images.flatten(1)[:, order].view_as(images), labels

    train, validation, test = some(0, 300), some(300, 100), some(400, 400)
    plain = predict(best_rival(name, train, validation), test[0])
    other = predict(best_rival(name, scrambled(train), scrambled(validation)), scrambled(test)[0])
    assert (plain != other).float().mean() <= 0.01  # a solver's last digits settle near ties


def test_answers_are_classes_as_torch_counts_them() -> None:
    answers = predict(best_rival("SVM", some(0, 50), some(50, 20)), some(80, 9)[0])
    assert (answers.shape, answers.dtype) == ((9,), torch.int64)


# Border


def test_every_rival_has_three_settings_to_choose_from() -> None:
    assert all(len(set(choices)) == 3 for choices in CHOICES.values())
    for name, choices in CHOICES.items():
        assert len({repr(unfitted(name, choice)) for choice in choices}) == 3


def test_unknown_rivals_are_refused() -> None:
    message = "^name must be one of logistic regression, nearest neighbours, SVM, got 'tree'$"
    with pytest.raises(ValueError, match=message):
        unfitted("tree", 1.0)


def test_who_imports_the_experiment_need_not_wait_for_scikit_learn() -> None:
    code = "import sys; import tx_utils.experiments.digits; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "False"

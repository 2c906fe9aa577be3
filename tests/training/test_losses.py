"""Losses and metrics over sequences, against torch's functions and against sums by hand."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from tx_utils import TokenAccuracy, TokenCrossEntropy

B, T, V = 2, 5, 7


def scores(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, V, generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(V, shape, generator=generator)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 999),
    st.sampled_from([(5,), (2, 5), (2, 3, 5)]),
    st.sampled_from([-100, 0, 3]),
    st.sampled_from([0.0, 0.1]),
)
def test_the_loss_and_its_gradient_are_torchs(
    seed: int, shape: tuple[int, ...], ignored: int, smoothing: float
) -> None:
    logits, target = scores(seed, *shape)
    target.view(-1)[0] = (ignored + 1) % V  # one target counts at least
    loss = TokenCrossEntropy(ignore_index=ignored, label_smoothing=smoothing)(logits, target)
    expected = F.cross_entropy(
        logits.movedim(-1, 1) if len(shape) > 1 else logits,
        target,
        ignore_index=ignored,
        label_smoothing=smoothing,
    )
    assert_close(loss, expected)
    assert_close(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))


def test_the_loss_is_minus_the_mean_log_probability_of_the_right_tokens() -> None:
    logits, target = scores(0, B, T)
    target[0, 0], target[0, 1:], target[1] = 1, 0, torch.tensor([2, 3, 0, 0, 0])
    probabilities = logits.softmax(dim=-1)
    right = torch.stack([probabilities[0, 0, 1], probabilities[1, 0, 2], probabilities[1, 1, 3]])
    assert_close(TokenCrossEntropy(ignore_index=0)(logits, target), -right.log().mean())


def test_label_smoothing_moves_a_share_of_the_target_to_all_tokens() -> None:
    logits, target = scores(1, B, T)
    soft = 0.9 * F.one_hot(target, V) + 0.1 / V
    expected = -(soft * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
    assert_close(TokenCrossEntropy(label_smoothing=0.1)(logits, target), expected)


def test_accuracy_is_the_share_of_hits() -> None:
    logits = torch.eye(V)[torch.tensor([[1, 2, 3], [4, 5, 6]])]
    target = torch.tensor([[1, 2, 0], [4, 0, 0]])
    assert TokenAccuracy()(logits, target).item() == 0.5
    assert TokenAccuracy(ignore_index=0)(logits, target).item() == 1.0
    assert TokenAccuracy(ignore_index=4)(logits, target).item() == pytest.approx(2 / 5)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(0, V - 1))
def test_ignored_positions_change_neither_loss_nor_accuracy(seed: int, ignored: int) -> None:
    logits, target = scores(seed, B, T)
    target[0, 0] = (ignored + 1) % V
    here = target == ignored
    changed = torch.where(here[..., None], logits.flip(-1) * 9.0, logits)
    loss_fn = TokenCrossEntropy(ignore_index=ignored)
    assert_close(loss_fn(changed, target), loss_fn(logits, target))
    hits = [TokenAccuracy(ignore_index=ignored)(scores, target) for scores in (changed, logits)]
    assert_close(*hits)
    (grad,) = torch.autograd.grad(loss_fn(logits, target), logits)
    assert not grad[here].any()
    assert grad[~here].all()


def test_the_loss_and_the_accuracy_ignore_the_same_id_unless_told_another() -> None:
    logits, target = torch.eye(V)[None], torch.arange(V)[None].clone()
    target[0, :3] = torch.nn.CrossEntropyLoss().ignore_index
    assert TokenAccuracy()(logits, target).item() == 1.0
    assert_close(
        TokenCrossEntropy()(logits, target), TokenCrossEntropy()(logits[:, 3:], target[:, 3:])
    )


def test_a_strided_view_of_the_logits_is_fine() -> None:
    logits, target = scores(2, B, T)
    loss_fn = TokenCrossEntropy()
    assert_close(
        loss_fn(logits[:, ::2], target[:, ::2]), loss_fn(logits[:, [0, 2, 4]], target[:, [0, 2, 4]])
    )


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    logits, target = scores(0, B, T)
    expected = r"logits \(2, 5, 7\) need one target per row, got \(2, 4\)"
    with pytest.raises(ValueError, match=expected):
        TokenCrossEntropy()(logits, target[:, :-1])
    with pytest.raises(ValueError, match=r"got \(5, 2\)"):
        TokenCrossEntropy()(logits, target.T)


def test_following_the_gradient_finds_the_targets() -> None:
    logits, target = scores(3, B, T)
    for _ in range(20):
        (grad,) = torch.autograd.grad(TokenCrossEntropy()(logits, target), logits)
        logits = (logits - 30.0 * grad).detach().requires_grad_()
    assert TokenAccuracy()(logits, target).item() == 1.0
    assert TokenCrossEntropy()(logits, target).item() < 0.1

"""What is learnt from and what is validated may be two losses: a smoothed one and a plain one."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD
from toy_runs import KINDS, Alarm, plain, toy_run

from tx_utils import EarlyStopping, TokenAccuracy, TokenCrossEntropy, train

PLAIN = nn.CrossEntropyLoss()
SMOOTHING = 0.3


def smoothed(logits: Tensor, target: Tensor) -> Tensor:
    """Label smoothing by hand: a share of the probability goes evenly to all classes."""
    log_probs = logits.log_softmax(dim=-1)
    right = -log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return ((1 - SMOOTHING) * right - SMOOTHING * log_probs.mean(dim=-1)).mean()


class Scripted:
    """A validation loss that is known beforehand."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = iter(losses)

    def __call__(self, output: Tensor, _: Tensor) -> Tensor:
        return output.new_tensor(next(self.losses))


# Oracle


@pytest.mark.parametrize("kind", KINDS)
def test_validation_is_plain_where_training_is_smoothed(kind: str) -> None:
    run = toy_run(kind)
    run.loss_fn = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    outputs: list[tuple[Tensor, Tensor]] = []
    run.loss_fn.register_forward_hook(lambda _, given, __: outputs.append(given))
    history = run.train(1, validation_loss_fn=PLAIN, early_stopping=None)
    by_hand = [smoothed(*given).item() for given in outputs]
    assert len(by_hand) == history.steps  # the smoothed loss is not asked in validation
    assert history.step_loss == pytest.approx(by_hand, rel=1e-5)
    counts = history.step_targets
    mean = sum(loss * count for loss, count in zip(by_hand, counts, strict=True)) / sum(counts)
    assert history.train_loss == [pytest.approx(mean, rel=1e-5)]
    x, target = (torch.cat(parts) for parts in zip(*run.validation, strict=True))
    logits = run.model.eval()(x)
    assert history.validation_loss == [pytest.approx(F.cross_entropy(logits, target).item())]
    assert abs(history.validation_loss[0] - smoothed(logits, target).item()) > 1e-3


# Property


def test_what_is_validated_changes_nothing_about_what_is_learnt() -> None:
    runs = []
    for options in ({"validation_loss_fn": PLAIN}, {}):
        run = toy_run()
        run.loss_fn = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
        run.train(3, early_stopping=None, **options)
        runs.append(run)
    one, other = runs
    assert one.history.step_loss == other.history.step_loss
    assert plain(one.model.state_dict()) == plain(other.model.state_dict())
    pairs = zip(one.history.validation_loss, other.history.validation_loss, strict=True)
    assert all(abs(ours - theirs) > 1e-3 for ours, theirs in pairs)


def test_without_a_validation_loss_the_training_loss_is_measured() -> None:
    run = toy_run()
    run.loss_fn = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    history = run.train(1, early_stopping=None)
    x, target = (torch.cat(parts) for parts in zip(*run.validation, strict=True))
    expected = smoothed(run.model.eval()(x), target).item()
    assert history.validation_loss == [pytest.approx(expected, rel=1e-5)]


def test_early_stopping_watches_the_validation_loss() -> None:
    """The training loss would choose the last epoch, and would not stop."""
    model, batch = nn.Linear(3, 5), (torch.eye(3), torch.arange(3))
    optimizer, stopping = SGD(model.parameters(), lr=0.5), EarlyStopping(patience=3)
    after: list[Tensor] = []
    optimizer.register_step_post_hook(lambda *_: after.append(model.weight.detach().clone()))
    history = train(
        model,
        [batch],
        optimizer,
        PLAIN,
        epochs=20,
        validation=[batch],
        validation_loss_fn=Scripted([3.0, 1.0, 2.0, 2.5, 1.5, 0.5]),
        early_stopping=stopping,
    )
    assert history.validation_loss == [3.0, 1.0, 2.0, 2.5, 1.5]
    assert history.train_loss == sorted(history.train_loss, reverse=True)
    assert stopping.best_loss == 1.0
    assert torch.equal(model.weight, after[1])
    assert not torch.equal(model.weight, after[-1])


def test_validation_weighs_batches_by_the_targets_that_its_own_loss_counts() -> None:
    model, loss_fn = nn.Linear(3, 4), TokenCrossEntropy()
    x, target = torch.randn(2, 3, 3), torch.tensor([[1, 2, 3], [2, 0, 0]])
    batches = [(x[:1], target[:1]), (x[1:], target[1:])]
    history = train(
        model,
        batches,
        SGD(model.parameters(), lr=0.1),
        loss_fn,
        epochs=1,
        validation=batches,
        validation_loss_fn=TokenCrossEntropy(ignore_index=0),
    )
    assert history.step_targets == [3, 3]
    expected = F.cross_entropy(model(x).flatten(0, 1), target.flatten(), ignore_index=0)
    assert history.validation_loss == [pytest.approx(expected.item(), rel=1e-5)]


def test_an_interruption_in_validation_is_made_good_with_the_same_loss() -> None:
    whole = toy_run()
    whole.train(2, validation_loss_fn=Scripted([2.0, 1.0, 1.0, 4.0]))
    run = toy_run(alarm=Alarm("validation", 2))
    with pytest.raises(KeyboardInterrupt):
        run.train(2, validation_loss_fn=Scripted([9.0]))
    run.train(2, validation_loss_fn=Scripted([2.0, 1.0, 1.0, 4.0]))
    assert run.state() == whole.state()
    assert run.history.validation_loss == [pytest.approx(x) for x in (12 / 7, 13 / 7)]


# Border


@pytest.mark.parametrize(("of_training", "of_validation"), [(0, 1), (1, 0), (-100, 0)])
def test_metrics_must_count_what_the_validation_loss_counts(
    of_training: int, of_validation: int
) -> None:
    run = toy_run()
    run.loss_fn = TokenCrossEntropy(ignore_index=of_training)
    measured = TokenCrossEntropy(ignore_index=of_validation)
    wrong = {"accuracy": TokenAccuracy(ignore_index=of_training)}
    message = (
        "metric 'accuracy' must ignore the targets that the loss ignores "
        f"(ignore_index={of_validation}), got {of_training}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run.train(validation_loss_fn=measured, metrics=wrong)
    assert run.history.steps == 0
    right = {"accuracy": TokenAccuracy(ignore_index=of_validation)}
    run.train(1, validation_loss_fn=measured, metrics=right)
    assert len(run.history.metrics["accuracy"]) == 1


def test_a_validation_loss_needs_validation_data() -> None:
    run = toy_run("own")
    with pytest.raises(ValueError, match=r"^validation_loss_fn needs validation data, got None$"):
        run.train(1, validation=None, validation_loss_fn=PLAIN, early_stopping=None)

"""What one batch with wrong answers does to a trained model, looked at on a copy."""

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from tiny_translators import PAD, TINY, model, same
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tx_utils import TokenCrossEntropy, Transformer, evaluate, train
from tx_utils.experiments import craft
from tx_utils.experiments.craft import after_bad_batch, batches_after
from tx_utils.experiments.translator import Translator
from tx_utils.tasks.translation import collate

SMALL = replace(TINY, dropout=0.1, label_smoothing=0.1)
SEED = 3
Run = tuple[Transformer, Optimizer, LRScheduler]


@pytest.fixture(autouse=True)
def five_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(craft, "STEPS_AFTER", 5)  # two epochs of three, the bad batch included


def trained(settings: Translator = SMALL) -> Run:
    pupil = model(settings)
    optimizer, schedule = settings.optimizer(pupil)
    settings.fit(pupil, SEED, optimizer=optimizer, schedule=schedule)
    return pupil, optimizer, schedule


def states(run: Run) -> Any:
    return copy.deepcopy([part.state_dict() for part in run])


# Oracle


def test_without_a_bad_batch_training_simply_goes_on() -> None:
    run = trained()
    torch.manual_seed(7)  # for dropout
    losses = after_bad_batch(SMALL, *run, SEED, bad=False)
    numbers, plain = SMALL.split(SEED), TokenCrossEntropy(ignore_index=PAD)
    validation = [collate(SMALL.task.pairs(numbers.validation))]
    expected = [evaluate(run[0], validation, plain)["loss"]]
    pupil, optimizer, schedule = run
    optimizer.register_step_post_hook(
        lambda *_: expected.append(evaluate(pupil, validation, plain)["loss"])
    )
    torch.manual_seed(7)
    loader = SMALL.loader(numbers.train, SEED)
    history = train(pupil, loader, optimizer, plain, epochs=2, schedule=schedule)
    assert history.steps == 6
    assert losses == expected
    assert len(set(losses)) == 7


# Property


@pytest.mark.parametrize("bad", [True, False])
def test_a_bad_batch_leaves_the_trained_model_as_it_is(bad: bool) -> None:
    run = trained()
    before, random = states(run), torch.get_rng_state()
    losses = after_bad_batch(SMALL, *run, SEED, bad=bad, clip_norm=0.5)
    assert same(states(run), before)
    assert torch.equal(torch.get_rng_state(), random)  # so that the next call drops out the same
    assert run[0].training
    assert len(losses) == 1 + 1 + 5
    assert all(left != right for left, right in pairwise(losses))
    (group,), weights = run[1].param_groups, run[0].parameters()
    assert all(ours is theirs for ours, theirs in zip(group["params"], weights, strict=True))


def test_a_bad_batch_is_worse_than_a_good_one() -> None:
    settings = replace(SMALL, limit=30, dropout=0.0, d_model=16, epochs=30)
    run = trained(settings)
    good = after_bad_batch(settings, *run, SEED, bad=False)
    bad = after_bad_batch(settings, *run, SEED)
    assert bad[0] == good[0]
    assert bad[1] != good[1]
    assert bad == after_bad_batch(settings, *run, SEED, bad=True)
    batch = batches_after(settings, settings.split(SEED).train, SEED, bad=True)[0]
    right = batches_after(settings, settings.split(SEED).train, SEED, bad=False)[0]
    loss_fn = TokenCrossEntropy(ignore_index=PAD)
    wrong_loss, right_loss = (evaluate(run[0], [x], loss_fn)["loss"] for x in (batch, right))
    assert wrong_loss > right_loss + 1.0


def test_steps_after_a_bad_batch_are_no_longer_than_allowed() -> None:
    """Adam would make up for a short gradient; plain descent shows it."""
    pupil = model(replace(SMALL, dropout=0.0))
    sgd = SGD(pupil.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.ConstantLR(sgd, factor=1.0, total_iters=0)
    losses: dict[float | None, list[float]] = {}
    train(pupil, SMALL.loader([7, 45], 0), sgd, TokenCrossEntropy(), epochs=1, schedule=schedule)
    for clip_norm in (None, 1e-6):
        losses[clip_norm] = after_bad_batch(SMALL, pupil, sgd, schedule, SEED, clip_norm=clip_norm)
    assert max(losses[1e-6]) - min(losses[1e-6]) < 1e-4
    assert all(abs(a - b) > 1e-3 for a, b in pairwise(losses[None]))


def test_a_bad_batch_pairs_every_question_with_anothers_answer() -> None:
    numbers = SMALL.split(SEED).train
    asked = {tuple(source.tolist()): n for n in numbers for source in [SMALL.task.pair(n)[0]]}
    answers = {tuple(target[1:].tolist()): n for n in numbers for target in [SMALL.task.pair(n)[1]]}

    def known(ids: Tensor, names: dict[tuple[int, ...], int]) -> list[int]:
        return [names[tuple(token for token in row if token != PAD)] for row in ids.tolist()]

    bad = batches_after(SMALL, numbers, SEED, bad=True)
    good = batches_after(SMALL, numbers, SEED, bad=False)
    assert len(bad) == len(good) == 6
    questions, wrong = known(bad[0][0], asked), known(bad[0][2], answers)
    assert sorted(questions) == sorted(wrong)
    assert all(question != answer for question, answer in zip(questions, wrong, strict=True))
    assert torch.equal(bad[0][1], good[0][1])
    assert torch.equal(bad[0][2], good[0][2])
    for source, _, labels in good:
        assert known(source, asked) == known(labels, answers)
    assert same(bad[1:], good[1:])
    loader = SMALL.loader(numbers, SEED)
    assert same(
        [list(batch) for batch in good], [list(batch) for _ in range(2) for batch in loader]
    )

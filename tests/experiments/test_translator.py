"""The translator of lessons 07 and 08: every setting reaches what it names."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_translators import PAD, TINY, model
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import SGD

from tx_utils import TransformerConfig
from tx_utils.experiments import translator
from tx_utils.experiments.translator import SCHEDULES, Translator
from tx_utils.tasks.translation import NumberTranslation, Pair, collate
from tx_utils.training import EarlyStopping

# Oracle


def test_the_config_has_the_settings_sizes() -> None:
    settings = replace(TINY, num_layers=3, dropout=0.25)
    words = [len(settings.task.source_vocabulary), len(settings.task.target_vocabulary)]
    assert words[0] != words[1]
    expected = TransformerConfig(words[0], words[1], 6, 2, 3, 5, 52, dropout=0.25, pad_id=PAD)
    assert settings.config == expected
    assert not settings.config.norm_first


def test_the_task_is_the_settings() -> None:
    settings = replace(TINY, zeros=0.9)
    assert settings.task == NumberTranslation("English", "German", limit=300, zeros=0.9)
    assert TINY.task == NumberTranslation("English", "German", limit=300)
    assert sum(settings.split(0).train) < sum(TINY.split(0).train) / 2


def rate(schedule: str, step: int, total: int) -> float:
    """The learning rate in a step, counted from 1."""
    peak, warmup = TINY.learning_rate, TINY.warmup_steps
    if schedule == "constant":
        return peak
    if step <= warmup:
        return peak * step / warmup
    if schedule == "inverse sqrt":
        return peak * math.sqrt(warmup / step)
    progress = (step - warmup) / (total - warmup)
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_schedule_is_its_curve(schedule: str) -> None:
    settings = replace(TINY, schedule=schedule)
    history = settings.fit(model(), 0)
    expected = [rate(schedule, step, 9) for step in range(1, 10)]
    assert history.learning_rate == pytest.approx(expected)
    assert len(set(expected)) == (1 if schedule == "constant" else 9)
    if schedule == "cosine":
        assert history.learning_rate[-1] == pytest.approx(0.02 * TINY.learning_rate)


def test_the_optimizer_is_the_paper_s_adam() -> None:
    pupil = model()
    adam, schedule = TINY.optimizer(pupil)
    assert type(adam) is torch.optim.Adam
    (group,) = adam.param_groups
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.98), 1e-9, 0)
    assert {id(weight) for weight in group["params"]} == {id(w) for w in pupil.parameters()}
    assert schedule.optimizer is adam
    assert schedule.base_lrs == [TINY.learning_rate]


def smoothed(logits: Tensor, labels: Tensor, smoothing: float) -> float:
    """Mean over the tokens that are no padding, by hand."""
    log_probs = logits.log_softmax(dim=-1)
    right = -log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    each = (1 - smoothing) * right - smoothing * log_probs.mean(dim=-1)
    return each[labels != PAD].mean().item()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_training_is_smoothed_and_validation_is_not(smoothing: float) -> None:
    settings, pupil, numbers = replace(TINY, label_smoothing=smoothing), model(), TINY.split(3)
    source, decoder_input, labels = next(iter(settings.loader(numbers.train, 3)))
    first = smoothed(pupil(source, decoder_input), labels, smoothing)
    history = settings.fit(pupil, 3)
    assert history.step_loss[0] == pytest.approx(first, rel=1e-5)
    source, decoder_input, labels = collate(settings.task.pairs(numbers.validation))
    assert (labels == PAD).any()
    last = smoothed(pupil.eval()(source, decoder_input), labels, 0.0)
    assert history.validation_loss[-1] == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_gradients_are_clipped_if_the_settings_say_so(clip_norm: float | None) -> None:
    pupil = model()
    before = parameters_to_vector(pupil.parameters()).detach().clone()
    steps: list[Tensor] = []
    sgd = SGD(pupil.parameters(), lr=0.5)
    sgd.register_step_post_hook(
        lambda *_: steps.append(parameters_to_vector(pupil.parameters()).detach().clone())
    )
    history = replace(TINY, clip_norm=clip_norm).fit(pupil, 0, optimizer=sgd)
    length = (steps[0] - before).norm().item()
    assert history.grad_norm[0] > 0.1
    assert length == pytest.approx(0.5 * (clip_norm or history.grad_norm[0]), rel=1e-3)
    assert history.learning_rate == [0.5] * 9  # no schedule came with it


def test_a_given_schedule_is_followed() -> None:
    pupil = model()
    adam, schedule = replace(TINY, schedule="constant").optimizer(pupil)
    history = TINY.fit(pupil, 0, optimizer=adam, schedule=schedule)
    assert history.learning_rate == [TINY.learning_rate] * 9
    assert schedule.last_epoch == 9


def test_dropout_is_the_settings() -> None:
    probabilities = {
        module.p
        for module in model(replace(TINY, dropout=0.375)).modules()
        if isinstance(module, torch.nn.Dropout)
    }
    assert 0.375 in probabilities
    assert probabilities <= {0.0, 0.375}  # none within the feed-forward networks
    plain = Translator(limit=9, train_size=1, epochs=1, learning_rate=1.0, warmup_steps=1)
    assert (plain.dropout, plain.label_smoothing) == (0.1, 0.1)  # the paper's


@pytest.mark.parametrize("decay", [0.25, 0.98])
def test_the_average_decays_as_the_settings_say(decay: float) -> None:
    settings, pupil = replace(TINY, average_decay=decay), model()
    averaged = settings.average(pupil)
    steps: list[Tensor] = []
    adam, schedule = settings.optimizer(pupil)
    adam.register_step_post_hook(
        lambda *_: steps.append(parameters_to_vector(pupil.parameters()).detach().clone())
    )
    settings.fit(pupil, 0, optimizer=adam, schedule=schedule, averaged=averaged)
    expected = steps[0]
    for weights in steps[1:]:
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(parameters_to_vector(averaged.module.parameters()), expected)


@pytest.mark.parametrize(("train_size", "batch_size"), [(11, 4), (12, 4), (3, 4), (5, 1)])
def test_total_steps_are_those_of_a_run(train_size: int, batch_size: int) -> None:
    settings = replace(TINY, train_size=train_size, batch_size=batch_size, epochs=2)
    assert settings.total_steps == settings.fit(model(), 0).steps


# Property


def test_another_seed_draws_other_numbers() -> None:
    one, other = TINY.split(0), TINY.split(1)
    assert TINY.split(0) == one == TINY.task.split(train=11, validation=5, test=7, seed=0)
    assert [len(part) for part in one] == [11, 5, 7]
    assert set(one.train) != set(other.train)
    assert set(one.test) != set(other.test)


def epoch(loader: Any) -> list[list[list[list[int]]]]:
    return [[part.tolist() for part in batch] for batch in loader]


def test_batches_are_shuffled_by_the_seed_alone() -> None:
    numbers = list(range(11))
    loader = TINY.loader(numbers, 5)
    torch.manual_seed(1)
    first, second = epoch(loader), epoch(loader)
    torch.manual_seed(2)
    again = TINY.loader(numbers, 5)
    assert [epoch(again), epoch(again)] == [first, second]
    assert first != second
    assert epoch(TINY.loader(numbers, 6)) != first
    assert [len(source) for source, _, _ in first] == [4, 4, 3]
    firsts = [row[0] for source, _, _ in first for row in source]
    expected = [TINY.task.pair(number)[0][0].item() for number in numbers]
    assert firsts != expected
    assert sorted(firsts) == sorted(expected)


def test_a_batch_is_collated_pairs() -> None:
    numbers = [7, 123, 45]
    pairs: list[Pair] = TINY.task.pairs(numbers)
    (batch,) = TINY.loader(numbers, 0)
    rows = {tuple(row) for row in batch[0].tolist()}
    assert rows == {tuple(row) for row in collate(pairs)[0].tolist()}
    assert all(
        batch[1][row, 1:].eq(batch[2][row, :-1]).logical_or(batch[1][row, 1:].eq(PAD)).all()
        for row in range(3)
    )


def test_training_depends_on_its_seed_and_its_training_numbers() -> None:
    runs = [TINY.fit(model(), seed).step_loss for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_more_options_reach_the_training() -> None:
    stopping = EarlyStopping(patience=1, min_delta=100.0)  # only the first epoch is good enough
    history = TINY.fit(model(), 0, early_stopping=stopping, label="a label")
    assert history.epochs == 2
    assert stopping.best_loss == history.validation_loss[0]


# Border


def test_an_unknown_schedule_is_refused() -> None:
    message = "^schedule must be one of constant, inverse sqrt, cosine, got 'linear'$"
    with pytest.raises(ValueError, match=message):
        replace(TINY, schedule="linear")
    assert translator.SCHEDULES == ("constant", "inverse sqrt", "cosine")

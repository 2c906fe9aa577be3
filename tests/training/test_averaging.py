"""The running average of the weights: right after every step, and never in the way of the run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from toy_runs import FEATURES, KINDS, PLACES, Alarm, ToyRun, plain, toy_run

from tx_utils import EarlyStopping, load_checkpoint, save_checkpoint, seed_everything
from tx_utils.training.environment import random_state

DECAY = 0.75


def average(model: nn.Module) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))


def averaged_run(
    kind: str = "global", alarm: Alarm | None = None, *, seed: int = 0
) -> tuple[ToyRun, AveragedModel]:
    run = toy_run(kind, alarm, seed=seed)
    return run, average(run.model)


def parts(run: ToyRun, averaged: AveragedModel) -> tuple[Any, ...]:
    """What a checkpoint keeps, in the order of its arguments."""
    return *run.parts(), averaged


def state(run: ToyRun, averaged: AveragedModel) -> tuple[Any, ...]:
    return run.state(), plain(averaged.state_dict())


def whole(kind: str) -> tuple[Any, ...]:
    """A run of two epochs that nobody interrupts."""
    run, averaged = averaged_run(kind)
    run.train(2, averaged=averaged)
    return state(run, averaged)


def record_steps(run: ToyRun) -> list[list[Tensor]]:
    """A list that gets a copy of all weights after each optimizer step."""
    steps: list[list[Tensor]] = []

    def note(*_: object) -> None:
        steps.append([weight.detach().clone() for weight in run.model.parameters()])

    run.optimizer.register_step_post_hook(note)
    return steps


# Oracle


@pytest.mark.parametrize("kind", KINDS)
def test_the_average_is_the_moving_one_over_the_weights_after_each_step(kind: str) -> None:
    run, averaged = averaged_run(kind)
    steps = record_steps(run)
    run.train(3, averaged=averaged)
    expected = steps[0]
    for weights in steps[1:]:
        pairs = zip(expected, weights, strict=True)
        expected = [DECAY * old + (1 - DECAY) * new for old, new in pairs]
    for ours, theirs in zip(averaged.module.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, last in zip(averaged.module.parameters(), steps[-1], strict=True):
        assert (ours - last).abs().max() > 1e-3
    assert int(averaged.n_averaged) == len(steps) == run.history.steps >= 6


# Property


@pytest.mark.parametrize("kind", KINDS)
def test_averaging_changes_nothing_else_about_a_run(kind: str) -> None:
    run, averaged = averaged_run(kind)
    run.train(3, averaged=averaged)
    without = toy_run(kind)
    without.train(3)
    assert run.state() == without.state()
    assert run.history.step_loss == without.history.step_loss
    assert run.history.validation_loss == without.history.validation_loss


def test_going_back_to_the_best_epoch_leaves_the_average_at_the_last_step() -> None:
    run, averaged = averaged_run("own")
    stopping = EarlyStopping(patience=2, min_delta=100.0)  # the first epoch stays the best
    run.train(9, averaged=averaged, early_stopping=stopping)
    assert run.history.epochs == 3
    same, other = averaged_run("own")
    same.train(3, averaged=other, early_stopping=None)
    assert plain(run.model.state_dict()) != plain(same.model.state_dict())
    assert plain(averaged.state_dict()) == plain(other.state_dict())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_goes_on_to_the_same_average(kind: str, place: str) -> None:
    counting = Alarm(place)
    averaged_run(kind, counting)[0].train(2)
    expected = whole(kind)
    for call in range(1, counting.calls + 1):
        run, averaged = averaged_run(kind, Alarm(place, call))
        with pytest.raises(KeyboardInterrupt):
            run.train(2, averaged=averaged)
        assert int(averaged.n_averaged) == run.history.steps
        seed_everything(99)
        run.train(2, averaged=averaged)
        assert state(run, averaged) == expected, f"interrupted in {place} number {call}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumed_from_its_file_has_the_same_average(tmp_path: Path, kind: str) -> None:
    expected, path = whole(kind), tmp_path / "run.pt"
    run, averaged = averaged_run(kind)
    run.train(1, averaged=averaged, checkpoint=path)
    later, again = averaged_run(kind, seed=1)
    load_checkpoint(path, *parts(later, again))
    assert state(later, again) == state(run, averaged)
    assert int(again.n_averaged) == run.history.steps > 0
    later.train(2, averaged=again)
    assert state(later, again) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_saved_in_the_middle_of_an_epoch_has_the_same_average(
    tmp_path: Path, kind: str
) -> None:
    expected, path = whole(kind), tmp_path / "run.pt"
    steps_an_epoch = len(toy_run(kind).loader)
    for call in (1, 2, steps_an_epoch + 2):
        run, averaged = averaged_run(kind, Alarm("forward", call))
        with pytest.raises(KeyboardInterrupt):
            run.train(2, averaged=averaged)
        save_checkpoint(path, *parts(run, averaged))
        later, again = averaged_run(kind, seed=1)
        load_checkpoint(path, *parts(later, again))
        later.train(2, averaged=again)
        assert state(later, again) == expected, f"saved in step {call}"


def test_saving_keeps_a_copy_of_the_average(tmp_path: Path) -> None:
    run, averaged = averaged_run()
    run.train(1, averaged=averaged)
    save_checkpoint(tmp_path / "run.pt", *parts(run, averaged))
    before = plain(averaged.state_dict())
    run.train(2, averaged=averaged)
    assert plain(averaged.state_dict()) != before
    load_checkpoint(tmp_path / "run.pt", run.model, averaged=averaged)
    assert plain(averaged.state_dict()) == before


# Border


def test_a_step_that_diverges_is_not_averaged() -> None:
    run, averaged = averaged_run("own")
    steps = record_steps(run)

    def spoil(optimizer: Optimizer, *_: object) -> None:
        if len(steps) == 2:
            optimizer.param_groups[0]["lr"] = 1e30

    run.optimizer.register_step_post_hook(spoil)
    history = run.train(2, averaged=averaged, schedule=None, on_divergence="stop")
    assert history.diverged_at == history.steps + 1
    assert int(averaged.n_averaged) == history.steps == len(steps) == 3


def assert_nothing_loaded(path: Path, run: ToyRun, averaged: AveragedModel, *words: str) -> None:
    before = state(run, averaged), plain(random_state())
    with pytest.raises(ValueError, match=path.name) as caught:
        load_checkpoint(path, *parts(run, averaged))
    for word in words:
        assert word in str(caught.value)
    assert (state(run, averaged), plain(random_state())) == before


def test_the_average_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    run, averaged = averaged_run("own")
    run.train(1, averaged=averaged, checkpoint=path)
    later, _ = averaged_run("own", seed=1)
    later.train(1)
    wider = nn.Sequential(nn.Linear(FEATURES, 11), nn.Dropout(0.3), nn.Linear(11, 5))
    shapes = (
        "module.0.bias: file (7,), average (11,); module.0.weight: file (7, 3), average (11, 3)"
    )
    assert_nothing_loaded(path, later, average(wider), "belongs to another average", shapes)
    longer = average(nn.Sequential(*later.model, nn.Linear(5, 2)))
    assert_nothing_loaded(path, later, longer, "module.3.weight: file None, average (2, 5)")


def test_a_file_without_an_average_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    toy_run("own").train(1, checkpoint=path)
    later, averaged = averaged_run("own", seed=1)
    later.train(1, averaged=averaged)
    message = f"{path} holds no averaged, but one was given to load into"
    assert_nothing_loaded(path, later, averaged, message)


def test_an_average_in_the_file_may_be_left_there(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    run, averaged = averaged_run("own")
    run.train(1, averaged=averaged, checkpoint=path)
    later = toy_run("own", seed=1)
    load_checkpoint(path, *later.parts())
    assert later.state() == run.state()


@pytest.mark.parametrize("width", [5, 11])
def test_an_average_of_another_model_is_refused_before_the_first_step(width: int) -> None:
    run, _ = averaged_run("own")
    other = nn.Sequential(nn.Linear(FEATURES, width), nn.Dropout(0.3), nn.Linear(width, 5))
    before = run.state()
    with pytest.raises(ValueError, match=r"^averaged must be an average of the model, got one of"):
        run.train(1, averaged=average(other))
    assert run.state() == before


def test_an_average_that_has_seen_another_run_is_refused() -> None:
    run, averaged = averaged_run("own")
    steps = run.train(1, averaged=averaged).steps
    message = rf"^averaged must be fresh at the start of a run, got one of {steps} steps for a "
    with pytest.raises(ValueError, match=message + r"history of 0$"):
        averaged_run("own")[0].train(1, averaged=averaged)

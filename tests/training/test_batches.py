"""An epoch's batches: the same ones in the same order, also when taken in two goes."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from toy_runs import FreshSamples, plain

from tx_utils import History
from tx_utils.training.batches import (
    Batch,
    count_targets,
    note_shuffling,
    on_device,
    remaining_batches,
)


def loader_of(count: int, own_generator: bool) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(3) if own_generator else None
    return DataLoader(TensorDataset(torch.arange(count)), 2, shuffle=True, generator=generator)


def take_step(history: History) -> None:
    history.add_step(1.0, targets=2, learning_rate=0.1, grad_norm=1.0, seconds=0.1)
    history.random_state["step_end"] = torch.get_rng_state()


@pytest.mark.parametrize("own_generator", [False, True])
def test_an_epochs_batches_are_those_of_the_loader(own_generator: bool) -> None:
    torch.manual_seed(7)
    expected = plain(list(loader_of(11, own_generator)))
    torch.manual_seed(7)
    assert plain(list(remaining_batches(loader_of(11, own_generator), History()))) == expected


@pytest.mark.parametrize("own_generator", [False, True])
@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 13), data=st.data())
def test_two_goes_give_the_batches_and_the_draws_of_one(
    own_generator: bool, count: int, data: st.DataObject
) -> None:
    loader, history = loader_of(count, own_generator), History()
    first_go = data.draw(st.integers(0, len(loader)))
    torch.manual_seed(count)
    batches = remaining_batches(loader, history)
    order = []
    for _ in range(first_go):
        order.append(next(batches))
        torch.rand(5)  # a step's dropout
        take_step(history)
    expected_draw = torch.rand(3)  # drawn in the middle of a step
    expected = plain(order + list(batches))

    torch.manual_seed(99)
    batches = remaining_batches(loader, history)
    assert torch.equal(torch.rand(3), expected_draw)
    assert plain(order + list(batches)) == expected


def test_a_new_epoch_has_a_new_order() -> None:
    for own_generator in (False, True):
        loader, history = loader_of(23, own_generator), History()
        first = plain(list(remaining_batches(loader, history)))
        take_step(history)
        history.close_epoch({})
        assert plain(list(remaining_batches(loader, history))) != first


def test_fresh_samples_are_told_the_epoch_before_it_begins() -> None:
    dataset, history = FreshSamples(seed=1), History()
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=None)
    for epoch in range(3):
        batches = plain(list(remaining_batches(loader, history)))
        other = FreshSamples(seed=1)
        other.set_epoch(epoch)
        assert (dataset.epoch, batches) == (epoch, plain(list(other)))
        take_step(history)
        history.close_epoch({})


class Scale(nn.Module):
    """A model without parameters."""


def test_batches_go_to_where_the_model_is() -> None:
    source: list[Batch] = [(torch.ones(2), torch.ones(3), torch.ones(5))]
    for model, device in ((nn.Linear(2, 3, device="meta"), "meta"), (Scale(), "cpu")):
        ((*inputs, target),) = on_device(source, model)
        assert {tensor.device.type for tensor in (*inputs, target)} == {device}
        assert [tensor.numel() for tensor in (*inputs, target)] == [2, 3, 5]


def test_a_model_without_parameters_reads_its_batches_on_the_cpu() -> None:
    class Traveller:
        """Tells where it was sent."""

        def to(self, device: torch.device) -> torch.device:
            return device

    batch: Any = (Traveller(), Traveller())
    sent: list[Any] = list(on_device([batch], Scale()))
    assert sent == [[torch.device("cpu")] * 2]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=13), st.integers(0, 4))
def test_ignored_targets_do_not_count(ids: list[int], ignored: int) -> None:
    target = torch.tensor(ids)
    assert count_targets(nn.CrossEntropyLoss(ignore_index=ignored), target) == sum(
        token != ignored for token in ids
    )
    assert count_targets(nn.MSELoss(), target) == len(ids)


def test_the_loader_itself_may_be_any_iterable() -> None:
    def plain_loss(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs().mean()

    batches: list[Batch] = [(torch.ones(2), torch.ones(2, 3))] * 2
    assert len(list(remaining_batches(batches, History()))) == 2
    assert count_targets(plain_loss, batches[0][-1]) == 6


def test_a_loader_that_does_not_shuffle_may_follow_one_that_does() -> None:
    shuffling, history = loader_of(5, own_generator=True), History()
    list(remaining_batches(shuffling, history))
    take_step(history)
    history.close_epoch({})
    note_shuffling(shuffling, history)
    batches: list[Batch] = [(torch.ones(2), torch.ones(2))] * 3
    assert len(list(remaining_batches(batches, history))) == 3


def test_a_loader_that_got_shorter_meanwhile_is_named_in_the_error() -> None:
    history = History()
    for _ in range(3):
        take_step(history)
    message = (
        "the data loader has fewer batches than the 3 steps that its current epoch "
        "had before the interruption: go on with the same data"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        remaining_batches([(torch.ones(2), torch.ones(2))] * 2, history)

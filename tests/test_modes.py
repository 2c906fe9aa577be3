"""Observing a model, and storing it otherwise: everything is back after the block."""

import pytest
import torch
from torch import nn

from tx_utils._modes import observed, stored_by_columns


def dropout_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 5), nn.Sequential(nn.Dropout(0.5)))


# Property


@pytest.mark.parametrize("training", [True, False])
def test_dropout_and_gradients_are_off_inside_and_the_mode_is_back_after(training: bool) -> None:
    model, x = dropout_model().train(training), torch.ones(1, 3)
    with observed(model):
        assert not any(part.training for part in model.modules())
        assert not torch.is_grad_enabled()
        output = model(x)
        assert not output.requires_grad
        assert torch.equal(output, model[0](x))
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()
    assert model(x).requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_an_error_passes_through_and_leaves_the_mode_as_it_was(training: bool) -> None:
    model = dropout_model().train(training)
    with pytest.raises(KeyError, match="inside"), observed(model):
        raise KeyError("inside")
    assert all(part.training is training for part in model.modules())
    assert torch.is_grad_enabled()


def test_blocks_may_stand_inside_each_other() -> None:
    model = dropout_model()
    with observed(model):
        with observed(model):
            assert not model.training
        assert not model.training
        assert not torch.is_grad_enabled()
    assert model.training
    assert torch.is_grad_enabled()


def test_who_records_no_gradients_outside_records_none_after() -> None:
    with torch.no_grad():
        with observed(dropout_model()):
            pass
        assert not torch.is_grad_enabled()


def test_a_part_that_was_kept_from_training_stays_so() -> None:
    model = dropout_model().train()
    model[1].eval()
    with observed(model):
        pass
    assert [model.training, model[0].training, model[1].training] == [True, True, False]


def tied_model() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 3), nn.Linear(3, 5), nn.LayerNorm(5))
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize("fails", [False, True])
def test_matrices_lie_by_columns_inside_and_are_the_same_memory_after(fails: bool) -> None:
    model, x = tied_model(), torch.randn(2, 3)
    before = {name: (value, value.clone()) for name, value in model.state_dict().items()}
    places = {name: value.data_ptr() for name, value in model.state_dict().items()}
    expected = model(x)
    try:
        with stored_by_columns(model):
            for linear in list(model)[:3]:
                assert isinstance(linear, nn.Linear)
                assert linear.weight.stride() == (1, linear.out_features)
            assert model[2].weight is model[0].weight
            torch.testing.assert_close(model(x), expected)
            for name, value in model.state_dict().items():
                assert torch.equal(value, before[name][1])
            if fails:
                raise KeyError("inside")
    except KeyError:
        assert fails
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == places
    assert all(value.is_contiguous() for value, _ in before.values())
    assert torch.equal(model(x), expected)
    assert model[0].weight.requires_grad


def test_blocks_of_columns_may_stand_inside_each_other() -> None:
    linear = nn.Linear(3, 5)
    with stored_by_columns(linear):
        with stored_by_columns(linear):
            assert linear.weight.stride() == (1, 5)
        assert linear.weight.stride() == (1, 5)
    assert linear.weight.is_contiguous()

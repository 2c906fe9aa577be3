"""The model of lessons 02 and 04: what is held reaches the answer through the weights alone."""

import math

import pytest
import torch
from torch import Tensor, nn

from tx_utils import FeedForward
from tx_utils.experiments.directory import DirectoryModel

B, T, D_MODEL, NUM_NAMES, NUM_OUTPUTS, NUM_DIGITS = 3, 5, 12, 7, 2, 11


def directory(num_heads: int = 2, after: nn.Module | None = None) -> DirectoryModel:
    torch.manual_seed(0)
    return DirectoryModel(
        nn.Embedding(NUM_DIGITS, D_MODEL),
        NUM_NAMES,
        NUM_OUTPUTS,
        d_model=D_MODEL,
        num_heads=num_heads,
        after=after,
    )


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    names = torch.rand(B, NUM_NAMES, generator=generator).argsort(dim=-1)
    held = torch.randint(NUM_DIGITS, (B, T), generator=generator)
    return names[:, :2], names[:, :T], held


# Oracle


@pytest.mark.parametrize("num_heads", [1, 2, 3])
@pytest.mark.parametrize("after", [None, FeedForward(D_MODEL, 5)], ids=["plain", "feed-forward"])
def test_the_answer_is_a_weighted_mean_of_what_is_held_read_off(
    num_heads: int, after: nn.Module | None
) -> None:
    model = directory(num_heads, after)
    asked, names, held = inputs()
    answer, weights = model(asked, names, held), model.weights(asked, names)
    assert answer.shape == (B, NUM_OUTPUTS)
    assert weights.shape == (B, num_heads, 1, T)
    attention, width = model.attention, D_MODEL // num_heads
    for b in range(B):
        first, second = asked[b].tolist()
        question = attention.query_proj(model.first.weight[first] + model.second.weight[second])
        keys = attention.key_proj(model.name.weight[names[b]])
        values = attention.value_proj(model.held(held[b]))
        found = []
        for head in range(num_heads):
            cut = slice(head * width, (head + 1) * width)
            row = (keys[:, cut] @ question[cut] / math.sqrt(width)).softmax(dim=0)
            torch.testing.assert_close(weights[b, head, 0], row)
            found.append(row @ values[:, cut])
        vector = attention.out_proj(torch.cat(found))
        vector = vector if after is None else after(vector)
        torch.testing.assert_close(answer[b], model.readout(vector))


# Property


def test_where_it_looks_hangs_on_the_names_alone() -> None:
    model = directory()
    asked, names, held = inputs()
    torch.testing.assert_close(model.weights(asked, names).sum(dim=-1), torch.ones(B, 2, 1))
    assert not torch.equal(model(asked, names, held), model(asked, names, held.roll(1)))
    assert not torch.allclose(model.weights(asked, names), model.weights(asked.flip(1), names))
    assert not torch.allclose(model.weights(asked, names), model.weights(asked, names.flip(1)))


def test_the_same_held_everywhere_makes_question_and_names_unimportant() -> None:
    """No path leads around the weights: a mean of equal values is that value."""
    model = directory()
    asked, names, _ = inputs()
    same = torch.full((B, T), 4)
    answer = model(asked, names, same)
    torch.testing.assert_close(answer, answer[:1].expand_as(answer))
    torch.testing.assert_close(model(asked.flip(1), names.flip(1), same), answer)


def test_the_order_of_the_entries_means_nothing() -> None:
    model = directory()
    asked, names, held = inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    answer = model(asked, names, held)
    torch.testing.assert_close(model(asked, names[:, order], held[:, order]), answer)
    assert not torch.allclose(model(asked, names[:, order], held), answer)


def test_first_and_second_are_told_apart() -> None:
    model = directory()
    asked, names, held = inputs()
    assert not torch.allclose(model(asked, names, held), model(asked.flip(1), names, held))


def test_a_gradient_reaches_every_parameter_but_the_key_bias() -> None:
    model = directory(after=FeedForward(D_MODEL, 5))
    model(*inputs()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        size = parameter.grad.abs().max()
        assert size < 1e-6 if name == "attention.key_proj.bias" else size > 1e-4

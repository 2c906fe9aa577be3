"""Bits per character: every token counted once, each with the context that the windows promise."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils.bits import bits_per_character, token_nats

V = 7


class Remembers(nn.Module):
    """A language model whose scores hang on all tokens before, so that a cut shows."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.table = nn.Embedding(V, V)
        self.widths: list[int] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.widths.append(tokens.size(1))
        return self.dropout(self.table(tokens)).cumsum(dim=1)


@pytest.fixture
def model() -> Remembers:
    torch.manual_seed(0)
    return Remembers()


def text(length: int) -> Tensor:
    return torch.randint(V, (length,), generator=torch.Generator().manual_seed(1))


def nats_after(model: Remembers, tokens: Tensor, first: int, place: int) -> float:
    """What one token costs a model that has read from `first` up to it."""
    logits = model.eval()(tokens[None, first:place])[0, -1]
    return F.cross_entropy(logits, tokens[place]).item()


# Oracle


def test_one_window_is_the_plain_cross_entropy(model: Remembers) -> None:
    tokens = text(11)
    nats = token_nats(model, tokens, context=10)
    expected = [nats_after(model, tokens, 0, place) for place in range(1, 11)]
    assert nats.tolist() == pytest.approx([math.log(V), *expected], rel=1e-5)


@pytest.mark.parametrize(("context", "stride"), [(5, 2), (5, 5), (5, 1), (6, None), (1, None)])
@pytest.mark.parametrize("length", [2, 7, 13, 17])
def test_each_token_reads_the_window_that_counts_it(
    model: Remembers, length: int, context: int, stride: int | None
) -> None:
    tokens, step = text(length), stride or max(1, context // 2)
    nats = token_nats(model, tokens, context=context, stride=stride)
    assert nats.shape == (length,)
    assert nats[0] == pytest.approx(math.log(V))
    for place in range(1, length):
        # The first window that reaches the token; the last one begins early enough to be whole.
        first = -(-max(0, place - context) // step) * step
        first = max(0, min(first, length - 1 - context))
        expected = nats_after(model, tokens, first, place)
        assert nats[place].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert place - first >= min(place, context - step + 1)


def test_bits_are_nats_over_ln_2_and_characters() -> None:
    nats = torch.tensor([1.0, 2.0, 4.0])
    assert bits_per_character(nats, "größe") == pytest.approx(7 / math.log(2) / 5)


# Property


@settings(deadline=None)
@given(length=st.integers(2, 40), context=st.integers(1, 12), stride=st.integers(1, 12))
def test_a_model_without_memory_costs_the_same_in_any_windows(
    length: int, context: int, stride: int
) -> None:
    torch.manual_seed(0)
    model, tokens = nn.Embedding(V, V), text(length)
    nats = token_nats(model, tokens, context=context, stride=min(stride, context))
    expected = F.cross_entropy(model(tokens[:-1]), tokens[1:], reduction="none")
    assert nats[1:].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_nothing_is_learned_and_the_modes_come_back(model: Remembers) -> None:
    model.table.eval()
    nats = token_nats(model, text(13), context=5)
    assert not nats.requires_grad
    assert [module.training for module in (model, model.dropout, model.table)] == [
        True,
        True,
        False,
    ]
    assert torch.equal(nats, token_nats(model, text(13), context=5))  # dropout was off


def test_no_window_is_longer_than_the_context(model: Remembers) -> None:
    token_nats(model, text(13), context=5)
    assert set(model.widths) == {5}
    model.widths.clear()
    token_nats(model, text(4), context=5)
    assert model.widths == [3]


# Border


@pytest.mark.parametrize(
    ("tokens", "options", "message"),
    [
        (text(1), {}, "tokens must have shape (N,) with N >= 2, got (1,)"),
        (text(4)[None], {}, "tokens must have shape (N,) with N >= 2, got (1, 4)"),
        (text(4), {"context": 0}, "context must be a positive integer, got 0"),
        (text(4), {"stride": 0}, "stride must be a positive integer, got 0"),
        (text(4), {"stride": 6}, "stride must be at most context (5), got 6"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    model: Remembers, tokens: Tensor, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        token_nats(model, tokens, **{"context": 5, **options})
    assert token_nats(model, text(2), context=5, stride=5).shape == (2,)


def test_an_empty_text_has_no_bits_per_character() -> None:
    with pytest.raises(ValueError, match=r"^text must have at least one character, got none$"):
        bits_per_character(torch.zeros(0), "")

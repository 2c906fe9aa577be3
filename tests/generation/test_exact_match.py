"""Exact match: a row is right when every token is, the end token included."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tx_utils import exact_match

PAD, END = 3, 4

some_rows = st.lists(st.lists(st.sampled_from([0, 1]), max_size=2), min_size=5, max_size=5)


def batch(rows: list[list[int]], *, spare: int) -> Tensor:
    """Rows and their ends, filled up to the longest and some more."""
    length = max(map(len, rows)) + 1 + spare
    return torch.tensor([[*row, END] + [PAD] * (length - len(row) - 1) for row in rows])


# Oracle


@given(written=some_rows, wanted=some_rows, spare=st.integers(0, 3), other=st.integers(0, 3))
def test_rows_match_when_the_words_do_however_far_they_are_padded(
    written: list[list[int]], wanted: list[list[int]], spare: int, other: int
) -> None:
    found = exact_match(batch(written, spare=spare), batch(wanted, spare=other), pad_id=PAD)
    assert found.dtype == torch.bool
    assert found.tolist() == [a == b for a, b in zip(written, wanted, strict=True)]


# Property


def test_what_was_cut_off_before_its_end_is_wrong() -> None:
    written, labels = torch.tensor([[1, 0]]), torch.tensor([[1, 0, END]])
    assert exact_match(written, labels, pad_id=PAD).tolist() == [False]
    assert exact_match(labels, written, pad_id=PAD).tolist() == [False]


def test_one_wrong_token_at_any_place_makes_the_row_wrong() -> None:
    labels = torch.tensor([[0, 1, 0, 1, END]])
    assert exact_match(labels, labels, pad_id=PAD).tolist() == [True]
    for place in range(5):
        written = labels.clone()
        written[0, place] = 5
        assert exact_match(written, labels, pad_id=PAD).tolist() == [False]


def test_nothing_is_edited() -> None:
    written, labels = torch.tensor([[1, END]]), torch.tensor([[1, 0, END]])
    before = written.clone(), labels.clone()
    exact_match(written, labels, pad_id=PAD)
    assert torch.equal(written, before[0])
    assert torch.equal(labels, before[1])


# Border


@pytest.mark.parametrize(
    ("written", "labels"), [((2, 3), (3, 3)), ((3,), (3,)), ((2, 3), (2,)), ((2,), (2, 3))]
)
def test_shapes_that_do_not_belong_together_are_refused(
    written: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    message = (
        f"written and labels must be (B, T) and (B, T') with one B, got {written} and {labels}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        exact_match(torch.ones(written), torch.ones(labels), pad_id=PAD)

"""Where English and German change places, and whether a model looks there."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

from tx_utils import Transformer, TransformerConfig
from tx_utils.experiments.translation import Swap, crossing, swaps
from tx_utils.tasks.number_words import ENGLISH_SMALL, ENGLISH_TENS, GERMAN_SMALL, GERMAN_TENS
from tx_utils.tasks.translation import NumberTranslation, collate

TASK = NumberTranslation()
HEADS = 4


def from_digits(number: int) -> Iterator[Swap]:
    """Count the words by the digits, without writing them."""
    read = written = 0  # words before the part at hand
    thousands, rest = divmod(number, 1000)
    for part, is_last in ((thousands, False), (rest, True)):
        hundreds, below = divmod(part, 100)
        if hundreds:
            read += 3 if below else 2  # "three hundred and", "three hundred"
            written += 2  # "drei hundert"
        elif is_last and thousands and below:
            read += 1  # "thousand and"
        swapped = below > 20 and below % 10 > 0
        if swapped:
            yield Swap(read, read + 1, written, written + 2)
        if part:
            read += (2 if swapped else 1 if below else 0) + 1  # "forty five thousand"
            written += (3 if swapped else 1 if below else 0) + 1


# Oracle


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, []),
        (7, []),
        (13, []),
        (40, []),
        (45, [(0, 1, 0, 2)]),  # forty five | fünf und vierzig
        (21, [(0, 1, 0, 2)]),  # twenty one | ein und zwanzig
        (105, []),  # one hundred and five | ein hundert fünf
        (145, [(3, 4, 2, 4)]),  # one hundred and forty five | ein hundert fünf und vierzig
        (6_045, [(3, 4, 2, 4)]),  # six thousand and forty five | sechs tausend fünf und vierzig
        (20_000, []),
        (20_345, [(5, 6, 4, 6)]),  # twenty thousand three hundred and forty five
        (45_067, [(0, 1, 0, 2), (4, 5, 4, 6)]),  # ... thousand and sixty seven
        (345_067, [(3, 4, 2, 4), (7, 8, 6, 8)]),
    ],
)
def test_swaps_are_where_the_words_say(number: int, expected: list[tuple[int, ...]]) -> None:
    assert swaps(TASK, number) == [Swap(*places) for places in expected]


def test_swaps_are_where_the_digits_say() -> None:
    large = torch.randint(1_000_000, (500,), generator=torch.Generator().manual_seed(0)).tolist()
    corners = [999_999, 100_000, 100_021, 21_021, 21_000, 30_021, 900_090, 121_100]
    for number in chain(range(2000), large, corners):
        assert swaps(TASK, number) == list(from_digits(number)), number


def test_a_swap_names_the_words_that_mean_the_same() -> None:
    for number in (*range(2000), 45_067, 345_987):
        source, target = TASK.source_words(number), TASK.target_words(number)
        for swap in swaps(TASK, number):
            units = ENGLISH_SMALL.index(source[swap.source_units])
            assert GERMAN_SMALL[units] == target[swap.target_units]
            tens = ENGLISH_TENS.index(source[swap.source_tens])
            assert GERMAN_TENS[tens] == target[swap.target_tens]


# (number, position in the labels) -> position in the source: by hand, and counted from the front
CROSSED = {
    (45, 0): 1,
    (45, 2): 0,
    (6_045, 2): 4,
    (6_045, 4): 3,
    (45_067, 0): 1,
    (45_067, 2): 0,
    (45_067, 4): 5,
    (45_067, 6): 4,
}
DIAGONAL: dict[tuple[int, int], int] = {}
NUMBERS = [45, 6_045, 12, 45_067]


class Attentive(Transformer):
    """Its cross-attention is laid down beforehand; 0 stands for a glance straight ahead.

    The first head looks somewhere else, harder than each of the others: only the mean of all is
    as laid down.
    """

    def __init__(self, *layers: dict[tuple[int, int], int], numbers: list[int]) -> None:
        words = (len(TASK.source_vocabulary), len(TASK.target_vocabulary))
        super().__init__(TransformerConfig(*words, 8, HEADS, len(layers), 5, dropout=0.5))
        self.calls: list[tuple[bool, bool]] = []
        self.inputs: list[tuple[Tensor, ...]] = []
        self.register_forward_pre_hook(lambda _, given: self.inputs.append(given))
        stack: Any = self.decoder.layers
        for layer, looks_at in zip(stack, layers, strict=True):
            layer.cross_attention.weights = self.weights(looks_at, numbers)

    def weights(self, looks_at: dict[tuple[int, int], int], numbers: list[int]) -> Any:
        def laid_down(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
            self.calls.append((self.training, torch.is_grad_enabled()))
            weights = torch.zeros(len(numbers), HEADS, query.size(1), key.size(1))
            for row, number in enumerate(numbers):
                for place in range(query.size(1)):
                    right = looks_at.get((number, place), min(place, key.size(1) - 1))
                    weights[row, :, place] = 0.4 / (key.size(1) - 1)
                    weights[row, :, place, right] = 0.6
                    weights[row, 0, place] = 0.0
                    weights[row, 0, place, (right + 1) % key.size(1)] = 1.0
            return weights

        return laid_down


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([CROSSED], 1.0),
        ([DIAGONAL], 0.0),
        ([DIAGONAL, CROSSED], 1.0),
        ([CROSSED, DIAGONAL], 0.0),
        ([CROSSED, CROSSED, DIAGONAL], 0.0),
    ],
)
def test_crossing_is_what_the_last_layer_does(
    layers: list[dict[tuple[int, int], int]], expected: float
) -> None:
    assert crossing(Attentive(*layers, numbers=NUMBERS), TASK, NUMBERS) == expected


@pytest.mark.parametrize("missing", [*CROSSED])
def test_both_words_must_be_looked_at(missing: tuple[int, int]) -> None:
    looks_at = CROSSED | {missing: 6}  # of four swaps, one is half right
    assert crossing(Attentive(looks_at, numbers=NUMBERS), TASK, NUMBERS) == 0.75


# Property


def test_crossing_reads_the_true_pairs_and_leaves_the_model_as_it_was() -> None:
    model = Attentive(CROSSED, numbers=NUMBERS)
    crossing(model, TASK, NUMBERS)
    assert model.calls == [(False, False)]
    assert model.training
    (given,) = model.inputs
    source, decoder_input, _ = collate(TASK.pairs(NUMBERS))
    assert torch.equal(given[0], source)
    assert torch.equal(given[1], decoder_input)
    assert all(not module._forward_hooks for module in model.modules())


def test_numbers_without_a_swap_have_no_share() -> None:
    message = r"^no units and tens change places in these 3 numbers$"
    with pytest.raises(ValueError, match=message):
        crossing(Attentive({}, numbers=[7, 40, 600]), TASK, [7, 40, 600])

"""The digits: the file's sheets by their text, splits that share nothing, changes of pictures."""

import difflib
import math
import re
from collections import Counter
from itertools import pairwise

import pytest
import torch
from sklearn import datasets
from torch import Tensor

from sampling_checks import assert_the_generator_alone_decides
from tx_utils.tasks.digits import (
    CLASSES,
    FOLDS,
    SHEET_STARTS,
    SHEETS,
    Augmentation,
    DigitSampler,
    load_digits,
    split_digits,
    transform,
)

IMAGES, LABELS, SHEET_OF = load_digits()


def still(count: int = 1, **changes: Tensor) -> dict[str, Tensor]:
    """The arguments of `transform` that change nothing, but for those given."""
    zero = torch.zeros(count)
    unchanged = {"slant": zero, "degrees": zero, "scale": zero + 1, "shift": torch.zeros(count, 2)}
    return {**unchanged, **changes}


def picture(height: int = 5, width: int = 5, count: int = 1) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0))


# Oracle


def test_the_pictures_are_those_of_the_file() -> None:
    data = datasets.load_digits()
    assert IMAGES.shape == (1797, 1, 8, 8)
    assert IMAGES.dtype == torch.float32
    assert (16 * IMAGES).flatten(1).tolist() == data.data.tolist()
    assert LABELS.tolist() == data.target.tolist()
    assert (IMAGES.min().item(), IMAGES.max().item()) == (0, 1)
    assert set(LABELS.tolist()) == set(range(CLASSES))


def test_every_sheet_spells_the_same_text() -> None:
    """Fourteen times the text of 130 digits, with some missing: edits are rare and only losses."""
    text = "".join(map(str, LABELS[: SHEET_STARTS[1]].tolist()))
    assert len(text) == 130
    for sheet in range(SHEETS):
        spelt = "".join(map(str, LABELS[sheet == SHEET_OF].tolist()))
        blocks = difflib.SequenceMatcher(None, text, spelt, autojunk=False).get_matching_blocks()
        matched = sum(block.size for block in blocks)
        assert matched >= len(spelt) - 1  # one digit of one sheet stands where another should
        assert 120 < len(spelt) <= 130


def test_sheets_follow_each_other_in_the_file() -> None:
    assert len(SHEET_STARTS) == SHEETS == len(set(SHEET_OF.tolist()))
    changes = [n for n, (a, b) in enumerate(pairwise(SHEET_OF.tolist()), 1) if a != b]
    assert [0, *changes] == list(SHEET_STARTS)
    assert SHEET_OF.tolist() == sorted(SHEET_OF.tolist())


def test_pictures_of_one_sheet_are_alike_as_those_of_one_hand_would_be() -> None:
    """A picture's nearest neighbour stands on its own sheet 7 times as often as by chance."""
    flat = IMAGES.flatten(1)
    distances = torch.cdist(flat, flat).fill_diagonal_(math.inf)
    same_sheet = (SHEET_OF[distances.argmin(dim=1)] == SHEET_OF).float().mean()
    assert same_sheet > 7 / SHEETS


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_quarter_turn_is_torchs(turns: int) -> None:
    image = picture()
    turned = transform(image, **still(degrees=torch.tensor([90.0 * turns])))
    torch.testing.assert_close(turned, image.rot90(turns, dims=(2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 1), (3, -1)])
def test_a_move_by_whole_pixels_is_a_roll_that_leaves_white_behind(right: int, down: int) -> None:
    image = picture()
    moved = transform(image, **still(shift=torch.tensor([[right, down]]).float()))
    padded = torch.nn.functional.pad(image, (3, 3, 3, 3)).roll((down, right), dims=(2, 3))
    torch.testing.assert_close(moved, padded[..., 3:-3, 3:-3], rtol=0, atol=1e-5)


def test_twice_as_large_shows_the_middle_half() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., 1:3, 1:3] = 1
    enlarged = transform(image, **still(scale=torch.tensor([2.0])))
    assert (enlarged[..., 1:3, 1:3] == 1).all()
    assert (enlarged > image).sum() == 12  # the rim, white before, shows the square's edge
    shrunk = transform(image, **still(scale=torch.tensor([0.5])))
    assert shrunk.sum() == pytest.approx(1.0)  # a quarter of the area


def test_a_slant_moves_rows_to_the_right_above_the_middle_and_to_the_left_below() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2] = 1  # a vertical stroke
    slanted = transform(image, **still(slant=torch.tensor([1.0])))[0, 0]
    assert slanted.argmax(dim=1).tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("gradient", [(1.0, 0.0), (0.0, 1.0), (0.3, -0.7)])
def test_slant_comes_first_then_turn_then_size_then_move(gradient: tuple[float, float]) -> None:
    """On a picture that is a plane, where interpolation is exact: by each change's matrix."""
    slant, angle, scale, shift = 0.5, math.radians(30.0), 1.25, torch.tensor([2.0, -1.0])
    by_slant = torch.tensor([[1.0, -slant], [0.0, 1.0]])  # (right, down): the top moves right
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    down, right = torch.meshgrid(torch.arange(-8.0, 9), torch.arange(-8.0, 9), indexing="ij")
    places, slope = torch.stack([right, down], dim=-1), torch.tensor(gradient)
    changed = transform(
        (places @ slope)[None, None],
        slant=torch.tensor([slant]),
        degrees=torch.tensor([30.0]),
        scale=torch.tensor([scale]),
        shift=shift[None],
    )[0, 0]
    came_from = (places - shift) @ torch.linalg.inv(scale * turn @ by_slant).T
    middle = slice(5, 12)  # what comes from outside is white
    torch.testing.assert_close(
        changed[middle, middle], (came_from @ slope)[middle, middle], rtol=0, atol=1e-4
    )


# Property


@pytest.mark.parametrize("by_sheet", [True, False])
@pytest.mark.parametrize("first_seed", [0, 5])
def test_five_seeds_test_every_picture_once(first_seed: int, by_sheet: bool) -> None:
    splits = [split_digits(first_seed + n, by_sheet=by_sheet) for n in range(FOLDS)]
    assert torch.cat([split.test for split in splits]).sort().values.tolist() == [*range(1797)]
    for split in splits:
        together = torch.cat(split)
        assert together.sort().values.tolist() == [*range(1797)]
        for part in split:
            assert part.tolist() == sorted(part.tolist())


@pytest.mark.parametrize("seed", [0, 3, 4, 11])
def test_sheets_stay_together(seed: int) -> None:
    parts = [set(SHEET_OF[part].tolist()) for part in split_digits(seed)]
    assert sum(map(len, parts)) == SHEETS == len(set.union(*parts))
    assert len(parts[1]) == 2
    assert len(parts[2]) == (2 if seed % FOLDS == 4 else 3)


def test_pictures_dealt_out_singly_come_from_nearly_all_sheets_into_every_set() -> None:
    sheets, pictures = split_digits(0), split_digits(0, by_sheet=False)
    assert [len(part) for part in pictures] == [len(part) for part in sheets]  # as many in each
    for part in pictures:
        assert len(set(SHEET_OF[part].tolist())) == SHEETS


def test_a_split_hangs_on_its_seed_alone() -> None:
    for by_sheet in (True, False):
        torch.manual_seed(1)
        one = split_digits(7, by_sheet=by_sheet)
        torch.manual_seed(2)
        again = split_digits(7, by_sheet=by_sheet)
        assert all(map(torch.equal, one, again))
    tests = {tuple(split_digits(seed).test.tolist()) for seed in range(20)}
    assert len(tests) >= 18  # two may coincide: there are 364 sets of three sheets
    assert not torch.equal(split_digits(2).test, split_digits(2, by_sheet=False).test)


def test_nothing_changes_where_nothing_is_to_change() -> None:
    torch.testing.assert_close(transform(IMAGES[:7], **still(7)), IMAGES[:7])
    unchanged = Augmentation(slant=0, degrees=0, scale=0, shift=0)
    torch.testing.assert_close(unchanged(IMAGES[:7], torch.Generator()), IMAGES[:7])


def test_every_picture_gets_its_own_change() -> None:
    images = IMAGES[:1].expand(5, -1, -1, -1)
    changed = Augmentation()(images, torch.Generator().manual_seed(0))
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 5
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "limit"), [("slant", 0.25), ("degrees", 12.0), ("scale", 0.2), ("shift", 1.5)]
)
def test_changes_fill_their_range_to_both_sides(
    name: str, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Tensor] = {}

    def spy(images: Tensor, **changes: Tensor) -> Tensor:
        drawn.update(changes)
        return images

    monkeypatch.setattr("tx_utils.tasks.digits.transform", spy)
    nothing = Augmentation(slant=0, degrees=0, scale=0, shift=0)
    images = torch.zeros(4000, 1, 2, 2)
    type(nothing)(**{**vars(nothing), name: limit})(images, torch.Generator().manual_seed(0))
    for other, values in drawn.items():
        middle = 1.0 if other == "scale" else 0.0
        if other != name:
            assert (values == middle).all()
            continue
        assert (values - middle).abs().max() <= limit
        assert (values - middle).abs().max() > 0.99 * limit
        assert abs((values - middle).mean()) < 0.05 * limit
        # of a uniform variable, to a tenth
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.1)
    if name == "shift":
        across, down = drawn["shift"].T
        assert abs(torch.corrcoef(torch.stack([across, down]))[0, 1]) < 0.1


def test_the_generator_alone_decides() -> None:
    for augmentation in (None, Augmentation()):
        assert_the_generator_alone_decides(DigitSampler(IMAGES, LABELS, augmentation).sample)


def test_pictures_keep_their_labels_and_come_alike_often() -> None:
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 2)
    sampler = DigitSampler(images, 10 * torch.arange(5))
    drawn, labels = sampler.sample(2000, torch.Generator().manual_seed(0))
    assert torch.equal(10 * drawn[:, 0, 0, 0], labels.float())
    counts = Counter(labels.tolist())
    assert len(counts) == 5
    assert all(abs(count - 400) < 5 * math.sqrt(2000 * 0.2 * 0.8) for count in counts.values())


def test_augmented_batches_hold_changed_pictures_of_the_same_labels() -> None:
    still_ones = DigitSampler(IMAGES[:9], LABELS[:9]).sample(9, torch.Generator().manual_seed(3))
    changed = DigitSampler(IMAGES[:9], LABELS[:9], Augmentation()).sample(
        9, torch.Generator().manual_seed(3)
    )
    assert torch.equal(still_ones[1], changed[1])
    difference = (still_ones[0] - changed[0]).abs().flatten(1).mean(dim=1)
    assert (difference > 0.01).all()
    assert (difference < 0.25).all()


# Border


def test_negative_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^seed must not be negative, got -1$"):
        split_digits(-1)


def test_empty_batches_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("size must be a positive integer, got 0")):
        DigitSampler(IMAGES, LABELS).sample(0, torch.Generator())

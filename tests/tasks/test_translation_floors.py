"""The floors of translation, by enumerating what may follow, and guessers that don't beat them."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tx_utils.tasks import NumberTranslation
from tx_utils.tasks.number_words import LANGUAGES

LIMIT = 907
TASKS = [
    NumberTranslation(*languages, limit=LIMIT, zeros=zeros)
    for languages in permutations(LANGUAGES, 2)
    for zeros in (None, 0.37)
]
NUMBERS = range(200, LIMIT)  # a part of all: the others have been learned from

every_task = pytest.mark.parametrize(
    "task", TASKS, ids=lambda task: f"{task.source}-{task.target}-{task.zeros}"
)


def weights(task: NumberTranslation) -> list[float]:
    """How likely each of the numbers is to be the one to translate, by its three digits."""
    zeros = 0.1 if task.zeros is None else task.zeros
    likely = [
        zeros ** f"{n:03}".count("0") * ((1 - zeros) / 9) ** (3 - f"{n:03}".count("0"))
        for n in NUMBERS
    ]
    return [weight / math.fsum(likely) for weight in likely]


def bag(task: NumberTranslation, number: int) -> Hashable:
    return frozenset(Counter(task.source_words(number)).items())


def labels(task: NumberTranslation, number: int) -> list[str]:
    return [*task.target_words(number), "<end>"]


def mean_labels(task: NumberTranslation) -> float:
    lengths = (len(labels(task, number)) for number in NUMBERS)
    return math.fsum(w * length for w, length in zip(weights(task), lengths, strict=True))


# Oracle


@every_task
def test_floors_are_the_entropies_of_what_follows_given_what_is_known(
    task: NumberTranslation,
) -> None:
    def nats(knows_bag: bool) -> Iterator[float]:
        # The best prediction after a beginning is the distribution of what follows there, and
        # costs its entropy.
        following: defaultdict[Hashable, defaultdict[str, float]]
        following = defaultdict(lambda: defaultdict(float))
        for number, weight in zip(NUMBERS, weights(task), strict=True):
            known = bag(task, number) if knows_bag else None
            words = labels(task, number)
            for end, word in enumerate(words):
                following[known, tuple(words[:end])][word] += weight
        for shares in following.values():
            for share in shares.values():
                yield -share * math.log(share / math.fsum(shares.values()))

    floors = task.floors(NUMBERS)
    blind, knowing = (math.fsum(nats(knows)) / mean_labels(task) for knows in (False, True))
    assert math.isclose(floors.blind_loss, blind, rel_tol=1e-7)
    assert math.isclose(floors.bag_loss, knowing, rel_tol=1e-7)
    assert 0.01 < floors.bag_loss < floors.blind_loss - 0.1


def test_floors_of_a_few_numbers_by_hand() -> None:
    # "two hundred and three" and "three hundred and two" share a bag; seven has its own.
    # zwei hundert drei . | drei hundert zwei . | sieben .: ten tokens for three numbers.
    floors = NumberTranslation().floors([203, 302, 7])
    assert math.isclose(floors.blind_loss, math.log(3) * 3 / 10)
    assert math.isclose(floors.bag_loss, 2 * math.log(2) / 10)
    assert math.isclose(floors.bag_exact, 2 / 3)
    # "three hundred and three" has the same set of words, but not the same bag.
    assert math.isclose(NumberTranslation().floors([303, 302]).bag_exact, 1.0)


def test_floors_of_unlike_numbers_by_hand() -> None:
    # Half of the digits are zeros: one is nine times as likely as a one, or a two.
    task = NumberTranslation(limit=10_000, zeros=0.5)
    # All four have two zeros; zwei hundert drei . and zwei tausend drei . and so on: four tokens.
    floors = task.floors(number for number in (203, 302, 2_003, 3_002))
    assert math.isclose(floors.blind_loss, math.log(4) / 4, rel_tol=1e-7)
    assert math.isclose(floors.bag_loss, math.log(2) / 4, rel_tol=1e-7)
    assert math.isclose(floors.bag_exact, 1 / 2, rel_tol=1e-7)
    # 0004 has three zeros more than 1234: vier . and ein tausend zwei hundert vier und dreißig .
    rare, tokens = 1 / 730, (729 * 2 + 8) / 730
    entropy = -rare * math.log(rare) - (1 - rare) * math.log(1 - rare)
    floors = task.floors([4, 1_234])
    assert math.isclose(floors.blind_loss, entropy / tokens, rel_tol=1e-6)
    assert abs(floors.bag_loss) < 1e-12
    assert math.isclose(floors.bag_exact, 1.0)


def test_floors_of_a_bag_whose_numbers_are_unlike() -> None:
    # vingt quatre mille and quatre vingt mille; 80000 has one zero more: nine times as likely.
    task = NumberTranslation("French", "German", zeros=0.5)
    assert sorted(task.source_words(24_000)) == sorted(task.source_words(80_000))
    floors = task.floors([24_000, 80_000])
    assert math.isclose(floors.bag_exact, 0.9, rel_tol=1e-7)
    # vier und zwanzig tausend . and achtzig tausend .
    loss = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9)) / (0.1 * 5 + 0.9 * 3)
    assert math.isclose(floors.bag_loss, loss, rel_tol=1e-6)
    assert math.isclose(floors.blind_loss, loss, rel_tol=1e-6)


# Property: what the floors bound


@settings(deadline=None, max_examples=20)
@given(
    task=st.sampled_from(TASKS),
    seed=st.integers(0, 2**31),
    sharpness=st.sampled_from([0.1, 1.0, 5.0, None]),
)
def test_no_belief_without_the_order_beats_the_floors(
    task: NumberTranslation, seed: int, sharpness: float | None
) -> None:
    likely = torch.tensor(weights(task), dtype=torch.float64)
    rows = {kind: row for row, kind in enumerate({bag(task, number) for number in NUMBERS})}
    of_number = torch.tensor([rows[bag(task, number)] for number in NUMBERS])
    noise = torch.Generator().manual_seed(seed)
    scores = likely.log() + (sharpness or 0.0) * torch.randn(
        len(rows), len(NUMBERS), generator=noise, dtype=torch.float64
    )  # None: what is possible, each as likely as it is, which is the best belief
    possible = of_number == torch.arange(len(rows)).unsqueeze(-1)

    def loss(beliefs: torch.Tensor) -> float:
        return -float(likely @ beliefs.log_softmax(dim=-1).diagonal()) / mean_labels(task)

    floors = task.floors(NUMBERS)
    blind = loss(scores[:1].expand(len(NUMBERS), -1))
    knowing = loss(scores.masked_fill(~possible, -math.inf)[of_number])
    assert blind >= floors.blind_loss - 1e-7
    assert knowing >= floors.bag_loss - 1e-7
    if sharpness is None:
        assert math.isclose(blind, floors.blind_loss, rel_tol=1e-7)
        assert math.isclose(knowing, floors.bag_loss, rel_tol=1e-7)


@every_task
@settings(deadline=None, max_examples=5)
@given(random=st.randoms(use_true_random=False))
def test_who_always_writes_the_same_for_a_bag_reaches_the_floor_at_best(
    task: NumberTranslation, random: Any
) -> None:
    likely = dict(zip(NUMBERS, weights(task), strict=True))
    floor = task.floors(NUMBERS).bag_exact

    def exact(guesses: dict[Hashable, int]) -> float:
        right = (n for n in NUMBERS if guesses[bag(task, n)] == n)
        return math.fsum(likely[number] for number in right)

    any_guess = {bag(task, n): n for n in random.sample(NUMBERS, len(NUMBERS))}
    best_guess = {bag(task, n): n for n in sorted(NUMBERS, key=likely.__getitem__)}
    assert exact(any_guess) <= floor + 1e-7
    assert math.isclose(exact(best_guess), floor, rel_tol=1e-7)
    assert floor < 0.99


# Border


def test_one_number_alone_is_known_without_looking() -> None:
    assert NumberTranslation().floors([7]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("numbers", [[], [7, 7], [3, 100], [-1]])
def test_numbers_that_cannot_be_drawn_have_no_floors(numbers: list[int]) -> None:
    message = rf"^numbers must be different and in \[0, 100\), got {len(numbers)}, "
    with pytest.raises(ValueError, match=message):
        NumberTranslation(limit=100).floors(numbers)

"""The address book: its structure by slow loops, its chances by counting, its floors by force."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from itertools import permutations, product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sampling_checks import assert_the_generator_alone_decides, assert_uniform
from tx_utils.tasks import NAMES, AddressBook, friend_positions

Person = tuple[int, int, int]
Book = tuple[tuple[Person, ...], tuple[int, ...]]  # the tokens of a sequence, and its targets


def books(task: AddressBook, size: int, seed: int = 0) -> list[Book]:
    tokens, target = task.sample(size, torch.Generator().manual_seed(seed))
    assert tokens.shape == (size, task.people, 3)
    assert target.shape == (size, task.people)
    rows = zip(tokens.tolist(), target.tolist(), strict=True)
    return [(tuple(map(tuple, people)), tuple(numbers)) for people, numbers in rows]


def all_books(task: AddressBook) -> Iterator[Book]:
    """Every possible sequence once, found without chance: all are equally likely."""
    circles = [
        friends
        for friends in permutations(range(task.people))
        if len(set(walk(friends))) == task.people
    ]
    for names in permutations(range(task.num_names), task.people):
        for numbers in permutations(range(task.num_numbers), task.people):
            for friends in circles:
                looks_for = [names[friend] for friend in friends]
                people = tuple(zip(names, numbers, looks_for, strict=True))
                yield people, tuple(numbers[friend] for friend in friends)


def walk(friends: tuple[int, ...]) -> Iterator[int]:
    """From friend to friend, as many steps as there are people."""
    here = 0
    for _ in friends:
        here = friends[here]
        yield here


# Oracle

some_tasks = st.integers(2, 8).flatmap(
    lambda people: st.builds(
        AddressBook, st.just(people), st.integers(people, 17), st.integers(people, 13)
    )
)


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_everybody_sits_in_one_circle_and_is_asked_for_the_friends_number(
    task: AddressBook, seed: int
) -> None:
    for people, target in books(task, 5, seed):
        number_of = {name: number for name, number, _ in people}
        friend_of = {name: friend for name, _, friend in people}
        assert len(number_of) == len(set(number_of.values())) == task.people
        assert number_of.keys() <= set(range(task.num_names))
        assert set(number_of.values()) <= set(range(task.num_numbers))
        visited, name = [], people[0][0]
        for _ in people:
            visited.append(name)
            name = friend_of[name]
        assert name == people[0][0]
        assert sorted(visited) == sorted(number_of)
        assert target == tuple(number_of[friend] for _, _, friend in people)


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_friend_positions_are_found_as_by_a_slow_search(task: AddressBook, seed: int) -> None:
    tokens, target = task.sample(5, torch.Generator().manual_seed(seed))
    found = friend_positions(tokens)
    for people, positions in zip(tokens.tolist(), found.tolist(), strict=True):
        names = [name for name, _, _ in people]
        assert positions == [names.index(friend) for _, _, friend in people]
    assert torch.equal(tokens[..., 1].gather(1, found), target)


# Property


def test_exactly_the_possible_books_are_drawn() -> None:
    task = AddressBook(people=3, num_names=3, num_numbers=4)
    possible = set(all_books(task))
    assert len(possible) == 6 * 24 * 2
    # A given book is missing in 10,000 with probability (287/288)^10000 < 1e-15.
    assert set(books(task, 10_000)) == possible


def test_all_books_of_a_small_task_are_equally_likely() -> None:
    task = AddressBook(people=3, num_names=3, num_numbers=3)
    index = {book: n for n, book in enumerate(all_books(task))}
    assert_uniform(Counter(index[book] for book in books(task, 10_000)), cells=6 * 6 * 2)


@pytest.mark.parametrize("seat", range(8))
def test_names_numbers_and_friends_are_equally_frequent_in_every_seat(seat: int) -> None:
    drawn = books(AddressBook(), 3_000)
    assert_uniform(Counter(people[seat][0] for people, _ in drawn), cells=16)
    assert_uniform(Counter(people[seat][1] for people, _ in drawn), cells=16)
    friend_seats = Counter(
        [name for name, _, _ in people].index(people[seat][2]) for people, _ in drawn
    )
    assert friend_seats.keys() == set(range(8)) - {seat}
    assert_uniform(friend_seats, cells=7)


def test_name_and_number_have_nothing_to_do_with_each_other() -> None:
    drawn = books(AddressBook(), 20_000)
    assert_uniform(Counter(16 * people[0][0] + people[0][1] for people, _ in drawn), cells=256)


def test_every_circle_is_equally_frequent() -> None:
    drawn = books(AddressBook(people=5, num_names=5, num_numbers=5), 5_000)
    circles: Counter[int] = Counter()
    for people, _ in drawn:
        names = [name for name, _, _ in people]
        friends = tuple(names.index(friend) for _, _, friend in people)
        circles[int("".join(map(str, walk(friends))))] += 1
    assert_uniform(circles, cells=math.factorial(4))


def test_the_generator_alone_decides() -> None:
    assert_the_generator_alone_decides(AddressBook().sample)


# Property: the floors


@settings(deadline=None, max_examples=100)
@given(weights=st.lists(st.floats(0.0, 1.0), min_size=16, max_size=16), seed=st.integers(0, 2**31))
def test_no_shared_answer_beats_the_uniform_floor_in_any_sequence(
    weights: list[float], seed: int
) -> None:
    assume(sum(weights) > 1e-6)
    p = [weight / math.fsum(weights) for weight in weights]
    task = AddressBook()
    for _, target in books(task, 5, seed):
        loss = -sum(math.log(max(p[number], 1e-300)) for number in target) / task.people
        assert loss >= task.uniform_floor - 1e-12


def test_an_eighth_for_each_number_present_reaches_the_uniform_floor() -> None:
    task = AddressBook()
    for people, target in books(task, 7):
        p = {number: 1 / 8 for _, number, _ in people}
        loss = -sum(math.log(p[number]) for number in target) / task.people
        assert math.isclose(loss, task.uniform_floor, rel_tol=1e-12)
    assert math.isclose(task.uniform_floor, math.log(8))


@pytest.mark.parametrize(("people", "names", "numbers"), [(3, 3, 4), (3, 4, 3), (2, 3, 5)])
def test_the_best_answer_from_the_own_token_costs_exactly_the_alone_floor(
    people: int, names: int, numbers: int
) -> None:
    task = AddressBook(people, names, numbers)
    answers: defaultdict[Person, Counter[int]] = defaultdict(Counter)
    for tokens, target in all_books(task):
        for token, answer in zip(tokens, target, strict=True):
            answers[token][answer] += 1
    # The best prediction from a token is the distribution of its answers; it costs the entropy.
    total = sum(counts.total() for counts in answers.values())
    losses = (
        -count * math.log(count / counts.total())
        for counts in answers.values()
        for count in counts.values()
    )
    assert math.isclose(math.fsum(losses) / total, task.alone_floor, rel_tol=1e-12)
    for (_, own, _), counts in answers.items():
        assert counts.keys() == set(range(numbers)) - {own}


def test_floors_follow_the_sizes() -> None:
    for people, numbers in product((2, 5), (5, 13)):
        task = AddressBook(people, num_names=7, num_numbers=numbers)
        assert math.isclose(math.exp(task.uniform_floor), people)
        assert math.isclose(math.exp(task.alone_floor), numbers - 1)
        assert math.isclose(math.exp(task.chance), numbers)


def test_every_name_of_the_default_task_has_a_word() -> None:
    assert len(NAMES) == len(set(NAMES)) == AddressBook().num_names
    assert all(name.isalpha() and name.istitle() for name in NAMES)
    assert "".join(name[0] for name in NAMES) == "ABCDEFGHIJKLMNOP"  # an initial is enough


# Border


def test_a_task_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        AddressBook().people = 5  # type: ignore[misc]


def test_the_smallest_circle_has_two_people() -> None:
    for people, target in books(AddressBook(people=2, num_names=2, num_numbers=2), 7):
        (ann, ann_number, ann_friend), (bob, bob_number, bob_friend) = people
        assert (ann_friend, bob_friend) == (bob, ann)
        assert target == (bob_number, ann_number)


@pytest.mark.parametrize(("people", "names", "numbers"), [(1, 5, 5), (5, 3, 7), (5, 7, 3)])
def test_a_circle_that_cannot_be_drawn_is_refused(people: int, names: int, numbers: int) -> None:
    message = (
        f"people ({people}) must be at least 2 and at most num_names ({names}) "
        f"and num_numbers ({numbers})"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AddressBook(people, names, numbers)


@pytest.mark.parametrize("name", ["people", "num_names", "num_numbers"])
def test_sizes_must_be_positive_integers(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a positive integer, got 0$"):
        AddressBook(**{name: 0})

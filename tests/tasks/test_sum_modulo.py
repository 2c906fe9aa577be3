"""The sum of two digits: structure by slow loops, chances by counting, floors by brute force."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from itertools import pairwise, permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tx_utils.tasks import SumModulo

Question = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]  # asked, names, digits


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain(batch: tuple[Tensor, ...]) -> list[Question]:
    asked, names, digits, answer = (tensor.tolist() for tensor in batch)
    rows = zip(asked, names, digits, answer, strict=True)
    return [(tuple(a), tuple(n), tuple(d), y) for a, n, d, y in rows]


def questions(task: SumModulo, size: int, seed: int = 0) -> list[Question]:
    asked, names, digits, answer = batch = task.sample(size, generator(seed))
    assert asked.shape == (size, 2)
    assert names.shape == digits.shape == (size, task.people)
    assert answer.shape == (size,)
    return plain(batch)


def all_questions(task: SumModulo) -> Iterator[Question]:
    """Every possible question once, found without chance: all are equally likely."""
    people = range(task.people)
    for names in permutations(people):
        for asked in permutations(people, 2):
            for digits in product(range(task.num_digits), repeat=task.people):
                holds = dict(zip(names, digits, strict=True))
                answer = (holds[asked[0]] + holds[asked[1]]) % task.num_digits
                yield asked, names, digits, answer


def assert_uniform(counts: Counter[int], cells: int) -> None:
    """Pearson's statistic stays below what chance exceeds once in half a billion times.

    Of chi-square with k degrees of freedom, P(X >= k + 2 sqrt(k t) + 2t) <= exp(-t) (Laurent and
    Massart, 2000, lemma 1); t = 20. The statistic is near chi-square at some 50 counts per cell.
    """
    expected = sum(counts.values()) / cells
    assert expected >= 50
    assert len(counts) == cells
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    k, t = cells - 1, 20
    assert statistic < k + 2 * math.sqrt(k * t) + 2 * t


def right_answers(n: int) -> Tensor:
    """(a + b) mod n for every pair of digits.  (n * n,)."""
    return torch.tensor([(a + b) % n for a in range(n) for b in range(n)])


def table_loss(logits: Tensor) -> Tensor:
    """Mean loss over all pairs of digits, of logits (..., n, n, n) by both digits and answer."""
    n = logits.size(-1)
    log_p = logits.flatten(-3, -2).log_softmax(dim=-1)
    right = right_answers(n).expand(log_p.shape[:-1])[..., None]
    return -log_p.gather(-1, right).squeeze(-1).mean(dim=-1)


def random_terms(size: int, n: int, scale: float, seed: int) -> tuple[Tensor, Tensor]:
    """Two terms (size, n, n), by digit and answer."""
    drawn = scale * torch.randn(2, size, n, n, dtype=torch.float64, generator=generator(seed))
    return drawn[0], drawn[1]


def added(first: Tensor, second: Tensor) -> Tensor:
    """(..., n, k) and (..., n, k) -> (..., n, n, k): the sum for each pair of digits."""
    return first[..., :, None, :] + second[..., None, :, :]


# Oracle

some_tasks = st.builds(SumModulo, st.integers(2, 11), st.integers(2, 7))


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_the_answer_is_the_sum_of_what_the_two_people_hold(task: SumModulo, seed: int) -> None:
    for asked, names, digits, answer in questions(task, 5, seed):
        assert sorted(names) == list(range(task.people))
        assert asked[0] != asked[1]
        holds = dict(zip(names, digits, strict=True))
        assert set(digits) <= set(range(task.num_digits))
        assert answer == (holds[asked[0]] + holds[asked[1]]) % task.num_digits


@settings(deadline=None, max_examples=50)
@given(task=some_tasks, seed=st.integers(0, 2**31))
def test_all_pairs_changes_the_two_digits_and_nothing_else(task: SumModulo, seed: int) -> None:
    n = task.num_digits
    rows = plain(task.all_pairs(generator(seed)))
    (asked, names, digits, _), *_ = questions(task, 1, seed)
    assert len(rows) == n * n
    for number, (same_asked, same_names, changed, answer) in enumerate(rows):
        assert (same_asked, same_names) == (asked, names)
        holds = dict(zip(names, changed, strict=True))
        assert (holds[asked[0]], holds[asked[1]]) == divmod(number, n)
        assert answer == sum(divmod(number, n)) % n
        for name, before, now in zip(names, digits, changed, strict=True):
            assert name in asked or before == now


# Property


def test_exactly_the_possible_questions_are_drawn_all_equally_often() -> None:
    task = SumModulo(people=3, num_digits=2)
    index = {question: number for number, question in enumerate(all_questions(task))}
    assert len(index) == 6 * 6 * 8
    # A question that is impossible raises a KeyError here.
    counts = Counter(index[question] for question in questions(task, 20_000))
    assert_uniform(counts, cells=len(index))


def test_every_pair_of_people_is_asked_for_equally_often() -> None:
    drawn = questions(SumModulo(), 5_000)
    assert_uniform(Counter(8 * a + b for (a, b), *_ in drawn), cells=8 * 7)
    seats = Counter(8 * names.index(asked[0]) + names.index(asked[1]) for asked, names, *_ in drawn)
    assert_uniform(seats, cells=8 * 7)


@pytest.mark.parametrize("seat", range(8))
def test_digits_are_equally_frequent_in_every_seat_whatever_the_name(seat: int) -> None:
    drawn = questions(SumModulo(), 3_000)
    counts = Counter(5 * names[seat] + digits[seat] for _, names, digits, _ in drawn)
    assert_uniform(counts, cells=8 * 5)


def test_digits_of_two_seats_are_independent() -> None:
    drawn = questions(SumModulo(), 3_000)
    for left, right in pairwise(range(8)):
        counts = Counter(5 * digits[left] + digits[right] for _, _, digits, _ in drawn)
        assert_uniform(counts, cells=25)


def test_the_generator_alone_decides() -> None:
    task, state = SumModulo(), torch.get_rng_state()
    first = questions(task, 7, seed=3)
    table = plain(task.all_pairs(generator(3)))
    torch.manual_seed(99)
    assert questions(task, 7, seed=3) == first
    assert plain(task.all_pairs(generator(3))) == table
    assert questions(task, 7, seed=4) != first
    assert plain(task.all_pairs(generator(4))) != table
    torch.set_rng_state(state)
    questions(task, 7)
    task.all_pairs(generator(3))
    assert torch.equal(torch.get_rng_state(), state)


# Property: the floors


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_either_digit_alone_says_nothing_about_the_answer(n: int) -> None:
    table = right_answers(n).reshape(n, n).tolist()
    for row in (*table, *zip(*table, strict=True)):
        assert sorted(row) == list(range(n))


def test_no_additive_logits_on_a_grid_beat_the_floor_and_only_uniform_ones_reach_it() -> None:
    task = SumModulo(num_digits=2)
    votes = torch.cartesian_prod(*[torch.arange(-2.0, 3.0, dtype=torch.float64)] * 8)
    first, second = votes.reshape(-1, 2, 2, 2).unbind(dim=1)
    logits = added(first, second)
    losses = table_loss(logits)
    assert losses.min().item() == pytest.approx(task.additive_floor, abs=1e-12)
    best = logits[losses < task.additive_floor + 1e-9]
    torch.testing.assert_close(best.softmax(dim=-1), torch.full_like(best, 0.5))


@settings(deadline=None, max_examples=50)
@given(n=st.integers(2, 7), scale=st.sampled_from([0.01, 1.0, 30.0]), seed=st.integers(0, 2**31))
def test_no_additive_logits_beat_the_additive_floor(n: int, scale: float, seed: int) -> None:
    logits = added(*random_terms(50, n, scale, seed))
    task = SumModulo(num_digits=n)
    assert table_loss(logits).min().item() >= task.additive_floor - 1e-12
    # The reason: over the table the right answer's logit is, on average, just the mean logit.
    right = right_answers(n).expand(50, -1)[..., None]
    ahead = logits.flatten(1, 2).gather(-1, right).mean(dim=(1, 2)) - logits.mean(dim=(1, 2, 3))
    assert ahead.abs().max().item() < 1e-12 * max(scale, 1)
    # Logits that do not add up are not bound: a bonus for the right pairs gets below the floor.
    bonus = 100 * F.one_hot(right_answers(n), n).reshape(n, n, n)
    assert table_loss(logits + 10 * scale * bonus).max().item() < task.additive_floor or scale < 1


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_gradient_is_zero_at_uniform_and_the_loss_curves_upwards(n: int) -> None:
    def loss_of(votes: Tensor) -> Tensor:
        first, second = votes.reshape(2, n, n).unbind()
        return table_loss(added(first, second))

    uniform = torch.zeros(2 * n * n, dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(loss_of, uniform)
    assert gradient.abs().max().item() < 1e-15
    for seed in range(5):
        first, second = random_terms(1, n, 2.0, seed)
        hessian = torch.autograd.functional.hessian(loss_of, torch.stack([first, second]).flatten())
        assert torch.linalg.eigvalsh(hessian).min().item() > -1e-12


@settings(deadline=None, max_examples=50)
@given(
    n=st.integers(2, 7),
    scale=st.sampled_from([0.1, 3.0, 100.0]),
    spread=st.sampled_from([0.1, 3.0, 10.0]),
    rest=st.sampled_from([0.0, 1e-3, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_no_fraction_of_additive_terms_beats_the_one_head_floor(
    n: int, scale: float, spread: float, rest: float, seed: int
) -> None:
    first, second = random_terms(50, n, scale, seed)
    scores = spread * torch.randn(2, 50, n, 1, dtype=torch.float64, generator=generator(seed))
    total = added(scores[0].exp(), scores[1].exp()) + rest  # what the softmax divides by
    logits = added(first, second) / total
    floor = SumModulo(num_digits=n).one_head_floor
    assert table_loss(logits).min().item() >= floor - 1e-12


def test_with_two_digits_a_single_head_comes_as_near_to_its_floor_as_it_likes() -> None:
    first = torch.tensor([[0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    second = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)  # right if a = 1
    # Where a = 0, a large score makes the fraction small: a guess. Elsewhere it is large: sure.
    total = added(
        torch.tensor([[1e6], [1e-6]], dtype=torch.float64),
        torch.full((2, 1), 1e-6, dtype=torch.float64),
    )
    loss = table_loss(added(first, second) / total).item()
    floor = SumModulo(num_digits=2).one_head_floor
    assert floor <= loss < floor + 1e-5


def test_floors_follow_the_number_of_digits() -> None:
    for n in (2, 5, 7):
        task = SumModulo(num_digits=n)
        assert math.isclose(math.exp(task.additive_floor), n)
        assert math.isclose(math.exp(n * task.one_head_floor), n)


# Border


def test_a_task_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SumModulo().people = 5  # type: ignore[misc]


def test_the_smallest_directory_has_two_people() -> None:
    for asked, names, digits, answer in questions(SumModulo(people=2, num_digits=2), 7):
        assert set(asked) == set(names) == {0, 1}
        assert answer == sum(digits) % 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"people": 1}, "people must be at least 2, got 1"),
        ({"people": 0}, "people must be a positive integer, got 0"),
        ({"num_digits": 1}, "num_digits must be at least 2, got 1"),
        ({"num_digits": 2.5}, "num_digits must be a positive integer, got 2.5"),
    ],
)
def test_directories_with_nothing_to_add_are_refused(
    arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SumModulo(**arguments)

import math
import re
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import parity
from tx_utils import LearnedPositionalEncoding, PositionalEncoding, sinusoidal_encoding

B, T, D_MODEL, MAX_LEN = 2, 5, 12, 7
Positions = PositionalEncoding | LearnedPositionalEncoding
KINDS: tuple[type[Positions], ...] = (PositionalEncoding, LearnedPositionalEncoding)
both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def table_of(module: Positions) -> Tensor:
    return module.encoding if isinstance(module, PositionalEncoding) else module.weight


def entry(position: int, column: int, d_model: int) -> float:
    angle = position / 10_000 ** ((column - column % 2) / d_model)
    return math.cos(angle) if column % 2 else math.sin(angle)


# Oracle


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("max_len", "d_model"), [(7, 12), (11, 5), (3, 2), (1, 7), (5, 1)])
def test_sinusoids_equal_the_papers_formula_entry_by_entry(max_len: int, d_model: int) -> None:
    expected = [[entry(p, column, d_model) for column in range(d_model)] for p in range(max_len)]
    parity.assert_close(sinusoidal_encoding(max_len, d_model), torch.tensor(expected))


def test_late_positions_are_exact_to_float32s_last_digit() -> None:
    encoding = sinusoidal_encoding(5000, 12)
    assert encoding.dtype == torch.float32
    expected = torch.tensor([entry(4999, column, 12) for column in range(12)])
    torch.testing.assert_close(encoding[4999], expected, rtol=0, atol=1e-7)


def test_fixed_positions_are_the_sinusoids_added() -> None:
    module, x = PositionalEncoding(D_MODEL, max_len=MAX_LEN), torch.randn(B, T, D_MODEL)
    assert torch.equal(module(x), x + sinusoidal_encoding(T, D_MODEL))


def test_learned_positions_equal_an_embedding_of_the_position() -> None:
    module = parity.randomize(LearnedPositionalEncoding(D_MODEL, max_len=MAX_LEN))
    x = parity.tensor(B, T, D_MODEL)
    (weight,) = parity.leaves(module.weight)
    expected = x + F.embedding(torch.arange(2, 2 + T), weight)
    parity.assert_same(module(x, offset=2), expected, [module.weight], [weight])


# Property


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), cut=st.integers(1, MAX_LEN - 1), kind=st.sampled_from(KINDS))
def test_pieces_with_an_offset_equal_the_whole(seed: int, cut: int, kind: type[Positions]) -> None:
    module = kind(D_MODEL, max_len=MAX_LEN).double()
    x = parity.tensor(B, MAX_LEN, D_MODEL, seed=seed)
    pieces = [module(x[:, :cut]), module(x[:, cut:], offset=cut)]
    assert torch.equal(torch.cat(pieces, dim=1), module(x))


@settings(deadline=None, max_examples=25)
@given(p=st.integers(0, 80), q=st.integers(0, 80), shift=st.integers(0, 19))
def test_likeness_of_two_patterns_depends_on_their_distance_only(
    p: int, q: int, shift: int
) -> None:
    encoding = sinusoidal_encoding(100, D_MODEL).double()
    moved = encoding[p + shift] @ encoding[q + shift]
    parity.assert_close(moved, encoding[p] @ encoding[q], tolerance=1e-6)


def test_the_fixed_table_follows_the_module_but_not_into_its_checkpoint() -> None:
    module = PositionalEncoding(D_MODEL)
    assert module.state_dict() == {}
    assert list(module.parameters()) == []
    assert module.double().encoding.dtype == torch.float64
    assert module.encoding.shape == (5000, D_MODEL)


def test_learned_positions_start_with_standard_deviation_one() -> None:
    torch.manual_seed(0)
    weight = LearnedPositionalEncoding(67, max_len=211).weight
    assert weight.std().item() == pytest.approx(1.0, abs=0.03)
    assert weight.mean().item() == pytest.approx(0.0, abs=0.03)


@both_kinds
def test_dropout_falls_on_the_sum_in_training_only(kind: type[Positions]) -> None:
    torch.manual_seed(0)
    module = kind(D_MODEL, max_len=MAX_LEN, dropout=0.75)
    x = torch.randn(31, T, D_MODEL)
    whole, dropped = x + table_of(module)[:T], module(x)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 4 * whole[kept])
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(module.eval()(x), whole)


@both_kinds
def test_nothing_is_edited_in_place_or_stored(kind: type[Positions]) -> None:
    module, x = kind(D_MODEL, max_len=MAX_LEN), torch.randn(B, T, D_MODEL)
    before, table = x.clone(), table_of(module).detach().clone()
    module(x)
    assert torch.equal(x, before)
    assert torch.equal(table_of(module), table)
    assert parity.stray_tensors(module) == []


# Border


@both_kinds
@pytest.mark.parametrize(("length", "offset"), [(MAX_LEN, 0), (1, MAX_LEN - 1)])
def test_the_last_position_fits(kind: type[Positions], length: int, offset: int) -> None:
    module = kind(D_MODEL, max_len=MAX_LEN)
    last = module(torch.zeros(1, length, D_MODEL), offset)[0, -1]
    assert torch.equal(last, table_of(module)[-1])


@both_kinds
@pytest.mark.parametrize(("length", "offset", "needed"), [(8, 0, 8), (1, 7, 8), (5, 11, 16)])
def test_a_sequence_past_the_end_is_refused(
    kind: type[Positions], length: int, offset: int, needed: int
) -> None:
    message = (
        f"a sequence of length {length} at offset {offset} needs {needed} positions, "
        f"but max_len is {MAX_LEN}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(D_MODEL, max_len=MAX_LEN)(torch.zeros(B, length, D_MODEL), offset)


@both_kinds
def test_a_negative_offset_is_refused(kind: type[Positions]) -> None:
    with pytest.raises(ValueError, match=r"^offset must not be negative, got -1$"):
        kind(D_MODEL, max_len=MAX_LEN)(torch.zeros(B, T, D_MODEL), offset=-1)


@both_kinds
@pytest.mark.parametrize("shape", [(B, T, 11), (T, D_MODEL), (1, B, T, D_MODEL)])
def test_another_shape_is_refused(kind: type[Positions], shape: tuple[int, ...]) -> None:
    message = re.escape(f"x must have shape (B, T, {D_MODEL}), got {shape}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(D_MODEL, max_len=MAX_LEN)(torch.zeros(shape))


@both_kinds
@pytest.mark.parametrize(
    ("d_model", "max_len", "dropout", "message"),
    [
        (0, 7, 0.0, "d_model must be a positive integer, got 0"),
        (12, 0, 0.0, "max_len must be a positive integer, got 0"),
        (12, 7, 1.0, "dropout must lie in [0, 1), got 1.0"),
        (12, 7, -0.1, "dropout must lie in [0, 1), got -0.1"),
    ],
)
def test_sizes_out_of_range_are_refused(
    kind: type[Positions], d_model: int, max_len: int, dropout: float, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(d_model, max_len=max_len, dropout=dropout)

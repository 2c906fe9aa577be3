"""Scaled dot-product attention as grids of numbers, laid out so that equal axes line up.

Every row of the lower grids belongs to one query. Kᵀ stands above the scores and V above the
output, as when one multiplies matrices on paper: a row from the left meets a column from above.
The shades are computed, so each row of weights really is the softmax of the scores beside it.
"""

from collections.abc import Iterator, Sequence
from math import exp, inf, sqrt

import svg
from parts import INK

Matrix = Sequence[Sequence[float]]

WIDTH, HEIGHT, CELL = 900, 510, 25
UPPER_END, TOP = 236, 284  # the lower edge of the upper grids, the upper edge of the lower ones
Q_X, SCORES_X, MASKED_X, WEIGHTS_X, OUTPUT_X = 72, 220, 425, 630, 803
ROW, COLUMN = 1, 2  # the query and the key that the picture follows

# Shapes: query (T_q, d_head), key (T_k, d_head), value (T_k, d_value).
QUERY: Matrix = ((2, 0, 1, 1), (0, 2, 1, 0), (1, 1, 0, 2))
KEY: Matrix = ((2, 1, 0, 1), (1, 0, 2, 0), (0, 3, 1, 0), (1, 1, 1, 1), (2, 0, 0, 2))
VALUE: Matrix = ((3, 0), (1, 1), (0, 3), (2, 2), (3, 3))
MASK = (True, True, True, True, False)  # for every query: the last key is padding


def transpose(matrix: Matrix) -> Matrix:
    """Swap rows and columns."""
    return tuple(zip(*matrix, strict=True))


def matmul(left: Matrix, right: Matrix) -> Matrix:
    """Multiply two matrices."""
    columns = transpose(right)
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left
    ]


def softmax(row: Sequence[float]) -> list[float]:
    """Turn a row of scores into weights that sum to 1."""
    powers = [exp(score) for score in row]
    return [power / sum(powers) for power in powers]


SCORES = matmul(QUERY, transpose(KEY))
MASKED = [
    [s / sqrt(len(KEY[0])) if may else -inf for s, may in zip(row, MASK, strict=True)]
    for row in SCORES
]
WEIGHTS = [softmax(row) for row in MASKED]
OUTPUT = matmul(WEIGHTS, VALUE)


def render() -> str:
    """The picture as SVG."""
    desc = (
        "Query Q of shape (T_q, d_head) is multiplied with the transpose of key K of shape (T_k, "
        "d_head): scores of shape (T_q, T_k). They are divided by the square root of d_head. "
        "Where an optional mask is False, the score becomes minus infinity. A softmax over the "
        "keys gives weights of shape (T_q, T_k), whose rows sum to 1. The weights times value V "
        "of shape (T_k, d_value) are the output of shape (T_q, d_value). The grids are placed so "
        "that a query's row runs through the whole picture and the keys' columns stand above the "
        "scores."
    )
    shapes = [*_grids(), *_axes(), *_captions(), *_steps()]
    return svg.document(WIDTH, HEIGHT, "Scaled dot-product attention", desc, shapes)


def _grids() -> Iterator[str]:
    """All matrices, then black rings around what the followed query and key touch."""
    yield from _grid(Q_X, TOP, QUERY, svg.ORANGE)
    yield from _grid(SCORES_X, _upper(4), transpose(KEY), svg.GREEN)
    yield from _grid(SCORES_X, TOP, SCORES, svg.SKY)
    yield from _grid(MASKED_X, _upper(3), [[float(may) for may in MASK]] * 3, svg.YELLOW, "×")
    yield from _grid(MASKED_X, TOP, MASKED, svg.SKY)
    yield from _grid(WEIGHTS_X, TOP, WEIGHTS, svg.BLUE, "0")
    yield from _grid(OUTPUT_X, _upper(5), VALUE, svg.PURPLE)
    yield from _grid(OUTPUT_X, TOP, OUTPUT, svg.PURPLE)
    y, column_x = TOP + ROW * CELL, SCORES_X + COLUMN * CELL
    for x, cells in ((Q_X, 4), (MASKED_X, 5), (WEIGHTS_X, 5), (OUTPUT_X, 2)):
        yield _ring(x, y, cells, 1)
    yield _ring(column_x, _upper(4), 1, 4) + _ring(column_x, y, 1, 1)


def _grid(x: float, y: float, matrix: Matrix, colour: str, zero: str = "") -> Iterator[str]:
    """A matrix as cells, darker for larger numbers; `zero` is written where nothing is left."""
    largest = max(map(max, matrix))
    for i, row in enumerate(matrix):
        for j, number in enumerate(row):
            blocked = number == -inf or (number == 0 and zero)
            fill = svg.mix(svg.WHITE, colour, 0.12 + 0.78 * max(number, 0) / largest)
            at = x + j * CELL, y + i * CELL
            yield svg.rect(*at, CELL, CELL, fill=svg.WHITE if blocked else fill, stroke=INK)
            if blocked:
                middle = at[0] + CELL / 2, at[1] + CELL / 2
                yield svg.text(middle, zero or "−∞", size=14)


def _ring(x: float, y: float, columns: int, rows: int) -> str:
    """A black outline around some cells."""
    size = columns * CELL, rows * CELL
    return svg.rect(x, y, *size, fill="none", stroke=svg.BLACK, stroke_width=4, radius=2)


def _upper(rows: int) -> float:
    """The upper edge of an upper grid with so many rows."""
    return UPPER_END - rows * CELL


def _axes() -> Iterator[str]:
    """A bracket for every axis of Q, K and V, in one colour per size."""
    yield _bracket((Q_X - 9, TOP), 3, "T_q", svg.VERMILION, down=True)
    yield _bracket((Q_X, TOP - 9), 4, "d_head", svg.GREEN)
    yield _bracket((SCORES_X - 9, _upper(4)), 4, "d_head", svg.GREEN, down=True)
    yield _bracket((SCORES_X, _upper(4) - 9), 5, "T_k", svg.BLUE)
    yield _bracket((OUTPUT_X - 9, _upper(5)), 5, "T_k", svg.BLUE, down=True)
    yield _bracket((OUTPUT_X, _upper(5) - 9), 2, "d_value", svg.PURPLE)


def _bracket(start: svg.Point, cells: int, name: str, colour: str, down: bool = False) -> str:
    """A line along one side of a grid, with the name of that axis' size."""
    (x, y), length = start, cells * CELL
    end = (x, y + length) if down else (x + length, y)
    label = (x - 8, y + length / 2) if down else (x + length / 2, y - 15)
    drawn = svg.line([start, end], stroke=colour, width=4, arrow=False)
    return drawn + svg.text(label, name, size=16, anchor="end" if down else "middle")


def _captions() -> Iterator[str]:
    """The name and shape of every matrix."""
    lower = TOP + 3 * CELL + 24
    for x, cells, name, shape in (
        (Q_X, 4, "Q", "(T_q, d_head)"),
        (SCORES_X, 5, "scores", "(T_q, T_k)"),
        (MASKED_X, 5, "scaled, masked", "(T_q, T_k)"),
        (WEIGHTS_X, 5, "weights", "(T_q, T_k)"),
        (OUTPUT_X, 2, "output", "(T_q, d_value)"),
    ):
        middle = x + cells * CELL / 2
        yield svg.text((middle, lower), name, size=18, bold=True)
        yield svg.text((middle, lower + 23), shape, size=16)
    for centre, rows, lines in (
        (SCORES_X + 2.5 * CELL, 4, ("K^T", "from K (T_k, d_head)", "")),
        (MASKED_X + 2.5 * CELL, 3, ("mask (optional)", "(T_q, T_k)", "True = may attend")),
        (OUTPUT_X + CELL, 5, ("V", "(T_k, d_value)", "")),
    ):
        above = _upper(rows) - 64
        yield svg.text((centre, above - 5), lines[0], size=18, bold=True)
        yield svg.text((centre, above + 18), lines[1], size=16)
        yield svg.text((centre, above + 46), lines[2], fill=INK)


def _steps() -> Iterator[str]:
    """The arrows from grid to grid, what each does, and the formula."""
    y = TOP + 1.5 * CELL
    for start, end, above, below in (
        (Q_X + 4 * CELL, SCORES_X, "", ""),
        (SCORES_X + 5 * CELL, MASKED_X, "÷ √d_head", "scale"),
        (MASKED_X + 5 * CELL, WEIGHTS_X, "softmax", "over keys"),
        (WEIGHTS_X + 5 * CELL, OUTPUT_X, "", ""),
    ):
        yield svg.line([(start + 5, y), (end - 4, y)], stroke=INK)
        yield svg.text(((start + end) / 2, y - 16), above)
        yield svg.text(((start + end) / 2, y + 16), below)
    for middle in (SCORES_X + 2.5 * CELL, MASKED_X + 2.5 * CELL, OUTPUT_X + CELL):
        yield svg.line([(middle, UPPER_END + 5), (middle, TOP - 4)], stroke=INK)
    for centre, notes in (
        (Q_X + 2 * CELL, ("one query times", "one key gives", "one score")),
        (WEIGHTS_X + 2.5 * CELL, ("each output row is", "a weighted mean", "of the rows of V")),
        (WEIGHTS_X + 2.5 * CELL, ("each row sums to 1",)),
    ):
        first = UPPER_END - 116 if len(notes) > 1 else TOP + 3 * CELL + 70
        for i, note in enumerate(notes):
            yield svg.text((centre, first + 20 * i), note, fill=INK)
    formula = "output = softmax(Q K^T / √d_head) V"
    yield svg.text((WIDTH / 2, HEIGHT - 38), formula, size=21)

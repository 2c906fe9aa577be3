"""The parts a diagram is made of: each has a dotted name and draws itself, coloured or muted."""

from dataclasses import dataclass

import svg
from svg import Point

INK = "#4A4A4A"  # lines and notes
MUTED_FILL, MUTED_LINE, MUTED_TEXT = "#F6F4EF", "#A5A29B", "#6A6863"
FRAME_FILL = "#F3F0E9"


def _surface(colour: str) -> tuple[str, str, str]:
    """Fill, edge and text of a coloured part.

    Black text stands out more from a lighter shade, white text needs the full colour.
    """
    if colour == svg.WHITE:
        return colour, INK, svg.BLACK
    ink = svg.ink_on(colour)
    fill = svg.mix(colour, svg.WHITE, 0.2) if ink == svg.BLACK else colour
    return fill, svg.mix(colour, svg.BLACK, 0.4), ink


@dataclass(frozen=True)
class Box:
    """A box around its middle; a line of text that starts with "*" is bold."""

    name: str
    middle: Point
    size: tuple[float, float]
    lines: tuple[str, ...]
    fill: str = svg.WHITE
    dash: str | None = None
    radius: float = 9

    def draw(self, lit: bool) -> str:
        """The box with its lines of text centred in it."""
        fill, edge, ink = MUTED_FILL, MUTED_LINE, MUTED_TEXT
        if lit:
            fill, edge, ink = _surface(self.fill)
        (x, y), (width, height) = self.middle, self.size
        outline = svg.rect(
            x - width / 2, y - height / 2, width, height, fill=fill,
            stroke=edge, stroke_width=2 if self.dash else 1.5, radius=self.radius, dash=self.dash,
        )  # fmt: skip
        first = y - 19.5 * (len(self.lines) - 1) / 2
        return outline + "".join(
            svg.text(
                (x, first + 19.5 * i), line.lstrip("*"), size=17 if line[0] == "*" else 15,
                bold=line[0] == "*", fill=ink,
            )
            for i, line in enumerate(self.lines)
        )  # fmt: skip

    def ring(self) -> str:
        """A bold black outline on the box's edge."""
        (x, y), (width, height) = self.middle, self.size
        return svg.rect(
            x - width / 2, y - height / 2, width, height, fill="none", stroke=svg.BLACK,
            stroke_width=4.5, radius=self.radius,
        )  # fmt: skip


@dataclass(frozen=True)
class Wire:
    """A line through points; with an arrow, its tip lies on the last one."""

    name: str
    points: tuple[Point, ...]
    colour: str = INK
    width: float = 2
    arrow: bool = True

    def draw(self, lit: bool) -> str:
        """The line; it keeps its width when muted."""
        colour = self.colour if lit else MUTED_LINE
        return svg.line(self.points, stroke=colour, width=self.width, arrow=self.arrow)


@dataclass(frozen=True)
class Dot:
    """A disc where a line branches, or a larger ring with a sign in it."""

    name: str
    middle: Point
    colour: str = INK
    sign: str = ""

    def draw(self, lit: bool) -> str:
        """The disc or ring."""
        colour = self.colour if lit else MUTED_LINE
        if not self.sign:
            return svg.circle(self.middle, 5, fill=colour)
        fill, edge, ink = _surface(colour) if lit else (MUTED_FILL, MUTED_LINE, MUTED_TEXT)
        ring = svg.circle(self.middle, 13, fill=fill, stroke=edge)
        return ring + svg.text(self.middle, self.sign, size=20, bold=True, fill=ink)


@dataclass(frozen=True)
class Note:
    """A line of small text; `backed` cuts open the line behind it."""

    name: str
    at: Point
    content: str
    anchor: str = "middle"
    backed: bool = False

    def draw(self, lit: bool) -> str:
        """The text."""
        fill = svg.BLACK if lit else MUTED_TEXT
        x, y = self.at
        back = svg.rect(x - 50, y - 10, 100, 20, fill=svg.CARD) if self.backed else ""
        return back + svg.text(self.at, self.content, fill=fill, anchor=self.anchor)


@dataclass(frozen=True)
class Frame:
    """The outline of a stack of equal layers, with a title on its upper edge."""

    name: str
    corner: Point
    size: tuple[float, float]
    title: str

    def draw(self, lit: bool) -> str:
        """Three outlines, one behind the other, and the title's label."""
        (x, y), (width, height) = self.corner, self.size
        edge, ink = (INK, svg.BLACK) if lit else (MUTED_LINE, MUTED_TEXT)
        cards = "".join(
            svg.rect(x + d, y + d, width, height, fill=FRAME_FILL, stroke=edge, radius=14)
            for d in (10, 5, 0)
        )
        label = svg.rect(x + 16, y - 16, 198, 32, fill=svg.CARD, stroke=edge, radius=16)
        title = svg.text((x + 30, y), self.title, size=18, bold=True, fill=ink, anchor="start")
        layers = svg.text((x + 200, y), "× N layers", fill=ink, anchor="end")
        return cards + label + title + layers


@dataclass(frozen=True)
class CausalMask:
    """A grid whose lower triangle is filled: where attention is allowed."""

    name: str
    corner: Point

    def draw(self, lit: bool) -> str:
        """Four by four cells."""
        filled, edge = (svg.SKY, INK) if lit else (MUTED_LINE, MUTED_TEXT)
        (x, y), cell = self.corner, 6.5
        return "".join(
            svg.rect(
                x + cell * column, y + cell * row, cell, cell, stroke=edge, stroke_width=0.8,
                fill=filled if column <= row else svg.WHITE,
            )
            for row in range(4)
            for column in range(4)
        )  # fmt: skip


Part = Box | Wire | Dot | Note | Frame | CausalMask

"""Small SVG shapes: every helper returns one piece of SVG text, and nothing here knows a picture.

The pictures must look the same on a white and on a dark page and wherever they are embedded. So
they bring their own light card, and they use neither style sheets nor ids that could collide.
"""

import re
from collections.abc import Iterable, Sequence
from math import hypot
from xml.sax.saxutils import escape

Point = tuple[float, float]

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
CARD, CARD_EDGE = "#FCFBF8", "#D8D5CD"
BLACK, WHITE = "#1A1A1A", "#FFFFFF"

# The colours of Okabe and Ito (2008), told apart by readers with any kind of colour vision.
BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILION, PURPLE, YELLOW = "#E69F00", "#D55E00", "#CC79A7", "#F0E442"


def luminance(colour: str) -> float:
    """Relative luminance of an "#RRGGBB" colour, 0 (black) to 1 (white), as WCAG 2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21; text needs at least 4.5."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def ink_on(fill: str) -> str:
    """The text colour, black or white, that stands out more from a fill."""
    return max((BLACK, WHITE), key=lambda ink: contrast(ink, fill))


def mix(colour: str, other: str, share: float) -> str:
    """Blend two colours; `share` is the part of `other`, 0 to 1."""
    pairs = ((int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def element(name: str, content: str | None = None, **attributes: object) -> str:
    """One SVG element; `stroke_width=2` becomes `stroke-width="2"`, and None is left out."""
    texts = {k: f"{v:g}" if isinstance(v, int | float) else v for k, v in attributes.items()}
    inside = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in texts.items() if v is not None)
    return f"<{name}{inside}/>" if content is None else f"<{name}{inside}>{content}</{name}>"


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str,
    stroke: str = "none",
    stroke_width: float = 1.5,
    radius: float = 0,
    dash: str | None = None,
) -> str:
    """A rectangle, its corners rounded by `radius`."""
    return element(
        "rect", x=x, y=y, width=width, height=height, rx=radius, fill=fill,
        stroke=stroke, stroke_width=stroke_width, stroke_dasharray=dash,
    )  # fmt: skip


def circle(centre: Point, radius: float, *, fill: str, stroke: str = "none") -> str:
    """A circle."""
    x, y = centre
    return element("circle", cx=x, cy=y, r=radius, fill=fill, stroke=stroke, stroke_width=2)


def text(
    at: Point,
    content: str,
    *,
    size: float = 15,
    bold: bool = False,
    fill: str = BLACK,
    anchor: str = "middle",
) -> str:
    """One line of text, its letters centred on the height of `at`.

    `T_q` is set with a subscript and `K^T` with a superscript.
    """
    return element(
        "text", _scripts(content, size), x=at[0], y=round(at[1] + 0.35 * size, 2), font_size=size,
        font_weight="bold" if bold else None, fill=fill, text_anchor=anchor,
    )  # fmt: skip


def _scripts(content: str, size: float) -> str:
    """Turn `_q` and `^T` after a letter into smaller, shifted letters."""
    first, *rest = re.split(r"(?<=\w)([_^])([A-Za-z]+)", escape(content))
    parts = [first]
    for mark, script, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        shift = round(size * (0.22 if mark == "_" else -0.36), 1)
        parts.append(element("tspan", script, dy=shift, font_size=round(0.76 * size, 1)))
        parts.append(element("tspan", after, dy=-shift) if after else "")
    return "".join(parts)


def line(points: Sequence[Point], *, stroke: str, width: float = 2, arrow: bool = True) -> str:
    """A line through the points with rounded corners; the arrow's tip lies on the last point."""
    head = 5 + 2 * width
    drawn = [*points[:-1], _towards(points[-1], points[-2], head - 1)] if arrow else [*points]
    path = [f"M{drawn[0][0]:g} {drawn[0][1]:g}"]
    for before, corner, after in zip(drawn, drawn[1:], drawn[2:], strict=False):
        (ax, ay), (bx, by) = _towards(corner, before, 10), _towards(corner, after, 10)
        path.append(f"L{ax:g} {ay:g}Q{corner[0]:g} {corner[1]:g} {bx:g} {by:g}")
    path.append(f"L{drawn[-1][0]:g} {drawn[-1][1]:g}")
    shaft = element("path", d="".join(path), fill="none", stroke=stroke, stroke_width=width)
    return shaft + (_arrow_head(points[-2], points[-1], head, stroke) if arrow else "")


def _towards(start: Point, goal: Point, distance: float) -> Point:
    """The point that lies `distance` from `start` on the way to `goal`."""
    share = distance / hypot(goal[0] - start[0], goal[1] - start[1])
    return start[0] + (goal[0] - start[0]) * share, start[1] + (goal[1] - start[1]) * share


def _arrow_head(start: Point, tip: Point, length: float, fill: str) -> str:
    """A filled triangle that points from `start` to `tip`."""
    x, y = _towards(tip, start, length)
    across_x, across_y = (tip[1] - y) * 0.5, (x - tip[0]) * 0.5
    corners = (tip, (x + across_x, y + across_y), (x - across_x, y - across_y))
    return element("polygon", points=" ".join(f"{a:g},{b:g}" for a, b in corners), fill=fill)


def document(width: float, height: float, title: str, desc: str, shapes: Iterable[str]) -> str:
    """The whole SVG: a card with rounded corners, the alternative text, then the shapes."""
    card = rect(1, 1, width - 2, height - 2, fill=CARD, stroke=CARD_EDGE, stroke_width=2, radius=18)
    parts = [element("title", escape(title)), element("desc", escape(desc)), card, *shapes]
    return element(
        "svg", "\n" + "\n".join(parts) + "\n", xmlns="http://www.w3.org/2000/svg", width=width,
        height=height, viewBox=f"0 0 {width:g} {height:g}", role="img", font_family=FONT,
    ) + "\n"  # fmt: skip

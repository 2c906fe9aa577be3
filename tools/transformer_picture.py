"""The whole Transformer of 2017, drawn from a list of its parts, with any of them coloured.

Layout: the encoder is the upper row, the decoder the lower. In each row a straight line runs from
left to right through every "add & norm": that line is the residual path, and each sublayer hangs
above its piece of it. Parts have dotted names such as `enc.self.attention`, so that a lesson says
with a few patterns (`*.attention`) which of them it is about.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

import svg
from parts import INK, Box, CausalMask, Dot, Frame, Note, Part, Wire


class Sublayer(NamedTuple):
    """One of a layer's sublayers: what its box says and what goes into it."""

    name: str
    kind: str
    lines: tuple[str, str]
    fill: str
    inputs: tuple[str, ...] = ()
    dash: str | None = None


class Row(NamedTuple):
    """The encoder or the decoder: what it is made of and how high its lines lie."""

    name: str
    title: str
    top: float  # the frame's upper edge
    upper: float  # the middle of the sublayers
    stream: float  # the straight line through every add & norm
    sublayers: tuple[Sublayer, ...]


QKV = ("query,", "key, value")
SELF = Sublayer("self", "attention", ("multi-head", "*self-attention"), svg.BLUE, QKV)
MASKED = Sublayer(
    "self", "attention", ("masked multi-head", "*self-attention"), svg.SKY, QKV, "7 4"
)
CROSS = Sublayer("cross", "attention", ("multi-head", "*cross-attention"), svg.BLUE, ("query",))
FEED = Sublayer("ff", "feed_forward", ("position-wise", "*feed-forward"), svg.ORANGE)
ENCODER = Row("enc", "Encoder", 46, 112, 210, (SELF, FEED))
DECODER = Row("dec", "Decoder", 316, 416, 514, (MASKED, CROSS, FEED))

WIDTH, HEIGHT = 900, 628
LEFT, RIGHT, COLUMN = 90, 810, 132  # the outer columns: their middles and their width
UNIT, STEP, FIRST = 150, 174, 188  # a sublayer's width, its distance to the next, the first's x
BRANCH, NORM = 24, (68, 52)  # where a sublayer's input leaves the stream; the size of add & norm
TALL = 62  # a sublayer's height
CHANNEL = 284  # the height at which memory travels to the decoder


def parts() -> list[Part]:
    """Every part of the Transformer, from back to front."""
    return [*_row(ENCODER), *_inputs(), *_row(DECODER), *_memory(), *_output()]


def _row(row: Row) -> Iterator[Part]:
    """A stack of layers with its frame, and the line that enters it."""
    last = FIRST + (len(row.sublayers) - 1) * STEP + UNIT
    frame_size = last + 16 - (FIRST - 16), row.stream + 38 - row.top
    yield Frame(f"{row.name}.frame", (FIRST - 16, row.top), frame_size, row.title)
    start: float = LEFT + 13
    for i, sublayer in enumerate(row.sublayers):
        x = FIRST + i * STEP
        enter = ((start, row.stream), (x + BRANCH, row.stream))
        yield Wire(f"{row.name}.{sublayer.name}.flow", enter, arrow=False)
        yield from _sublayer(row, sublayer, x)
        start = x + UNIT


def _sublayer(row: Row, sublayer: Sublayer, x: float) -> Iterator[Part]:
    """A sublayer above the stream, its residual path and its add & norm."""
    name, stream, below = f"{row.name}.{sublayer.name}", row.stream, row.upper + TALL / 2
    norm_x, branch = x + UNIT - NORM[0] / 2, (x + BRANCH, stream)
    norm_left = x + UNIT - NORM[0]
    yield Wire(f"{name}.residual", (branch, (norm_left, stream)), svg.GREEN, 4)
    yield Note(f"{name}.residual", ((branch[0] + norm_left) / 2, stream + 18), "residual")
    yield Wire(f"{name}.in", (branch, (x + BRANCH, below)))
    for i, content in enumerate(sublayer.inputs):
        y = below + 24 + 17 * (i - (len(sublayer.inputs) - 1) / 2)
        yield Note(f"{name}.in", (x + BRANCH + 9, y), content, "start")
    yield Wire(f"{name}.out", ((norm_x, below), (norm_x, stream - NORM[1] / 2)))
    yield Dot(f"{name}.residual", branch, svg.GREEN)
    middle = x + UNIT / 2, row.upper
    yield Box(
        f"{name}.{sublayer.kind}", middle, (UNIT, TALL), sublayer.lines, sublayer.fill,
        sublayer.dash,
    )  # fmt: skip
    yield Box(f"{name}.norm", (norm_x, stream), NORM, ("*add &", "*norm"), svg.GREEN, radius=20)


def _inputs() -> Iterator[Part]:
    """The left column: tokens, embeddings and positions of the encoder and of the decoder."""
    source = Box("enc.tokens", (LEFT, 60), (COLUMN, 44), ("*source", "tokens"), radius=22)
    lines = "*target", "shifted right"
    target = Box("dec.tokens", (LEFT, 358), (COLUMN, 44), lines, radius=22)
    for row, tokens in ((ENCODER, source), (DECODER, target)):
        y, bottom = row.stream, tokens.middle[1] + tokens.size[1] / 2
        yield tokens
        yield Wire(f"{row.name}.embedding", ((LEFT, bottom), (LEFT, y - 94)))
        yield Wire(f"{row.name}.embedding", ((LEFT, y - 36), (LEFT, y - 13)))
        yield Wire(f"{row.name}.positions", ((LEFT, y + 36), (LEFT, y + 13)))
        yield Dot(f"{row.name}.positions", (LEFT, y), svg.PURPLE, "+")
        embedding = "*embedding", "× √d_model"
        yield Box(f"{row.name}.embedding", (LEFT, y - 65), (COLUMN, 58), embedding, svg.VERMILION)
        positions = "*positional", "*encoding"
        yield Box(f"{row.name}.positions", (LEFT, y + 61), (COLUMN, 50), positions, svg.PURPLE)


def _memory() -> Iterator[Part]:
    """The encoder's result and its way to key and value; the mask of the decoder."""
    cross_x, top = FIRST + STEP, DECODER.upper - TALL / 2
    key, value, memory_x = cross_x + 50, cross_x + 100, 636
    out = (FIRST + STEP + UNIT, ENCODER.stream), (memory_x - 70, ENCODER.stream)
    yield Wire("enc.memory", out)
    bottom = memory_x, ENCODER.stream + 26
    way = bottom, (memory_x, CHANNEL), (key, CHANNEL), (key, top)
    yield Wire("dec.memory", way, svg.BLUE, 3)
    yield Wire("dec.memory", ((value, CHANNEL), (value, top)), svg.BLUE, 3)
    yield Dot("dec.memory", (value, CHANNEL), svg.BLUE)
    yield Note("dec.memory", (key - 9, top - 20), "key", "end")
    yield Note("dec.memory", (value + 9, top - 20), "value", "start")
    yield Note("dec.memory", ((value + memory_x) / 2 + 6, CHANNEL - 13), "to every layer")
    lines = "*memory", "(B, T, d_model)"
    yield Box("enc.memory", (memory_x, ENCODER.stream), (140, NORM[1]), lines, radius=26)
    mask_x = FIRST + 26
    yield Wire("dec.self.mask", ((mask_x + 12, top - 18), (mask_x + 12, top)))
    yield CausalMask("dec.self.mask", (mask_x, top - 44))
    yield Note("dec.self.mask", (mask_x + 32, top - 31), "causal mask", "start")


def _output() -> Iterator[Part]:
    """The right column, upwards: logits, probabilities and the loss."""
    stream, end = DECODER.stream, FIRST + 2 * STEP + UNIT
    linear, softmax, loss, labels = stream, 340, 168, 60
    yield Wire("out.linear", ((end, stream), (RIGHT - COLUMN / 2, stream)))
    yield Wire("out.linear", ((RIGHT, linear - 31), (RIGHT, softmax + 22)))
    yield Wire("out.softmax", ((RIGHT, softmax - 22), (RIGHT, loss + 31)))
    yield Wire("out.labels", ((RIGHT, labels + 22), (RIGHT, loss - 31)))
    yield Note("out.linear", (RIGHT, softmax + 62), "logits", backed=True)
    yield Note("out.linear", (RIGHT, softmax + 82), "(B, T, vocab)", backed=True)
    yield Note("out.softmax", (RIGHT, (softmax + loss) / 2 - 6), "next-token", backed=True)
    yield Note("out.softmax", (RIGHT, (softmax + loss) / 2 + 14), "probabilities", backed=True)
    size, lines = (COLUMN, 62), ("*output", "*projection")
    yield Box("out.linear", (RIGHT, linear), size, lines, svg.VERMILION)
    yield Box("out.softmax", (RIGHT, softmax), (COLUMN, 44), ("*softmax",), svg.VERMILION)
    yield Box("out.loss", (RIGHT, loss), size, ("cross-entropy", "*loss"), svg.YELLOW)
    lines = "*labels", "next tokens"
    yield Box("out.labels", (RIGHT, labels), (COLUMN, 44), lines, radius=22)


class Variant(NamedTuple):
    """Which parts a picture colours, and the words that say what it is about."""

    heading: tuple[str, ...]
    colour: str
    lit: tuple[str, ...]
    ringed: str = ""


WHOLE = Variant(("The", "Transformer"), svg.BLACK, ("*",))
FLOW = "*.tokens", "*.embedding", "*.self.flow", "*.memory", "out.*"
HEADS = "*.self.[aiom]*", "*.cross.[aio]*", "*.memory"
LESSONS = {
    "00": Variant(("Data flow",), svg.VERMILION, FLOW),
    "01": Variant(("Self-attention",), svg.BLUE, ("enc.self.[aio]*",)),
    "02": Variant(("Multi-head", "attention"), svg.BLUE, HEADS),
    "03": Variant(("Positional", "encoding"), svg.PURPLE, ("*.positions",)),
    "04": Variant(("Feed-forward",), svg.ORANGE, ("*.feed_forward", "*.ff.[io]*")),
    "05": Variant(("Residual,", "add & norm"), svg.GREEN, ("*.residual", "*.norm", "*.out")),
    "06": Variant(("Masked self-", "attention"), svg.SKY, ("dec.self.[aiom]*",)),
    "07": Variant(("Everything,", "joined by", "cross-attention"), svg.BLUE, ("*",), "*.cross.a*"),
    "08": Variant(("Training",), svg.YELLOW, ("out.*", "dec.tokens")),
    "09": Variant(("Encoder", "only"), svg.ORANGE, ("enc.*",)),
    "10": Variant(("Decoder", "only"), svg.SKY, ("dec.[!cm]*", "dec.cross.flow", "out.*")),
}
DESC = (
    "The Transformer of 2017, an encoder-decoder with post-norm. Source tokens are embedded, "
    "scaled by √d_model and given a positional encoding. N encoder layers follow: multi-head "
    "self-attention, add & norm, position-wise feed-forward, add & norm. Their result, the memory "
    "of shape (B, T, d_model), is key and value of the cross-attention in every decoder layer. "
    "The target, shifted right, is embedded in the same way. N decoder layers follow: masked "
    "multi-head self-attention under a causal mask, add & norm, multi-head cross-attention whose "
    "query comes from the decoder, add & norm, position-wise feed-forward, add & norm. Around "
    "every sublayer a residual path leads to its add & norm. An output projection gives logits of "
    "shape (B, T, vocab), a softmax the next token's probabilities; the cross-entropy loss "
    "compares them with the labels, the next tokens."
)


def render(variant: Variant) -> str:
    """The picture as SVG, the variant's parts coloured and all others in grey."""
    shapes: list[str] = []
    for part in parts():
        shapes.append(part.draw(any(fnmatchcase(part.name, lit) for lit in variant.lit)))
        if isinstance(part, Box) and fnmatchcase(part.name, variant.ringed):
            shapes.append(part.ring())
    subject = " ".join(variant.heading).replace("- ", "-")
    title = subject if variant is WHOLE else f"The Transformer: {subject}"
    coloured = "every part is" if "*" in variant.lit else f"{subject} is"
    desc = f"{DESC} Here {coloured} coloured."
    return svg.document(WIDTH, HEIGHT, title, desc, [*shapes, *_heading(variant)])


def _heading(variant: Variant) -> Iterator[str]:
    """What the picture is about, beside a bar in the part's colour."""
    x, top, height = 580, 46, 24 * len(variant.heading)
    small = "post-norm, 2017" if variant is WHOLE else "You are here"
    yield svg.rect(x - 16, top, 6, height + 24, fill=variant.colour, radius=3)
    yield svg.text((x, top + 10), small, anchor="start", fill=INK)
    for i, line in enumerate(variant.heading):
        yield svg.text((x, top + 35 + 24 * i), line, size=18, bold=True, anchor="start")

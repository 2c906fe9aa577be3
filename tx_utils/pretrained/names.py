"""Tables of names: which published tensor holds which of our parameters, and how it lies there.

A table is a tuple of `Entry`. In its names N stands for the number of a layer; its sizes have the
configs' names. The functions make the entries of the usual modules.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from torch import Tensor


class Entry(NamedTuple):
    """One published tensor, and what it becomes.

    Attributes:
        published: Its published name.
        ours: Our parameters' names. When there are several, the tensor holds them side by side.
        shape: The shape of each of our parameters, as names of sizes.
        transposed: Whether it is published as (in, out), where ours is (out, in).

    Example:
        >>> entry, _ = conv1d("attn.c_attn", ("q", "k", "v"), "d_model", "d_model")
        >>> entry.published, entry.published_shape({"d_model": 8})
        ('attn.c_attn.weight', (8, 24))
    """

    published: str
    ours: tuple[str, ...]
    shape: tuple[str, ...]
    transposed: bool = False

    @property
    def axes(self) -> list[tuple[str, int]]:
        """For each axis of the published tensor, its size's name and how often it is taken."""
        first, *others = self.shape
        axes = [(first, len(self.ours)), *((name, 1) for name in others)]
        return axes[::-1] if self.transposed else axes

    def published_shape(self, sizes: Mapping[str, int]) -> tuple[int | str, ...]:
        """The shape it should have; a size that nobody knows stays a name."""
        return tuple(sizes[name] * times if name in sizes else name for name, times in self.axes)

    def split(self, tensor: Tensor) -> dict[str, Tensor]:
        """Our parameters, as views of the published tensor."""
        tensor = tensor.T if self.transposed else tensor
        return dict(zip(self.ours, tensor.chunk(len(self.ours)), strict=True))

    def below(self, published: str, ours: str = "") -> "Entry":
        """The same entry in a larger model, where these stand before the names."""
        return self._replace(
            published=published + self.published, ours=tuple(ours + name for name in self.ours)
        )

    def of_layer(self, number: int) -> "Entry":
        """The same entry with a layer's number for N."""
        ours = tuple(_numbered(name, number) for name in self.ours)
        return self._replace(published=_numbered(self.published, number), ours=ours)


class Constant(NamedTuple):
    """A published tensor that holds no weights, but what our code knows by itself.

    Attributes:
        published: Its published name.
        meaning: What it should be, in words.
        holds: Says whether it is that, given the sizes that are known.

    Example:
        >>> is_zero = Constant("h.N.zero", "zero", lambda tensor, sizes: not tensor.any())
        >>> is_zero.of_layer(3).published
        'h.3.zero'
    """

    published: str
    meaning: str
    holds: Callable[[Tensor, Mapping[str, int]], bool]

    def below(self, published: str) -> "Constant":
        """The same constant in a larger model, where this stands before the name."""
        return self._replace(published=published + self.published)

    def of_layer(self, number: int) -> "Constant":
        """The same constant with a layer's number for N."""
        return self._replace(published=_numbered(self.published, number))


Row = TypeVar("Row", Entry, Constant)


def embedding(published: str, ours: str, rows: str) -> tuple[Entry]:
    """A table of vectors, one for each of so many things.

    Example:
        >>> embedding("wte", "embedding", "vocab_size")[0].ours
        ('embedding.weight',)
    """
    return (Entry(f"{published}.weight", (f"{ours}.weight",), (rows, "d_model")),)


def norm(published: str, ours: str) -> tuple[Entry, Entry]:
    """A LayerNorm: its scale and its shift.

    Example:
        >>> [entry.published for entry in norm("ln_f", "encoder.norm")]
        ['ln_f.weight', 'ln_f.bias']
    """
    return (
        Entry(f"{published}.weight", (f"{ours}.weight",), ("d_model",)),
        Entry(f"{published}.bias", (f"{ours}.bias",), ("d_model",)),
    )


def linear(published: str, ours: str, d_in: str, d_out: str) -> tuple[Entry, Entry]:
    """A linear layer: its weight and its bias.

    Example:
        >>> linear("intermediate.dense", "linear1", "d_model", "d_ff")[0].shape
        ('d_ff', 'd_model')
    """
    return (
        Entry(f"{published}.weight", (f"{ours}.weight",), (d_out, d_in)),
        Entry(f"{published}.bias", (f"{ours}.bias",), (d_out,)),
    )


def conv1d(published: str, ours: tuple[str, ...], d_in: str, d_out: str) -> tuple[Entry, Entry]:
    """What GPT-2 calls a convolution: linear layers side by side, their weights transposed.

    Example:
        >>> conv1d("mlp.c_fc", ("linear1",), "d_model", "d_ff")[0].transposed
        True
    """
    weights, biases = (tuple(f"{name}.{what}" for name in ours) for what in ("weight", "bias"))
    return (
        Entry(f"{published}.weight", weights, (d_out, d_in), transposed=True),
        Entry(f"{published}.bias", biases, (d_out,)),
    )


def find_prefix(names: Iterable[str], prefixes: Sequence[str]) -> str:
    """What stands before most names because the model was part of a larger one; "" if nothing.

    Example:
        >>> find_prefix(["bert.embeddings.LayerNorm.bias"], ["bert.", "roberta."])
        'bert.'
    """
    counts = Counter(next((p for p in prefixes if name.startswith(p)), "") for name in names)
    return max(counts, key=counts.__getitem__, default="")


def with_prefix(table: Iterable[Row], prefix: str) -> tuple[Row, ...]:
    """The table with this before the published names.

    Example:
        >>> with_prefix(norm("ln_f", "encoder.norm"), "transformer.")[0].published
        'transformer.ln_f.weight'
    """
    return tuple(row.below(prefix) for row in table)


def in_layers(table: Iterable[Entry], published: str) -> tuple[Entry, ...]:
    """The table of one layer as one of all layers of our encoder.

    Example:
        >>> in_layers(norm("ln_1", "attention_residual.norm"), "h")[0].ours
        ('encoder.layers.N.attention_residual.norm.weight',)
    """
    return tuple(entry.below(f"{published}.N.", "encoder.layers.N.") for entry in table)


def _numbered(name: str, number: int) -> str:
    return name.replace(".N.", f".{number}.")

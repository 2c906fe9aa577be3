"""Every tensor accounted for: each has its place in our model, or a known reason to have none."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import reduce
from typing import TypeVar

import torch
from torch import Tensor, nn

from tx_utils.pretrained.names import Constant, Entry

Config = TypeVar("Config")
Model = TypeVar("Model", bound=nn.Module)

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_LAYER_NUMBER = re.compile(r"\.(0|[1-9][0-9]{0,3})\.")
_SHOWN = 10  # an error names so many tensors of a kind; of the others it says how many they are


class Account:
    """Published weights beside the table that says what they should be.

    A size is what most of the tensors that have it say: a bad tensor is then the one to blame.

    Args:
        weights: The published tensors.
        table: What they are, and where they belong.
        constants: What else may be among them, if it holds what it should.
        left_out: How the names of tensors begin that nothing is wanted of.

    Attributes:
        sizes: The sizes read off the tensors, `num_layers` among them.

    Example:
        >>> from tx_utils.pretrained.names import in_layers, norm
        >>> weights = {"h.0.ln_1.weight": torch.ones(3), "h.0.ln_1.bias": torch.zeros(3)}
        >>> account = Account(weights, in_layers(norm("ln_1", "norm"), "h"))
        >>> account.check("a norm")
        >>> account.sizes, sorted(account.parameters())[0]
        ({'d_model': 3, 'num_layers': 1}, 'encoder.layers.0.norm.bias')
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        table: Collection[Entry],
        constants: Collection[Constant] = (),
        left_out: tuple[str, ...] = (),
    ) -> None:
        self._weights, self._left_out = weights, left_out
        self._layers = _layer_numbers(weights, {entry.published for entry in table})
        layers = self._layers or [0]  # with none at all, the first one is missing
        self._entries = {e.published: e for row in table for e in map(row.of_layer, layers)}
        self._constants = {c.published: c for row in constants for c in map(row.of_layer, layers)}
        self._found = {name: weights[name] for name in self._entries if name in weights}
        self.sizes = {**_vote(self._found, self._entries), "num_layers": len(self._layers)}

    def check(self, model: str) -> None:
        """Raise a ValueError that lists all that is wrong, if these are no weights of `model`.

        Tensors may be missing, unexpected, misshapen, of another kind of number, or a constant
        other than ours; layers may be numbered otherwise than 0, 1, 2 and so on.
        """
        problems = {
            "missing": [name for name in self._entries if name not in self._found],
            "unexpected": self._unexpected(),
            "misshapen": self._misshapen(),
            "not floating point": [
                f"{name} ({tensor.dtype})"
                for name, tensor in self._found.items()
                if tensor.dtype not in _FLOATS
            ],
            "with other contents": self._other_contents(),
            "layers not numbered from 0 on": self._gaps(),
        }
        lines = [f"{what}: {_shortened(items)}" for what, items in problems.items() if items]
        if lines:
            raise ValueError("\n".join([f"these are not the weights of {model}", *lines]))

    def parameters(self) -> dict[str, nn.Parameter]:
        """Copy the weights into parameters under our names.

        Half precision is widened to float32, which changes no number; float64 stays.
        """
        dtypes = (tensor.dtype for tensor in self._found.values())
        dtype = reduce(torch.promote_types, dtypes, torch.float32)
        return {
            ours: nn.Parameter(part.detach().to(dtype).clone(memory_format=torch.contiguous_format))
            for name, tensor in self._found.items()
            for ours, part in self._entries[name].split(tensor).items()
        }

    def _unexpected(self) -> list[str]:
        return [
            f"{name} {_text(tensor.shape)}"
            for name, tensor in self._weights.items()
            if name not in self._entries
            and name not in self._constants
            and not name.startswith(self._left_out)
        ]

    def _misshapen(self) -> list[str]:
        both = [
            (name, tuple(tensor.shape), self._entries[name].published_shape(self.sizes))
            for name, tensor in self._found.items()
        ]
        return [f"{name} {_text(a)}, expected {_text(b)}" for name, a, b in both if a != b]

    def _other_contents(self) -> list[str]:
        return [
            f"{name}, expected {constant.meaning}"
            for name, constant in self._constants.items()
            if name in self._weights and not constant.holds(self._weights[name], self.sizes)
        ]

    def _gaps(self) -> list[str]:
        in_order = self._layers == list(range(len(self._layers)))
        return [] if in_order else [str(number) for number in self._layers]


def assemble(
    build: Callable[[Config], Model], config: Config, parameters: Mapping[str, nn.Parameter]
) -> Model:
    """A model with these parameters, in evaluation mode; those given twice are shared.

    Example:
        >>> weights = {"weight": nn.Parameter(torch.ones(3)), "bias": nn.Parameter(torch.zeros(3))}
        >>> assemble(nn.LayerNorm, 3, weights).bias is weights["bias"]
        True
    """
    with torch.device("meta"):  # takes no memory and draws no random numbers
        model = build(config)
    model.load_state_dict(parameters, assign=True)
    return model.eval()


def _layer_numbers(names: Collection[str], published: Collection[str]) -> list[int]:
    """The numbers of the layers that any of these tensors belongs to, in order."""
    matches = ((name, _LAYER_NUMBER.search(name)) for name in names)
    return sorted(
        {
            int(match[1])
            for name, match in matches
            if match and _LAYER_NUMBER.sub(".N.", name, count=1) in published
        }
    )


def _vote(found: Mapping[str, Tensor], entries: Mapping[str, Entry]) -> dict[str, int]:
    """What most tensors say of each size; those with another number of axes say nothing."""
    votes: dict[str, Counter[int]] = {}
    for name, tensor in found.items():
        axes = entries[name].axes
        if tensor.dim() == len(axes):
            for (size, times), length in zip(axes, tensor.shape, strict=True):
                votes.setdefault(size, Counter())[length // times] += 1
    return {size: counts.most_common(1)[0][0] for size, counts in votes.items()}


def _text(shape: Collection[int | str]) -> str:
    return f"({', '.join(map(str, shape))})"


def _shortened(items: list[str]) -> str:
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN] + ([f"and {more} more"] if more > 0 else []))

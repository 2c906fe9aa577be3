"""What every config of a stack of layers has, and its checks."""

from typing import Protocol

from tx_utils._checks import (
    check_divisible,
    check_dropout,
    check_eps,
    check_positive,
    check_switches,
)
from tx_utils.feed_forward import check_activation


class StackConfig(Protocol):
    """What a stack of layers needs to know; every config has it."""

    @property
    def d_model(self) -> int: ...  # noqa: D102
    @property
    def num_heads(self) -> int: ...  # noqa: D102
    @property
    def num_layers(self) -> int: ...  # noqa: D102
    @property
    def d_ff(self) -> int: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102
    @property
    def norm_first(self) -> bool: ...  # noqa: D102
    @property
    def norm_eps(self) -> float: ...  # noqa: D102


def check_stack(config: StackConfig) -> None:
    """Raise a ValueError unless a stack of layers can be built from it."""
    check_divisible(config.d_model, config.num_heads)
    check_positive(num_layers=config.num_layers, d_ff=config.d_ff)
    check_dropout(config.dropout)
    check_activation(config.activation)
    check_eps(norm_eps=config.norm_eps)
    check_switches(norm_first=config.norm_first)

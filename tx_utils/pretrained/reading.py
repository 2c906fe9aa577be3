"""Where published weights come from: a state_dict in memory, or a safetensors file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

StateDict = Mapping[str, Tensor] | str | Path


def read_weights(state_dict: StateDict) -> dict[str, Tensor]:
    """Get at the tensors by their names; a safetensors file can hold nothing else, no code.

    Args:
        state_dict: Tensors by name, or the path of a safetensors file that holds them.

    Returns:
        The same tensors, not copied.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no safetensors file or not all of one, or what is given is neither a
            path nor tensors by name.

    Example:
        >>> import torch
        >>> list(read_weights({"ln_f.weight": torch.ones(3)}))
        ['ln_f.weight']
    """
    if isinstance(state_dict, str | Path):
        return _read_file(Path(state_dict))
    if not isinstance(state_dict, Mapping):
        raise ValueError(
            "state_dict must be a mapping of names to tensors, or the path of a safetensors "
            f"file, got {type(state_dict).__name__}"
        )
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(
                f"state_dict must map names to tensors, got {type(tensor).__name__} at {name!r}"
            )
    return dict(state_dict)


def _read_file(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        raise ValueError(f"{path} is a folder: expected a safetensors file")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is cut off or no safetensors file: {error}") from error

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import hugging_face
import parity
from tx_utils.pretrained import bert, gpt2

H, VOCAB = 3, 29
either = pytest.mark.parametrize("kind", ["gpt2", "bert"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A BERT in a file as Hugging Face writes it."""
    hugging_face.bert().float().save_pretrained(tmp_path)
    return tmp_path / "model.safetensors"


# Oracle


@either
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_what_hugging_face_saves_is_what_we_load(
    kind: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    theirs = (hugging_face.gpt2() if kind == "gpt2" else hugging_face.bert()).to(dtype)
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    assert load_file(path)[next(iter(theirs.state_dict()))].dtype == dtype
    load = gpt2 if kind == "gpt2" else bert
    ours, ids = load(path, num_heads=H), parity.tokens(2, 7, VOCAB)
    wide = theirs.to(torch.promote_types(dtype, torch.float32))(ids)
    expected = wide.logits if kind == "gpt2" else wide.last_hidden_state
    parity.assert_close(ours(ids), expected, 1e-10 if dtype == torch.float64 else 1e-4)
    again = load(str(path), num_heads=H)
    assert torch.equal(again(ids), ours(ids))


# Property


def test_the_model_does_not_need_the_file_any_more(path: Path) -> None:
    ours, ids = bert(path, num_heads=H), parity.tokens(2, 7, VOCAB)
    before = ours(ids)
    path.write_bytes(bytes(path.stat().st_size))  # in place, in case the file is still mapped
    path.unlink()
    assert torch.equal(ours(ids), before)


def test_a_files_tensors_are_accounted_for(path: Path) -> None:
    save_file(load_file(path) | {"extra": torch.ones(5, 7)}, path)
    with pytest.raises(ValueError, match=r"^these are not .*\nunexpected: extra \(5, 7\)$"):
        bert(path, num_heads=H)


# Border


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_cut_off_anywhere_is_refused(path: Path, part: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(
        ValueError, match=r"model\.safetensors is cut off or no safetensors"
    ) as error:
        bert(path, num_heads=H)
    assert error.value.__cause__ is not None


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("once upon a time there was a model"),
    "torch": lambda path: torch.save({"a": torch.ones(3)}, path),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "too much": lambda path: path.write_bytes(path.read_bytes() + b"more"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused(path: Path, kind: str) -> None:
    FOREIGN[kind](path)
    with pytest.raises(ValueError, match=r"model\.safetensors is cut off or no safetensors file: "):
        bert(path, num_heads=H)


@either
def test_a_missing_file_is_not_found(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.safetensors"):
        (gpt2 if kind == "gpt2" else bert)(tmp_path / "missing.safetensors", num_heads=H)


@either
def test_a_folder_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r" is a folder: expected a safetensors file$"):
        (gpt2 if kind == "gpt2" else bert)(tmp_path, num_heads=H)

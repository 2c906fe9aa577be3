"""Take the README's picture from a lesson's stored output, so that it is what the code gives."""

import base64
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOK, CELL = ROOT / "notebooks" / "01_self_attention.ipynb", "loss-figure"
PICTURE = ROOT / "images" / "lesson_01.png"


def stored_figure(notebook: Path = NOTEBOOK, cell_id: str = CELL) -> bytes:
    """The PNG that a cell of a notebook has stored.

    Raises:
        ValueError: if the notebook has no such cell, or the cell no such output.
    """
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.id == cell_id:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output["data"]["image/png"])
    raise ValueError(f"{notebook.name} has no stored figure in a cell {cell_id!r}")


if __name__ == "__main__":
    PICTURE.write_bytes(stored_figure())

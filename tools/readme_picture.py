"""Take the README's pictures from the lessons' stored outputs: they are what the code gives."""

import base64
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
# Each picture, and the cell that draws it.
PICTURES = {
    ROOT / "images" / f"lesson_{name[:2]}.png": (ROOT / "notebooks" / f"{name}.ipynb", cell_id)
    for name, cell_id in (
        ("01_self_attention", "loss-figure"),
        ("07_the_transformer", "alignment-figure"),
    )
}


def stored_figure(notebook: Path, cell_id: str) -> bytes:
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
    for picture, source in PICTURES.items():
        picture.write_bytes(stored_figure(*source))

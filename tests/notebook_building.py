"""Small notebooks for the tests of the notebooks' tools."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from PIL import Image

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def node(**content: Any) -> NotebookNode:
    return NotebookNode(nbformat.from_dict(content))


def code(source: str, *, outputs: Sequence[Any] = (), tags: Sequence[str] = ()) -> NotebookNode:
    return node(
        cell_type="code",
        execution_count=None,
        metadata={"tags": list(tags)} if tags else {},
        outputs=list(outputs),
        source=source,
    )


def markdown(source: str) -> NotebookNode:
    return node(cell_type="markdown", metadata={}, source=source)


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return node(output_type="stream", name=name, text=text)


def display(data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> NotebookNode:
    return node(output_type="display_data", data=data, metadata=metadata or {})


def error(name: str, text: str = "") -> NotebookNode:
    return node(output_type="error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def figure(image: str, alt: str = "A loss that falls from chance to zero") -> NotebookNode:
    return display({"image/png": image, "text/plain": "<Figure>"}, {"image/png": {"alt": alt}})


def notebook(cells: Sequence[NotebookNode]) -> NotebookNode:
    """A notebook of these cells as if executed: ids, and execution counts from 1 on."""
    count = 0
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "code":
            count += 1
            cell["execution_count"] = count
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return node(cells=list(cells), metadata=metadata, nbformat=4, nbformat_minor=5)


def save(content: NotebookNode, path: Path) -> Path:
    text = nbformat.v4.writes(content)
    path.write_text(text + "\n", encoding="utf-8")
    return path

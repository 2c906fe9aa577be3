import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tx_utils

PACKAGE = Path(tx_utils.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LEVELS = {
    -1: "_checks _modes",
    0: "masks cache positional feed_forward normalization embedding",
    1: "attention",
    2: "layers configs",
    3: "stacks",
    4: "models",
    5: "recording generation training tasks pretrained tokenizer ngrams bits paired",
    6: "plotting notebook experiments",
    7: "__init__",
}
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names.split()}
SEEDING = r"(torch(\.\w+)*\.(manual_)?seed\w*|random\.seed|(np|numpy)\.random\.seed)"

every_file = pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))


def part_of(file: Path) -> str:
    """The module, or the sub-package, that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the level"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(file: Path) -> list[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    return [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]


@every_file
def test_every_import_points_up_the_list(file: Path) -> None:
    part = part_of(file)
    inner = {name.split(".")[1] for name in imports(file) if name.startswith("tx_utils.")} - {part}
    assert part in LEVEL_OF, f"{part} has no level yet: give it one"
    assert "tx_utils" not in imports(file)
    assert all(LEVEL_OF[name] < LEVEL_OF[part] for name in inner), (part, inner)


@every_file
def test_plots_notebooks_prints_and_seeds_stay_where_they_belong(file: Path) -> None:
    part, outer = part_of(file), {name.split(".")[0] for name in imports(file)}
    assert part == "plotting" or "matplotlib" not in outer
    assert part == "notebook" or "IPython" not in outer
    assert "print" not in calls(file)
    if file != PACKAGE / "training" / "environment.py":
        assert not [call for call in calls(file) if re.fullmatch(SEEDING, call)]


@pytest.mark.parametrize("name", tx_utils.__all__)
def test_every_public_name_has_an_example(name: str) -> None:
    public = getattr(tx_utils, name)
    is_error = isinstance(public, type) and issubclass(public, Exception)
    assert is_error or ">>>" in (public.__doc__ or "")

"""Draw the diagrams of the series into images/; with --check, only name those out of date."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attention_picture
import transformer_picture

IMAGES = Path(__file__).resolve().parent.parent / "images"


def render_all() -> dict[str, str]:
    """Every picture: its file's name and its SVG, the same on every call."""
    lessons = {
        f"transformer_{number}.svg": transformer_picture.render(variant)
        for number, variant in transformer_picture.LESSONS.items()
    }
    return {
        "transformer.svg": transformer_picture.render(transformer_picture.WHOLE),
        **lessons,
        "scaled_dot_product_attention.svg": attention_picture.render(),
    }


def stale(pictures: Mapping[str, str], folder: Path = IMAGES) -> list[str]:
    """Names of the pictures that the folder lacks or holds in another version."""
    files = {name: folder / name for name in pictures}
    return [
        name
        for name, file in files.items()
        if not file.is_file() or file.read_bytes() != pictures[name].encode()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures that changed, or with --check report them and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    pictures = render_all()
    changed = stale(pictures)
    if check:
        for name in changed:
            print(f"images/{name} is out of date: run `make images`", file=sys.stderr)
        return 1 if changed else 0
    IMAGES.mkdir(exist_ok=True)
    for name in changed:
        (IMAGES / name).write_bytes(pictures[name].encode())
    print(f"{len(pictures)} pictures in images/, {len(changed)} of them new or changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

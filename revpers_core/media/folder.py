"""Which files in a folder are pictures, and what else lies there."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from . import images
from .image_file import ImageFileError, suffixes

MANIFEST = "manifest.jsonl"
"""What a run over a folder writes beside the results."""
PACKAGE_FOR = {".heic": "pillow-heif", ".heif": "pillow-heif", ".hif": "pillow-heif"}
"""What makes more kinds readable once it is installed."""


class FolderContents(NamedTuple):
    """pictures: in order. others: how many files of which ending are none."""

    pictures: list[Path]
    others: Counter[str]

    def __str__(self) -> str:
        """What was left alone, in one sentence."""
        kinds = ", ".join(f"{count} {end}" for end, count in sorted(self.others.items()))
        hints = sorted({f"{end}: pip install {PACKAGE_FOR[end]}" for end in self.others if end in PACKAGE_FOR})
        text = f"{self.others.total()} files are no pictures that can be read and are left out ({kinds})"
        return "; ".join([text, *hints])


def scan(folder: Path) -> FolderContents:
    """A folder and those in it, links followed once each; hidden files are none. A folder that cannot be opened, or a
    link to nowhere, is among the pictures: whoever reads it learns why not."""
    closed: list[Path] = []
    contents = FolderContents([], Counter())
    for path in _files(folder, closed):
        end = path.suffix.lower()
        if path.name == MANIFEST:
            continue
        if end not in suffixes():
            contents.others[end or "without an ending"] += 1
        elif path.is_file() or not path.exists():
            contents.pictures.append(path)
    return contents._replace(pictures=sorted([*contents.pictures, *closed]))


def pictures(folder: Path) -> list[Path]:
    """The picture files in a folder, as ``scan`` finds them; what is left out is told."""
    contents = scan(folder)
    if contents.others:
        logging.warning(f"{folder}: {contents}")
    return contents.pictures


def readable(paths: Iterable[Path]) -> Iterator[tuple[Path, Tensor]]:
    """The pictures that can be read, one at a time; the others are told."""
    for path in paths:
        try:
            yield path, images.read(path)
        except ImageFileError as error:
            logging.warning(f"{error}: it is left out")


def _files(folder: Path, closed: list[Path]) -> Iterator[Path]:
    """Links come last, and only to folders that were not seen yet: pictures are called by their own places."""
    visited: set[tuple[int, int]] = set()
    roots = [folder]

    def refused(error: OSError) -> None:
        closed.append(Path(error.filename))

    for root in roots:
        for home, folders, names in os.walk(root, onerror=refused):
            stat = os.stat(home)
            if (stat.st_dev, stat.st_ino) in visited:
                folders.clear()
                continue
            visited.add((stat.st_dev, stat.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            roots += [path for name in folders if (path := Path(home, name)).is_symlink()]
            yield from (Path(home, name) for name in names if not name.startswith("."))

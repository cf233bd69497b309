"""Originals and results on disk: which result belongs to which original."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from .. import images
from .look import Pair

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MARK = "_anonymous"
"""What `revpers anonymize` puts behind a picture's name."""


def pictures(folder: Path) -> list[Path]:
    """The picture files in a folder and the folders in it, in order; hidden ones are none."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def matched(originals: Path, results: Path) -> list[tuple[str, Path, Path | None]]:
    """(name, original, result or None): files of one name, the result's with or without ``_anonymous`` behind it.

    Raises ValueError where there is no original.
    """
    if originals.is_file():
        return [(originals.name, originals, results if results.is_file() else _of(Path(originals.name), results))]
    found = pictures(originals) if originals.is_dir() else []
    if results.resolve() != originals.resolve():  # results may lie in a folder among the originals
        found = [path for path in found if results.resolve() not in path.resolve().parents]
    if not found:
        raise ValueError(f"{originals}: there are no pictures here: name a picture or a folder of pictures")
    names = [path.relative_to(originals) for path in found]
    return [(str(name), path, _of(name, results)) for name, path in zip(names, found, strict=True)]


def _of(name: Path, results: Path) -> Path | None:
    folder = results / name.parent
    suffixes = (name.suffix, *SUFFIXES)
    asked = (folder / f"{name.stem}{mark}{suffix}" for mark in (MARK, "") for suffix in suffixes)
    return next((path for path in asked if path.is_file()), None)


def opened(triples: list[tuple[str, Path, Path | None]]) -> Iterator[Pair]:
    """The pictures, one pair at a time. A result that cannot be read is missing; an original that cannot be raises."""
    for name, original, result in triples:
        yield Pair(name, images.read(original), None if result is None else _read(result))


def _read(path: Path) -> Tensor | None:
    try:
        return images.read(path)
    except ValueError:
        return None

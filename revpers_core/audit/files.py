"""Originals and results on disk: which result belongs to which original."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from ..media import images
from .compare import ImagePair

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MARK = "_anonymous"
"""What `revpers anonymize` puts behind a picture's name."""
AUDIT_PICTURE = "audit.png"
"""What `revpers audit` writes, and what is no result."""


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
    paired = [(str(name), path, _of(name, results)) for name, path in zip(names, found, strict=True)]
    # a.jpg and a.png cannot both have become a_anonymous.png.
    first = {result: path for _, path, result in reversed(paired)}
    return [(name, path, result if first[result] == path else None) for name, path, result in paired]


def without_original(results: Path, triples: list[tuple[str, Path, Path | None]]) -> list[str]:
    """The pictures in a folder of results that were looked at neither as result nor as original."""
    if not results.is_dir() or len(triples) == 1:
        return []
    seen = {path.resolve() for _, *both in triples for path in both if path}
    left = [path for path in pictures(results) if path.resolve() not in seen and path.name != AUDIT_PICTURE]
    return [str(path.relative_to(results)) for path in left]


def _of(name: Path, results: Path) -> Path | None:
    folder = results / name.parent
    suffixes = (name.suffix, *SUFFIXES)
    asked = (folder / f"{name.stem}{mark}{suffix}" for mark in (MARK, "") for suffix in suffixes)
    return next((path for path in asked if path.is_file()), None)


def opened(triples: list[tuple[str, Path, Path | None]]) -> Iterator[ImagePair]:
    """The pictures, one pair at a time. A result that cannot be read is missing; an original that cannot be raises."""
    for name, original, result in triples:
        yield ImagePair(name, images.read(original), None if result is None else _read(result))


def _read(path: Path) -> Tensor | None:
    try:
        return images.read(path)
    except ValueError:
        return None

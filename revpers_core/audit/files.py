"""Originals and results on disk: which result belongs to which original."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from ..media import images
from ..media.folder import pictures, scan
from ..media.image_file import ImageFileError, suffixes
from .compare import ImagePair

FIRST = (".png", ".jpg", ".jpeg", ".webp")
"""What a result's name is first looked for with."""
MARK = "_anonymous"
"""What `revpers anonymize` puts behind a picture's name."""
AUDIT_PICTURE = "audit.png"
"""What `revpers audit` writes, and what is no result."""


def matched(originals: Path, results: Path) -> list[tuple[str, Path, Path | None]]:
    """(name, original, result or None): files of one name, the result's with or without ``_anonymous`` behind it.

    Raises ValueError where there is no original.
    """
    if originals.is_file():
        return [(originals.name, originals, results if results.is_file() else _of(Path(originals.name), results))]
    paths = pictures(originals) if originals.is_dir() else []
    results_folder, originals_folder = results.resolve(), originals.resolve()
    if originals_folder in results_folder.parents:  # results may lie in a folder among the originals
        paths = [path for path in paths if results_folder not in path.resolve().parents]
    earlier_results = {path.relative_to(originals) for path in paths if results_folder == originals_folder} & {
        name.parent / f"{name.stem}{MARK}.png" for name in (path.relative_to(originals) for path in paths)
    }
    paths = [path for path in paths if path.relative_to(originals) not in earlier_results]
    if not paths:
        raise ValueError(f"{originals}: there are no pictures here: name a picture or a folder of pictures")
    names = [path.relative_to(originals) for path in paths]
    paired = [(str(name), path, _of(name, results)) for name, path in zip(names, paths, strict=True)]
    # a.jpg and a.png cannot both have become a_anonymous.png.
    first = {result: path for _, path, result in reversed(paired)}
    return [(name, path, result if first[result] == path else None) for name, path, result in paired]


def without_original(results: Path, triples: list[tuple[str, Path, Path | None]]) -> list[str]:
    """The pictures in a folder of results that were looked at neither as result nor as original."""
    if not results.is_dir() or len(triples) == 1:
        return []
    compared = {path.resolve() for _, *pair in triples for path in pair if path}
    left = [path for path in scan(results).pictures if path.resolve() not in compared and path.name != AUDIT_PICTURE]
    return [str(path.relative_to(results)) for path in left]


def _of(name: Path, results: Path) -> Path | None:
    folder = results / name.parent
    ends = dict.fromkeys((name.suffix, *FIRST, *sorted(suffixes())))
    candidates = (folder / f"{name.stem}{mark}{end}" for mark in (MARK, "") for end in ends)
    return next((path for path in candidates if path.is_file()), None)


def opened(triples: list[tuple[str, Path, Path | None]]) -> Iterator[ImagePair]:
    """The pictures, one pair at a time; with one that cannot be read comes the reason."""
    for name, original, result in triples:
        before, reason = _read(original)
        after, why_not = (None, "") if result is None else _read(result)
        unread = f"{name}: {reason}" if reason else f"the result of {name}: {why_not}" if why_not else ""
        yield ImagePair(name, before, after, unread)


def _read(path: Path) -> tuple[Tensor | None, str]:
    try:
        return images.read(path), ""
    except ImageFileError as error:
        return None, error.reason

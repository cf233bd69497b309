"""Whole folders: which picture becomes which file, what is there already, and a manifest of what was made and how."""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from ..audit.files import MARK, pictures

MANIFEST = "manifest.jsonl"
PACKAGES = ("revpers", "torch", "diffusers", "onnxruntime")


class Task(NamedTuple):
    """One picture: where it lies, its name in the manifest, where its result goes, and whether it is of a folder."""

    source: Path
    name: str
    output: Path
    in_folder: bool


def tasks(inputs: Sequence[Path], output: Path) -> list[Task]:
    """A task a picture; a folder's keep their places in it. Raises ValueError for a folder without pictures."""
    return [task for path in inputs for task in (_within(path, output) if path.is_dir() else [_alone(path, output)])]


def _alone(path: Path, output: Path) -> Task:
    return Task(path, path.name, output / f"{path.stem}{MARK}.png", False)


def _within(folder: Path, output: Path) -> Iterator[Task]:
    out = output.resolve()
    found = [path for path in pictures(folder) if out == folder.resolve() or out not in path.resolve().parents]
    if not found:
        raise ValueError(f"{folder}: there are no pictures in this folder")
    for path in found:
        name = path.relative_to(folder)
        yield Task(path, name.as_posix(), output / name.parent / f"{path.stem}{MARK}.png", True)


def versions() -> dict[str, str]:
    """Of what made the pictures, as far as it is installed."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def finished(output: Path, settings: dict[str, Any]) -> dict[str, int]:
    """Names whose last line in the manifest says that they were made with these very settings, and of how many bytes
    their pictures were.

    A line that was cut off by a crash counts for nothing.
    """
    made: dict[str, int] = {}
    path = output / MANIFEST
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            told = json.loads(line)
            made[told["image"]] = told["bytes"] if "error" not in told and told["settings"] == settings else -1
        except (json.JSONDecodeError, TypeError, KeyError):
            continue
    return made


def is_finished(task: Task, made: dict[str, int]) -> bool:
    """Whether the picture's result is there. A picture of the same name that is another one by its size or is newer
    than the result is to be made: a result of somebody else must not stand for it."""
    if not task.in_folder or not task.output.is_file():
        return False
    source = task.source.stat()
    return made.get(task.name) == source.st_size and source.st_mtime <= task.output.stat().st_mtime


def append_record(output: Path, task: Task, settings: dict[str, Any], told: dict[str, Any]) -> None:
    """Add a picture's line to the manifest: what was seen of it or its error, settings, versions; no seed that was
    drawn, no absolute path."""
    line = {"image": task.name, "output": task.output.relative_to(output).as_posix(), **told}
    line["bytes"] = task.source.stat().st_size if task.source.is_file() else 0
    with (output / MANIFEST).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "settings": settings, "versions": versions()}) + "\n")

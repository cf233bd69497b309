"""Whole folders: which picture becomes which file, what is there already, and a manifest of what was made and how."""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from ..audit.files import MARK
from ..media.folder import MANIFEST, pictures
from ..media.whole_file import digest

PACKAGES = ("revpers", "torch", "diffusers", "onnxruntime")


class Task(NamedTuple):
    """One picture: where it lies, its name in the manifest, where its result goes, and whether it is of a folder."""

    source: Path
    name: str
    output: Path
    in_folder: bool


class ManifestLine(NamedTuple):
    """A line of the manifest: digests of a picture and of its result, and whether its settings are those asked for."""

    source: str | None
    result: str | None
    same_settings: bool


def tasks(inputs: Sequence[Path], output: Path) -> list[Task]:
    """One task for each picture. Those of a folder keep their places in it; results of earlier runs are left out.
    Raises ValueError for a folder without pictures."""
    found_tasks = [
        task for path in inputs for task in (_within(path, output) if path.is_dir() else [_alone(path, output)])
    ]
    return list(dict.fromkeys(found_tasks))


def _alone(path: Path, output: Path) -> Task:
    return Task(path, path.name, output / f"{path.stem}{MARK}.png", False)


def _within(folder: Path, output: Path) -> Iterator[Task]:
    out, root = output.resolve(), folder.resolve()
    paths = [path for path in pictures(folder) if root not in out.parents or out not in path.resolve().parents]
    results = _results({output, *(home for path in paths for home in path.parents if folder in (home, *home.parents))})
    paths = [path for path in paths if not _is_result(path, results)]
    if not paths:
        raise ValueError(f"{folder}: there are no pictures in this folder")
    for path in paths:
        name = path.relative_to(folder)
        yield Task(path, name.as_posix(), output / name.parent / f"{path.stem}{MARK}.png", True)


def _results(homes: set[Path]) -> dict[Path, str | None]:
    """What the manifests in these folders say was made: file -> digest."""
    lines = ((home, line) for home in homes for line in _lines(home) if "error" not in line)
    return {(home / str(line.get("output"))).resolve(): line.get("result") for home, line in lines}


def _is_result(path: Path, results: dict[Path, str | None]) -> bool:
    """A photo that has come in a result's place is none."""
    place = path.resolve()
    return place in results and digest(path) == results[place]


def versions() -> dict[str, str]:
    """Versions of the packages that made the pictures, as far as they are installed."""
    installed: dict[str, str] = {}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def _lines(output: Path) -> Iterator[dict[str, Any]]:
    """The manifest's; a line that was cut off by a crash counts for nothing."""
    path = output / MANIFEST
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line_fields = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(line_fields, dict):
            yield line_fields


def finished(output: Path, settings: dict[str, Any]) -> dict[str, ManifestLine]:
    """What the last line of each name in the manifest says, but of those that failed."""
    lines: dict[str, ManifestLine] = {}
    for line in _lines(output):
        name = str(line.get("image"))
        lines.pop(name, None)
        if "error" not in line:
            lines[name] = ManifestLine(line.get("source"), line.get("result"), line.get("settings") == settings)
    return lines


def is_finished(task: Task, lines: dict[str, ManifestLine]) -> bool:
    """Whether the picture's result is there, made of these very bytes: one of the same name and size may show somebody
    else. Raises ValueError where another file has come in the result's place."""
    line = lines.get(task.name)
    if not task.in_folder or line is None or not line.same_settings or not task.output.is_file():
        return False
    if line.source is None or line.source != digest(task.source):
        return False
    if line.result != digest(task.output):
        raise ValueError(
            f"{task.output} is not what was made of it: move that file away, or delete it to have it made again"
        )
    return True


def append_record(
    output: Path, task: Task, settings: dict[str, Any], source: str | None, record: dict[str, Any]
) -> None:
    """Add a picture's line to the manifest: what was seen of it or its error, settings, versions, digests of the
    picture (``source``, taken before it was read) and of its result; no seed that was drawn, no absolute path."""
    line = {"image": task.name, "output": task.output.relative_to(output).as_posix(), **record}
    line |= {"source": source, "result": None if "error" in record else digest(task.output)}
    manifest = output / MANIFEST
    cut_off = manifest.is_file() and manifest.stat().st_size and not manifest.read_bytes().endswith(b"\n")
    with manifest.open("a", encoding="utf-8") as file:
        file.write("\n" * bool(cut_off) + json.dumps({**line, "settings": settings, "versions": versions()}) + "\n")

"""Finished parts of a clip, so that a run that was killed goes on where it was.

They lie in a hidden folder beside the output, which only its owner may enter: new faces, the run's settings and its
seed, which must not stay; the folder goes once the clip is whole.
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .whole_file import digest

JOB = "job.json"


@dataclass(frozen=True)
class Parts:
    """folder: of the parts. seed: of the run they belong to."""

    folder: Path
    seed: int

    @classmethod
    def open(cls, output: Path, source: Path, settings: dict[str, Any], seed: int | None = None) -> "Parts":
        """The parts of a run with these very settings over this very clip, or none yet: what is there of another goes.

        seed: drawn anew unless given or there.
        """
        folder = cls.folder_of(output)
        job: dict[str, Any] = {"settings": settings, "source": digest(source)}
        job = json.loads(json.dumps(job))
        existing = _read(folder / JOB)
        if existing is not None and {**existing, "seed": None} == {**job, "seed": None}:
            old_seed = int(existing["seed"])
            if seed in (None, old_seed):
                return cls(folder, old_seed)
        parts = cls(folder, secrets.randbits(62) if seed is None else seed)
        parts.remove()
        folder.mkdir(mode=0o700, parents=True)
        with os.fdopen(os.open(folder / JOB, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({**job, "seed": parts.seed}, file)
        return parts

    @staticmethod
    def folder_of(output: Path) -> Path:
        """Where the parts of a clip lie while it is made."""
        return output.with_name(f".{output.name}.revpers")

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06}.nut"

    def record(self, number: int) -> dict[str, Any] | None:
        """What was seen of a finished part, None where it is still to be made."""
        return _read(self.folder / f"{number:06}.json") if self.path(number).is_file() else None

    def finish(self, number: int, temporary: Path, record: dict[str, Any]) -> None:
        """Take a part that was closed: from now on it counts."""
        temporary.replace(self.path(number))
        record_path = self.folder / f"{number:06}.json"
        unfinished = record_path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(record), encoding="utf-8")
        unfinished.replace(record_path)

    def remove(self) -> None:
        """Delete the folder and what this class put there."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink()
            self.folder.rmdir()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None

"""What lies in an output so that a run can be resumed: its settings, the blocks that are done, and which rows a worker
died on."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..media.whole_file import write_whole
from .files import STATE
from .records import Block, BlockReport

DEATHS = 3
"""Of workers at one row after which the row fails instead."""
SECRET_BYTES = 32


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Hash of everything that decides a result but the secret: 16 hexadecimal digits."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoints:
    """The state of a run in ``output``/_revpers."""

    output: Path

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make the output, or check that it is of these settings. Raises ValueError where it is not, OSError where
        nothing can be written there."""
        path = self._settings()
        if self.output.exists() and not self.output.is_dir():
            raise ValueError(f"{self.output} is a file: name a folder to write into")
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before != json.loads(json.dumps(settings)):
                names = sorted(n for n in {*before, *settings} if before.get(n) != settings.get(n))
                differ = ", ".join(f"{n} was {before.get(n)!r}, now {settings.get(n)!r}" for n in names)
                raise ValueError(f"{self.output} holds results of other settings ({differ}): name another folder")
        elif self.output.is_dir() and any(self.output.iterdir()):
            raise ValueError(f"{self.output} is not empty, and no data set of ours: name another folder")
        else:
            write_whole(path, json.dumps(dict(settings), indent=1).encode())
        for old in self._attempts().glob("*"):
            old.unlink()  # of another call: who stopped that one is no row's fault

    def is_begun(self) -> bool:
        return self._settings().is_file()

    def finished_blocks(self) -> dict[int, tuple[str, BlockReport]]:
        """Number -> (fingerprint, report) of the blocks that are written. A line cut off by a crash counts for
        nothing."""
        finished: dict[int, tuple[str, BlockReport]] = {}
        for path in self._finished().glob("*.json"):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                finished[int(path.stem)] = record["fingerprint"], BlockReport(**record["report"])
            except (json.JSONDecodeError, KeyError, TypeError, ValueError):
                continue
        return finished

    def finish(self, block: Block, report: BlockReport) -> None:
        """Note that a block is written."""
        record = {"fingerprint": block.fingerprint, "report": report._asdict()}
        write_whole(self._finished() / f"{block.number:06}.json", json.dumps(record).encode())
        (self._attempts() / f"{block.number:06}").unlink(missing_ok=True)

    def forget(self, number: int) -> None:
        (self._finished() / f"{number:06}.json").unlink(missing_ok=True)

    def deaths(self, block: Block) -> dict[int, int]:
        """Row -> how often a worker began it in this call and never finished the block."""
        path = self._attempts() / f"{block.number:06}"
        rows_begun = [int(line) for line in path.read_text().split()] if path.is_file() else []
        # Rows that were followed by another one were finished.
        last = [row for k, row in enumerate(rows_begun) if k + 1 == len(rows_begun) or rows_begun[k + 1] <= row]
        return {row: last.count(row) for row in set(last)}

    def begin_row(self, block: Block, row: int) -> None:
        path = self._attempts() / f"{block.number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{row}\n")

    def _settings(self) -> Path:
        return self.output / STATE / "settings.json"

    def _finished(self) -> Path:
        return self.output / STATE / "done"

    def _attempts(self) -> Path:
        return self.output / STATE / "attempts"


def read_secret(path: Path) -> bytes:
    """The run's secret, drawn and written for the owner alone where there is none. Raises ValueError for a file that
    holds another number of bytes."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(SECRET_BYTES))
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"{path}: a secret must have {SECRET_BYTES} bytes or more, got {len(secret)}")
    return secret

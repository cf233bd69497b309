"""Data sets that are folders of pictures."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..media.folder import MANIFEST, pictures
from ..media.whole_file import digest, write_whole
from .files import STATE
from .records import OK, Block, Row, RowRef, RowResult, record_of, text_id


@dataclass(frozen=True)
class FolderSource:
    """The pictures in a folder and the folders in it; a row's id is its path in there. without: a folder inside that is
    no part of it, such as the output."""

    root: Path
    without: Path | None = None
    kind: str = "folder"

    def refs(self) -> Iterator[tuple[str, Sequence[RowRef], str]]:
        without = self.without.resolve() if self.without else None
        paths = [path for path in pictures(self.root) if without is None or without not in path.resolve().parents]
        rows: list[RowRef] = []
        owners: dict[Path, str] = {}
        for path in paths:
            name = path.relative_to(self.root)
            other = owners.setdefault(name.with_suffix(""), text_id(name.name))
            problem = "" if other == text_id(name.name) else f"its result would be in the place of {other}'s: rename it"
            rows.append(RowRef(text_id(name.as_posix()), (name.as_posix(), digest(path) or ""), problem))
        yield self.root.name, rows, ""

    def read(self, block: Block) -> Iterator[Row]:
        for ref in block.rows:
            if ref.problem:
                yield Row(ref.id, problem=ref.problem)
                continue
            try:
                yield Row(ref.id, (self.root / ref.at[0]).read_bytes())
            except OSError as error:
                yield Row(ref.id, problem=f"it cannot be read: {error.strerror or error}")


@dataclass(frozen=True)
class FolderSink:
    """Pictures in the places of their originals, and what became of each row in ``manifest.jsonl``. output: where that
    goes. root: where pictures go. suffix: theirs, with its dot. labels: of every row."""

    output: Path
    root: Path
    suffix: str
    labels: Mapping[str, str]

    def write(self, block: Block, results: Sequence[RowResult]) -> None:
        for result in results:
            path = self._place(result.id)
            if result.image is None:
                path.unlink(missing_ok=True)  # of an earlier run: it would pass for this one's
            else:
                write_whole(path, result.image)
        lines = [json.dumps(record_of(result, self.labels)) for result in results]
        write_whole(self._rows(block.number), "".join(line + "\n" for line in lines).encode())

    def is_there(self, block: Block) -> bool:
        path = self._rows(block.number)
        if not path.is_file():
            return False
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return all(self._place(row["id"]).is_file() for row in rows if row["status"] == OK)

    def remove(self, number: int) -> None:
        path = self._rows(number)
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            self._place(json.loads(line)["id"]).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def finish(self, numbers: Sequence[int]) -> None:
        """All rows in one file, in their order."""
        write_whole(self.output / MANIFEST, b"".join(self._rows(number).read_bytes() for number in numbers))

    def _rows(self, number: int) -> Path:
        return self.output / STATE / "rows" / f"{number:06}.jsonl"

    def _place(self, row: str) -> Path:
        return (self.root / row).with_suffix(self.suffix)

"""Data sets that are webdataset shards, as img2dataset writes them: tar files; members of one name make a sample."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..media.image_file import suffixes
from ..media.whole_file import digest, write_whole
from .files import FileABlock, parts
from .records import USUAL, Block, Columns, Row, RowRef, RowResult, record_of, row_of, text_id

SUFFIX = ".tar"


@dataclass(frozen=True)
class ShardSource:
    """The samples of the shards at ``root``, a tar file or a folder of them. A sample is a picture (jpg, png, webp...),
    with a json of further columns where there is one; a txt is its column "txt". A row's id is the sample's key."""

    root: Path
    columns: Columns
    kind: str = "webdataset"

    def refs(self) -> Iterator[tuple[str, Sequence[RowRef], str]]:
        for path in parts(self.root, SUFFIX):
            yield path.name, list(_samples(path)), digest(path) or ""

    def read(self, block: Block) -> Iterator[Row]:
        path = self.root / block.source if self.root.is_dir() else self.root
        for ref in block.rows:
            if ref.problem:
                yield Row(ref.id, problem=ref.problem)
                continue
            try:
                sample = _sample(path, ref.at)
            except (OSError, ValueError) as error:
                yield Row(ref.id, problem=f"the sample cannot be read: {error}")
                continue
            roles = {role: name for role in ("boxes", "keep", "words") if (name := self._column(role, sample))}
            yield row_of(ref, sample, {"image": "image", **roles}, self.columns.carry)

    def _column(self, role: str, sample: Mapping[str, Any]) -> str:
        named = getattr(self.columns, role)
        return next((name for name in ((named,) if named else USUAL[role]) if name in sample), "")


def _samples(path: Path) -> Iterator[RowRef]:
    """A row a sample, and one that fails where the shard cannot be read to its end."""
    key, members = "", dict[str, tuple[int, int]]()
    problem = ""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                if (new := text_id(folder + slash + stem)) != key and members:
                    yield RowRef(key, members)
                    members = {}
                key, members[kind.lower()] = new, (member.offset_data, member.size)
    except (OSError, tarfile.TarError, UnicodeError) as error:
        problem = str(error)
    if members:
        size = path.stat().st_size
        if any(offset + length > size for offset, length in members.values()):
            problem = problem or "unexpected end of data"
        else:
            yield RowRef(key, members)
    if problem:
        yield RowRef(path.name, {}, f"the shard cannot be read{' to its end' if key else ''}: {problem}")


def _sample(path: Path, members: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Columns of a sample: its json's, "image" and "txt". Raises ValueError where the json is none."""
    sample: dict[str, Any] = {}
    with path.open("rb") as file:

        def member(kind: str) -> bytes:
            offset, size = members[kind]
            file.seek(offset)
            return file.read(size)

        if "json" in members:
            fields: Any = json.loads(member("json"))
            if not isinstance(fields, dict):
                raise ValueError("its json holds no fields")
            sample |= fields
        if "txt" in members:
            sample["txt"] = member("txt").decode("utf-8", "replace")
        picture = next((kind for kind in members if f".{kind.rpartition('.')[2]}" in suffixes()), None)
        sample["image"] = member(picture) if picture else None
    return sample


@dataclass(frozen=True)
class ShardSink(FileABlock):
    """A shard a block: a picture (none where the row failed) and a json a sample. labels: of every row. suffix: of the
    pictures, with its dot."""

    named = f"{{:06}}{SUFFIX}"
    suffix: str
    labels: Mapping[str, str]

    def write(self, block: Block, results: Sequence[RowResult]) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for result in results:
                record = json.dumps({"key": result.id, **record_of(result, self.labels)}).encode()
                for suffix, data in ((self.suffix, result.image), (".json", record)):
                    if data is not None:
                        member = tarfile.TarInfo(result.id + suffix)  # no time, no owner
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
        write_whole(self.place(block.number), buffer.getvalue())

"""Data sets that are parquet tables: a file or a folder of them, a picture's bytes in a column."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..media.whole_file import digest, write_whole
from .files import FileABlock, arrow, parts
from .records import Block, Columns, Row, RowRef, RowResult, record_of, row_of

SUFFIX = ".parquet"
READ = 16
"""Rows that are decoded at once."""


@dataclass(frozen=True)
class ParquetSource:
    """The rows of the parquet files at ``root``, a file or a folder."""

    root: Path
    columns: Columns
    kind: str = "parquet"

    def refs(self) -> Iterator[tuple[str, Sequence[RowRef], str]]:
        for path in parts(self.root, SUFFIX):
            name = path.name
            try:
                file = arrow("pyarrow.parquet").ParquetFile(path)
                if not file.metadata.num_rows:
                    continue  # it may lack columns too
                roles = self.columns.roles_in(file.schema_arrow.names, name)
                ids = file.read([roles["id"]]).column(0).to_pylist()
            except (OSError, arrow("pyarrow").ArrowException) as error:
                yield name, [RowRef(name, 0, f"the file cannot be read as parquet: {error}")], digest(path) or ""
                continue
            rows = [
                RowRef(f"{name}#{k}", k, "this row has no id") if row_id is None else RowRef(str(row_id), k)
                for k, row_id in enumerate(ids)
            ]
            yield name, rows, digest(path) or ""

    def read(self, block: Block) -> Iterator[Row]:
        if all(ref.problem for ref in block.rows):
            yield from (Row(ref.id, problem=ref.problem) for ref in block.rows)
            return
        left = list(block.rows)
        path = self.root / block.source if self.root.is_dir() else self.root
        try:
            with arrow("pyarrow.parquet").ParquetFile(path, pre_buffer=False) as file:
                roles = self.columns.roles_in(file.schema_arrow.names, path.name)
                names = list(dict.fromkeys([*roles.values(), *self.columns.carry]))
                for fields in _rows(file, names, left[0].at, left[-1].at + 1):
                    yield row_of(left.pop(0), fields, roles, self.columns.carry)
        except (OSError, arrow("pyarrow").ArrowException) as error:
            yield from (Row(ref.id, problem=f"the file cannot be read: {error}") for ref in left)

    def carried_fields(self) -> list[Any]:
        """Names and types of the columns to carry over, as the first file that can be read has them."""
        for path in parts(self.root, SUFFIX) if self.columns.carry else []:
            try:
                schema = arrow("pyarrow.parquet").read_schema(path)
            except (OSError, arrow("pyarrow").ArrowException):
                continue
            self.columns.roles_in(schema.names, path.name)
            return [schema.field(name) for name in self.columns.carry]
        return []


def _rows(file: Any, columns: Sequence[str], first: int, end: int) -> Iterator[Mapping[str, Any]]:
    """Rows from ``first`` on, before ``end``, of the row groups that hold them."""
    groups: list[int] = []
    at = skipped = 0
    for k in range(file.num_row_groups):
        count = file.metadata.row_group(k).num_rows
        if at + count <= first:
            skipped += count
        elif at < end:
            groups.append(k)
        at += count
    at = skipped
    for batch in file.iter_batches(READ, row_groups=groups, columns=list(columns)):
        low, high = max(first, at), min(end, at + batch.num_rows)
        if low < high:
            yield from batch.slice(low - at, high - low).to_pylist()
        at += batch.num_rows


@dataclass(frozen=True)
class ParquetSink(FileABlock):
    """A parquet file a block. image, id: what these columns are called. labels: of every row. carried: fields (names
    and types) that come from the input."""

    named = f"part-{{:06}}{SUFFIX}"
    image: str
    id: str
    labels: Mapping[str, str]
    carried: tuple[Any, ...] = ()

    def write(self, block: Block, results: Sequence[RowResult]) -> None:
        records = [
            {self.id if k == "id" else k: v for k, v in record_of(result, self.labels).items()} for result in results
        ]
        rows = [{**row, self.image: result.image} for row, result in zip(records, results, strict=True)]
        table = arrow("pyarrow").Table.from_pylist(rows, schema=self._schema())
        buffer = io.BytesIO()
        arrow("pyarrow.parquet").write_table(table, buffer)
        write_whole(self.place(block.number), buffer.getvalue())

    def _schema(self) -> Any:
        """The same for every block, so that files of failed rows alone fit the others."""
        pa = arrow("pyarrow")
        face = [("box", pa.list_(pa.float64())), *((name, pa.float64()) for name in NUMBERS), ("verdict", pa.string())]
        words = ((name, pa.string()) for name in ("status", "reason", "verdict", *self.labels))
        fields = [(self.id, pa.string()), (self.image, pa.binary()), *words, ("faces", pa.list_(pa.struct(face)))]
        return pa.schema([*(pa.field(*field) for field in fields), *self.carried])


NUMBERS = ("score", "guidance", "similarity_after")
"""Of a face, beside its box and verdict."""

"""Rows of a data set: what goes in, what comes out, and the blocks in which they are worked on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import Any, NamedTuple, Protocol

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels; or in shares of the picture's sides where all four are from 0 to 1."""
OK, FAILED = "ok", "failed"
USUAL = {
    "image": ("image", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes"),
    "id": ("id", "key", "__key__", "image_id", "uid"),
    "boxes": ("boxes", "face_boxes", "face_bboxes"),
    "keep": ("keep",),
    "words": ("words",),
}
"""What columns are usually called, img2dataset's names among them; the first that is there is taken."""


@dataclass(frozen=True)
class Columns:
    """What a table's columns are called; empty for the first of the usual names that is there. carry: further columns
    that go into the output as they are; none unless asked for, since a caption or an address tells who it was."""

    image: str = ""
    id: str = ""
    boxes: str = ""
    keep: str = ""
    words: str = ""
    carry: tuple[str, ...] = ()

    def roles_in(self, names: Sequence[str], where: str) -> dict[str, str]:
        """Role -> the column that plays it, among a table's ``names``. Raises ValueError where one is missing that was
        asked for or that no table can do without."""
        roles: dict[str, str] = {}
        for role, usual in USUAL.items():
            named = getattr(self, role)
            column = next((name for name in ((named,) if named else usual) if name in names), None)
            if column is not None:
                roles[role] = column
            elif named or role in ("image", "id"):
                raise ValueError(
                    f"{where} has no column {named!r}"
                    if named
                    else f"{where} has no column for the {role}: name it with --{role}-column (columns there: "
                    f"{', '.join(names)})"
                )
        if missing := [name for name in self.carry if name not in names]:
            raise ValueError(f"{where} has no column {missing[0]!r} to carry over (columns there: {', '.join(names)})")
        return roles


@dataclass(frozen=True)
class Row:
    """One picture. image: the file's bytes. boxes: faces that are known beforehand; None where nobody told. keep: faces
    that stay as they are. words: who the new faces may look like. problem: why the row cannot be worked on; empty where
    it can."""

    id: str
    image: bytes = b""
    boxes: tuple[Box, ...] | None = None
    keep: tuple[Box, ...] = ()
    words: str = ""
    carried: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problem: str = ""


@dataclass(frozen=True)
class RowResult:
    """What became of a row. image: the new picture's bytes, None where the row failed. status: "ok" or "failed".
    reason: why it failed, in words. faces: a plain record each; no seed, no embedding."""

    id: str
    image: bytes | None
    status: str
    reason: str = ""
    faces: tuple[Mapping[str, Any], ...] = ()
    verdict: str = ""
    carried: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self):
        if (self.status == OK) == (self.image is None):
            raise ValueError(f"row {self.id}: a picture belongs to a row that is ok, and to no other")


def failed(row: Row, reason: str) -> RowResult:
    """The row without a picture."""
    return RowResult(row.id, None, FAILED, " ".join(reason.split()), carried=row.carried)


def record_of(result: RowResult, labels: Mapping[str, str]) -> dict[str, Any]:
    """A row's result as plain numbers and words, without its picture. labels: the same for every row of a run."""
    record = {"id": result.id, "status": result.status, "reason": result.reason, "verdict": result.verdict}
    return {**result.carried, **record, "faces": [dict(face) for face in result.faces], **labels}


class RowRef(NamedTuple):
    """Where a row lies. at: what its source needs to find it (plain numbers and names). problem: why it will fail."""

    id: str
    at: Any
    problem: str = ""


class Block(NamedTuple):
    """Rows that are worked on and written together: the unit of a resumed run. number: its place among all. source: the
    file or folder they lie in, by name. fingerprint: of the rows and their files as they are now."""

    number: int
    source: str
    rows: tuple[RowRef, ...]
    fingerprint: str


class BlockReport(NamedTuple):
    """What became of a block. reasons: why rows failed, and how often. seconds: of work. network: of these, in the
    UNet. stop: why the whole run must end, such as a full disk; empty where it need not."""

    number: int
    rows: int
    failed: int
    reasons: Mapping[str, int]
    seconds: float = 0.0
    network: float = 0.0
    stop: str = ""


class Source(Protocol):
    """A data set that is read."""

    @property
    def kind(self) -> str: ...

    def refs(self) -> Iterator[tuple[str, Sequence[RowRef], str]]:
        """(file or folder, its rows, stamp): a stamp that changes when the file does."""
        ...

    def read(self, block: Block) -> Iterator[Row]:
        """The block's rows in order, one at a time; one that cannot be read has a problem."""
        ...


class Sink(Protocol):
    """A data set that is written, a block at a time; a block appears whole or not at all."""

    def write(self, block: Block, results: Sequence[RowResult]) -> None: ...

    def is_there(self, block: Block) -> bool:
        """Whether every file of a block that was written is still there."""
        ...

    def remove(self, number: int) -> None:
        """Take away what an earlier run wrote for the block of this number."""
        ...

    def finish(self, numbers: Sequence[int]) -> None:
        """All blocks are there: write what is over all of them."""
        ...


def blocks_of(source: Source, size: int) -> list[Block]:
    """The source's rows in blocks of up to ``size`` of one file. A row whose id an earlier one has fails: two results
    of one name would hide each other. Raises ValueError where there is no row at all."""
    if size < 1:
        raise ValueError(f"a block must have 1 row or more, got {size}")
    blocks: list[Block] = []
    first: dict[str, str] = {}
    for name, refs, stamp in source.refs():
        checked: list[RowRef] = []
        for ref in refs:
            twice = ref.id in first
            where = first.setdefault(ref.id, name)
            checked.append(ref._replace(problem=f"an earlier row, in {where}, has the same id") if twice else ref)
        for start in range(0, len(checked), size):
            rows = tuple(checked[start : start + size])
            content = json.dumps([name, stamp, rows]).encode()
            blocks.append(Block(len(blocks), name, rows, blake2b(content, digest_size=8).hexdigest()))
    if not blocks:
        raise ValueError("there is no row in this data set: nothing to do")
    return blocks


def boxes_of(value: Any, what: str) -> tuple[Box, ...]:
    """Boxes as tables hold them, a list of four numbers each. Raises ValueError for anything else."""
    if value is None:
        return ()
    try:
        boxes = [tuple(float(value) for value in box) for box in value]
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a list of boxes [x0, y0, x1, y1], got {str(value)[:60]!r}") from None
    checked: list[Box] = []
    for box in boxes:
        if len(box) != 4 or not all(map(isfinite, box)) or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f"{what} must be boxes [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {list(box)}")
        checked.append((box[0], box[1], box[2], box[3]))
    return tuple(checked)


def text_id(name: str) -> str:
    """A file's name as text: bytes of it that are no UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def row_of(ref: RowRef, fields: Mapping[str, Any], roles: Mapping[str, str], carry: Sequence[str]) -> Row:
    """A row from a table's or a shard's fields; with a problem where they cannot be used."""
    carried = {name: fields.get(name) for name in carry}
    if ref.problem:
        return Row(ref.id, carried=carried, problem=ref.problem)
    image = fields.get(roles["image"])
    if isinstance(image, Mapping):  # as Hugging Face's datasets have it: {"bytes", "path"}
        image = image.get("bytes")
    if not isinstance(image, bytes) or not image:
        return Row(ref.id, carried=carried, problem="there is no image in this row")
    try:
        boxes = fields.get(roles.get("boxes", ""))
        words = fields.get(roles.get("words", "")) or ""
        if not isinstance(words, str):
            raise ValueError(f"words must be text, got {type(words).__name__}")
        known_boxes = None if boxes is None else boxes_of(boxes, "boxes")
        return Row(ref.id, image, known_boxes, boxes_of(fields.get(roles.get("keep", "")), "keep"), words, carried)
    except ValueError as error:
        return Row(ref.id, carried=carried, problem=str(error))

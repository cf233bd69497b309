"""An audit by blocks: faces of originals and results as judges see them, gathered afterwards for ``audit.protocol``."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..audit.compare import Detect, fitted
from ..audit.files import MARK
from ..faces.face import Face
from ..faces.geometry import face_in_aligned
from ..faces.judges import Judge
from ..faces.merge import iou
from ..media import images
from ..media.whole_file import write_whole
from ..metrics.detection import normalized_error
from ..metrics.gaze import gaze_distance
from ..metrics.landmarks import expression_distance, pose_distance
from .audit_faces import faces_file
from .checkpoints import Checkpoints
from .pictures import FolderSource
from .records import Block, BlockReport, Row, RowRef, Source

IOU = 0.5
"""Of boxes from which on a face that is found is the one that was there."""


class AuditNetworks(NamedTuple):
    """Judges and detector of an audit. detect: None where pictures are aligned crops."""

    judges: Sequence[Judge]
    detect: Detect | None


def paired(originals: Source, results: Source) -> Iterator[tuple[str, Sequence[RowRef], str]]:
    """The originals' rows with the places of their results: ``at`` becomes (original's, result's or None). A folder's
    result has its original's path but for the ending, with or without ``_anonymous``."""
    folders = isinstance(originals, FolderSource)
    places: dict[str, list[Any]] = {}
    stamps = ""
    for name, refs, stamp in results.refs():
        stamps += stamp
        for ref in refs:
            if not ref.problem:
                places.setdefault(_key(ref.id) if folders else ref.id, [name, list(ref)])
    for name, refs, stamp in originals.refs():
        paired_rows = [ref._replace(at=[ref.at, places.get(_key(ref.id) if folders else ref.id)]) for ref in refs]
        yield name, paired_rows, stamp + stamps


@dataclass(frozen=True)
class PairedSource:
    """Originals whose rows know where their results are; what ``blocks_of`` cuts."""

    originals: Source
    results: Source

    @property
    def kind(self) -> str:
        return self.originals.kind

    def refs(self) -> Iterator[tuple[str, Sequence[RowRef], str]]:
        return paired(self.originals, self.results)

    def read(self, block: Block) -> Iterator[Row]:
        yield from self.originals.read(block._replace(rows=tuple(ref._replace(at=ref.at[0]) for ref in block.rows)))

    def read_results(self, block: Block) -> Iterator[Row | None]:
        """None where there is no result. Rows that lie one after the other are read together."""
        places = [ref.at[1] for ref in block.rows]
        k = 0
        while k < len(places):
            if places[k] is None:
                yield None
                k += 1
                continue
            end = k + 1
            while end < len(places) and places[end] and _follows(places[end - 1], places[end]):
                end += 1
            rows = tuple(RowRef(*place[1]) for place in places[k:end])
            yield from self.results.read(Block(block.number, places[k][0], rows, ""))
            k = end


@dataclass(frozen=True)
class AuditTask:
    """Auditing a data set. load: opens judges and detectors, and can be pickled. person, group: columns that tables
    carry, or of ``labels`` by id. folder_is_person: a folder's sub-folders are people, as LFW's are."""

    source: PairedSource
    output: Path
    load: Callable[[], AuditNetworks]
    person: str = ""
    group: str = ""
    labels: Mapping[str, Mapping[str, str]] | None = None
    folder_is_person: bool = False
    threads: int = 1

    def open(self) -> Callable[[Block], BlockReport]:
        torch.set_num_threads(self.threads)
        eyes, points = self.load(), Checkpoints(self.output)
        return lambda block: self._run(block, eyes, points)

    def _run(self, block: Block, eyes: AuditNetworks, points: Checkpoints) -> BlockReport:
        start = time.perf_counter()
        records: list[dict[str, Any]] = []
        embeddings: list[list[list[Tensor]]] = [[[], []] for _ in eyes.judges]
        reasons: Counter[str] = Counter()
        try:
            for row, result in zip(self.source.read(block), self.source.read_results(block), strict=True):
                try:
                    records += self._faces(row, result, eyes, embeddings)
                except (ValueError, RuntimeError, OSError) as error:
                    reasons[" ".join(str(error).split())] += 1
            write_faces(self.output, block.number, records, embeddings)
            count, seconds = len(block.rows), round(time.perf_counter() - start, 3)
            report = BlockReport(block.number, count, reasons.total(), dict(reasons), seconds)
            points.finish(block, report)
        except Exception as error:
            return BlockReport(block.number, len(block.rows), 0, {}, stop=f"the audit cannot go on: {error!r}")
        return report

    def _faces(
        self, row: Row, result: Row | None, eyes: AuditNetworks, embeddings: list[list[list[Tensor]]]
    ) -> list[dict[str, Any]]:
        """A record a face of an original. Raises ValueError, saying why, where the pair cannot be compared."""
        if row.problem:
            raise ValueError(f"original: {row.problem}")
        if result is None or result.problem:
            raise ValueError("there is no result" if result is None else f"result: {result.problem}")
        before = images.read(io.BytesIO(row.image))
        after = fitted(images.read(io.BytesIO(result.image)), before)
        if after is None:
            raise ValueError("the result is of another shape than its original")
        faces = [face_in_aligned(before)] if eyes.detect is None else eyes.detect(before)
        if not faces:
            raise ValueError("no face was found in the original")
        result_faces = [] if eyes.detect is None else eyes.detect(after)
        matches = _matches(faces, result_faces)
        person = str(PurePosixPath(row.id).parent) if self.folder_is_person else self._label(row, self.person)
        labels = {"id": row.id, "person": person, "group": self._label(row, self.group)}
        records: list[dict[str, Any]] = []
        for number, face in enumerate(faces):
            for judge, (sources, results) in zip(eyes.judges, embeddings, strict=True):
                sources.append(judge.embed(before, face))
                results.append(judge.embed(after, face))
            hit = next((result_faces[k] for k, n in matches.items() if n == number), None)
            labels = {**labels, "person": labels["person"] if number == 0 else ""}  # a folder names whom it is about
            records.append(
                {**labels, "face": number, "utility": None if hit is None else _utility(before, face, after, hit)}
            )
        records[0]["detections"] = [[face.score, k in matches] for k, face in enumerate(result_faces)]
        return records

    def _label(self, row: Row, name: str) -> str:
        if not name:
            return ""
        value = (self.labels or {}).get(row.id, {}).get(name) if self.labels is not None else row.carried.get(name)
        return "" if value is None else str(value)


@dataclass(frozen=True)
class AuditSink:
    """What an audit leaves of a block until it is gathered: embeddings recognise people, so they go at the end."""

    output: Path

    def write(self, block: Block, results: Sequence[Any]) -> None:
        """Blocks are written by the task."""

    def is_there(self, block: Block) -> bool:
        return faces_file(self.output, block.number).is_file()

    def remove(self, number: int) -> None:
        faces_file(self.output, number).unlink(missing_ok=True)

    def finish(self, numbers: Sequence[int]) -> None:
        """There is nothing over the blocks."""


def write_faces(output: Path, number: int, records: list[dict[str, Any]], embeddings: list[list[list[Tensor]]]) -> None:
    """A block's faces in one file, which only its owner may reach: records as JSON and an array of embeddings a judge
    and side."""
    arrays = {
        f"{side}{k}": torch.stack(rows).float().numpy() if rows else np.zeros((0, 1), np.float32)
        for k, sides in enumerate(embeddings) for side, rows in zip(("before", "after"), sides, strict=True)
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, records=np.frombuffer(json.dumps(records).encode(), np.uint8), **arrays)
    place = faces_file(output, number)
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(place, buffer.getvalue())


def _utility(before: Tensor, face: Face, after: Tensor, result_face: Face) -> list[float]:
    a, b = face.points[None], result_face.points[None]
    return [
        round(float(value), 5)
        for value in (
            normalized_error(b, a), pose_distance(a, b), gaze_distance(before[None], a, after[None], b),
            expression_distance(a, b),
        )
    ]  # fmt: skip


def _matches(faces: Sequence[Face], result_faces: Sequence[Face]) -> dict[int, int]:
    """Number of a face that is found -> of the one that was there; surest first, each once."""
    if not faces:
        return {}
    boxes = torch.tensor([face.box for face in faces], dtype=torch.float64)
    matched: dict[int, int] = {}
    for k in sorted(range(len(result_faces)), key=lambda k: -result_faces[k].score):
        overlap = iou(torch.tensor(result_faces[k].box, dtype=torch.float64), boxes)
        for number in matched.values():
            overlap[number] = 0
        best = int(overlap.argmax())
        if float(overlap[best]) >= IOU:
            matched[k] = best
    return matched


def _key(name: str) -> str:
    """A picture's path without its ending."""
    return str(PurePosixPath(name).with_suffix("")).removesuffix(MARK)


def _follows(place: Any, next_place: Any) -> bool:
    """Whether two places are neighbours in one file, so that they can be read together."""
    (file, ref), (next_file, next_ref) = place, next_place
    return file == next_file and (not isinstance(ref[1], int) or next_ref[1] == ref[1] + 1)

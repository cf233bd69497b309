"""A whole data set: opened, cut into blocks, worked on by an engine, and resumed where it was left."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .checkpoints import Checkpoints
from .engines import Engine
from .files import parts
from .parquet import ParquetSink, ParquetSource
from .pictures import FolderSink, FolderSource
from .records import Block, BlockReport, Columns, Sink, Source
from .shards import ShardSink, ShardSource
from .task import BlockTask

KINDS = ("auto", "folder", "parquet", "webdataset")
EVERY = 10.0
"""Seconds between two lines about a run."""


def open_source(root: Path, columns: Columns, kind: str = "auto", without: Path | None = None) -> Source:
    """The data set at a path, by what lies there. Raises ValueError where it is none."""
    if kind not in KINDS:
        raise ValueError(f"the kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if not root.exists():
        raise ValueError(f"{root}: there is no such file or folder")
    if kind == "auto":
        kind = "parquet" if tables_at(root) else "webdataset" if shards_at(root) else "folder"
    if kind == "parquet" and tables_at(root):
        return ParquetSource(root, columns)
    if kind == "webdataset" and shards_at(root):
        return ShardSource(root, columns)
    if kind != "folder" or not root.is_dir():
        raise ValueError(f"{root} is no data set: expected a folder of pictures, parquet files or webdataset shards")
    if columns != Columns():
        raise ValueError("columns are for parquet files and webdataset shards: a folder has none")
    return FolderSource(root, without)


def tables_at(root: Path) -> bool:
    return bool(parts(root, ".parquet")) if root.is_dir() else root.suffix == ".parquet"


def shards_at(root: Path) -> bool:
    return bool(parts(root, ".tar")) if root.is_dir() else root.suffix == ".tar"


def open_sink(source: Source, output: Path, suffix: str, labels: Mapping[str, str], fdeid: bool = False) -> Sink:
    """Where results go: the same kind of data set as they come from. fdeid: a folder as FDeID-Toolbox has it, with the
    pictures in ``data``."""
    if fdeid and not isinstance(source, FolderSource):
        raise ValueError("FDeID-Toolbox's layout is for folders of pictures")
    if isinstance(source, FolderSource):
        return FolderSink(output, output / "data" if fdeid else output, suffix, labels)
    if isinstance(source, ShardSource):
        return ShardSink(output, suffix, labels)
    assert isinstance(source, ParquetSource)
    reserved = ("status", "reason", "verdict", "faces", *labels)
    if clashing := [name for name in source.columns.carry if name in reserved]:
        raise ValueError(
            f"the column {clashing[0]!r} cannot be carried over: the output has one of its own of that name"
        )
    image, name = source.columns.image or "image", source.columns.id or "id"
    return ParquetSink(output, image, name, labels, tuple(source.carried_fields()))


@dataclass
class Progress:
    """What is done of a run so far. began: when, by the clock. reasons: why rows failed, and how often."""

    total: int
    rows: int = 0
    failed: int = 0
    resumed: int = 0
    seconds: float = 0.0
    network: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    reasons: Counter[str] = field(default_factory=Counter[str])

    def add(self, report: BlockReport) -> None:
        self.rows += report.rows
        self.failed += report.failed
        self.seconds += report.seconds
        self.network += report.network
        self.reasons.update(report.reasons)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def __str__(self) -> str:
        """The share that is done, failed rows, speed and what is left, in a line."""
        share, worked = self.rows / self.total, self.rows - self.resumed
        line = f"{self.rows:,} of {self.total:,} rows ({share:.1%}), {self.failed:,} failed"
        if not worked:
            return line
        speed = worked / max(self.elapsed, 1e-9)
        left = (self.total - self.rows) / speed
        return f"{line}, {speed:.2f} rows/s" + (f", about {_duration(left)} left" if left else "")


def run_blocks(
    engine: Engine,
    task: BlockTask,
    sink: Sink,
    blocks: Sequence[Block],
    points: Checkpoints,
    say: Callable[[Progress], None],
    retry: bool = False,
) -> Progress:
    """Every block that is not done yet; ``points.begin`` comes before. retry: blocks with failed rows are done again.

    Raises RuntimeError where results cannot be written any more; what was written stays, and the next call goes on.
    """
    progress = Progress(sum(len(block.rows) for block in blocks))
    finished, numbers = points.finished_blocks(), {block.number for block in blocks}
    for number in finished.keys() - numbers:  # of a data set that had more
        sink.remove(number)
        points.forget(number)
    todo: list[Block] = []
    for block in blocks:
        fingerprint, report = finished.get(block.number, ("", None))
        if report and fingerprint == block.fingerprint and not (retry and report.failed) and sink.is_there(block):
            progress.add(report)
            continue
        if report:
            sink.remove(block.number)
            points.forget(block.number)
        todo.append(block)
    progress.resumed, progress.seconds, progress.network = progress.rows, 0.0, 0.0
    last = time.perf_counter()
    for report in engine(task, todo):
        if report.stop:
            raise RuntimeError(f"{report.stop}; {progress}: what is done stays, run the same command again to go on")
        progress.add(report)
        if time.perf_counter() - last > EVERY:
            last = time.perf_counter()
            say(progress)
    sink.finish([block.number for block in blocks])
    return progress


def summary(progress: Progress) -> dict[str, Any]:
    """The run as plain numbers."""
    return {
        "rows": progress.rows,
        "ok": progress.rows - progress.failed,
        "failed": progress.failed,
        "resumed": progress.resumed,
        "seconds": round(progress.elapsed, 1),
        "rows_per_second": round((progress.rows - progress.resumed) / max(progress.elapsed, 1e-9), 3),
        "share_in_unet": round(progress.network / progress.seconds, 3) if progress.seconds else None,
        "reasons": dict(progress.reasons.most_common(10)),
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"

"""Blocks on a Ray cluster, by Ray Data: a pool of actors that load the model once, and back-pressure between them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .records import Block, BlockReport, RowRef
from .task import BlockTask

IN_FLIGHT = 2
"""Blocks that wait at an actor, its own among them."""
MOST = 20_000
"""Of Ray's blocks; a data set of more has several of ours in one."""


@dataclass(frozen=True)
class OnRay:
    """The engine on a Ray cluster. address: of a cluster, "auto" for the one that runs here; None starts one on
    this machine for as long as the run lasts. workers: actors, 0 for as many as fit. cpus, gpus: of each;
    gpus may be a fraction, such as 0.5.

    Input, output and the model's files must lie on a file system that every node sees at the same place.
    """

    address: str | None = None
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self):
        if self.workers < 0 or self.cpus < 0 or self.gpus < 0:
            raise ValueError(
                f"workers, CPUs and GPUs must be 0 or more, got {self.workers}, {self.cpus:g} and {self.gpus:g}"
            )

    def __call__(self, task: BlockTask, blocks: Sequence[Block]) -> Iterator[BlockReport]:
        """Raises ImportError without Ray, and RuntimeError where the cluster cannot be reached or an actor cannot
        begin."""
        if not blocks:
            return
        ray, data = ray_modules()
        started_here = not ray.is_initialized()
        try:
            if started_here:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:
            raise RuntimeError(f"Ray cannot be reached at {self.address or 'this machine'}: {error}") from error
        try:
            self._quieten(data)
            yield from self._reports(data, task, blocks)
        finally:
            if started_here:
                ray.shutdown()

    def _reports(self, data: Any, task: BlockTask, blocks: Sequence[Block]) -> Iterator[BlockReport]:
        rows = [{"block": as_text(block)} for block in blocks]
        size = {"size": self.workers} if self.workers else {"min_size": 1}
        pool = data.ActorPoolStrategy(**size, max_tasks_in_flight_per_actor=IN_FLIGHT)
        todo = data.from_items(rows, override_num_blocks=min(len(rows), MOST))
        reports = todo.map_batches(
            Anonymizer, fn_constructor_args=(task,), compute=pool, batch_size=1, num_cpus=self.cpus,
            num_gpus=self.gpus or None, max_restarts=-1, max_task_retries=-1,
        )  # fmt: skip
        gauges = _Gauges(sum(len(block.rows) for block in blocks))
        try:
            for row in reports.iter_rows():
                report = BlockReport(**json.loads(row["report"]))
                gauges.add(report)
                yield report
        except Exception as error:  # Ray wraps what an actor raises in several of its own
            cause = getattr(error, "cause", None) or error.__cause__ or error
            raise RuntimeError(" ".join(str(cause).split())[-2000:]) from error

    def _quieten(self, data: Any) -> None:
        context = data.DataContext.get_current()
        context.enable_progress_bars = False  # we say it ourselves
        context.log_internal_stack_trace_to_stdout = False


class Anonymizer:
    """An actor: opens the task once, then works on a block a batch. Its name is what Ray's dashboard shows."""

    def __init__(self, task: BlockTask):
        self.work = task.open()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """{"block": texts} to {"report": texts}: pictures never travel through Ray's object store."""
        return {"report": [json.dumps(self.work(of_text(text))._asdict()) for text in batch["block"]]}


class _Gauges:
    """The share that is done and the rows that failed, among the cluster's metrics (Ray's dashboard, Prometheus)."""

    def __init__(self, total: int):
        metrics = import_module("ray.util.metrics")
        self.total, self.rows, self.failed = total, 0, 0
        self.share = metrics.Gauge("revpers_share_done", "Share of the run's rows that are done, 0 to 1")
        self.bad = metrics.Gauge("revpers_failed_rows", "Rows of the run that failed")

    def add(self, report: BlockReport) -> None:
        self.rows += report.rows
        self.failed += report.failed
        self.share.set(self.rows / self.total)
        self.bad.set(self.failed)


def ray_modules() -> tuple[Any, Any]:
    """``ray`` and ``ray.data``. Raises ImportError, saying what to install."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        return import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise ImportError(f'the engine ray needs Ray ({error}): pip install "ray[data]"') from error


def as_text(block: Block) -> str:
    """A block as JSON, in which names that are no text survive."""
    return json.dumps(block)


def of_text(text: str) -> Block:
    number, source, rows, fingerprint = json.loads(text)
    return Block(number, source, tuple(RowRef(*row) for row in rows), fingerprint)

"""A block's work, as it is sent to workers: open once, then block by block."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from platform import node
from typing import Protocol

import torch

from ..media.anonymize_file import JobConfig
from .checkpoints import DEATHS, Checkpoints
from .records import FAILED, Block, BlockReport, Row, RowResult, Sink, Source, failed
from .worker import Encode, RowWorker

DIED = "workers died on it (out of memory?)"
BlockWorker = Callable[[Block], BlockReport]


class BlockTask(Protocol):
    """What an engine runs; it can be pickled."""

    def open(self) -> BlockWorker:
        """Load everything; called once a worker."""
        ...


@dataclass(frozen=True)
class AnonymizeTask:
    """Anonymizing a data set. load: loads model, detectors and judges, and can be pickled. threads: of each worker on a
    CPU, the same on every engine, since their number decides how sums are rounded."""

    source: Source
    sink: Sink
    output: Path
    load: Callable[[], JobConfig]
    encode: Encode
    secret: bytes = field(repr=False)
    threads: int = 1

    def open(self) -> BlockWorker:
        """Raises ValueError where this machine does not see the output: a cluster's nodes must share it."""
        points = Checkpoints(self.output)
        if not points.is_begun():
            raise ValueError(f"{self.output} is not seen on {node()}: it must lie where every node sees it")
        torch.set_num_threads(self.threads)
        job = self.load()
        network = _Clock(job)
        worker = RowWorker(job, self.secret, self.encode)
        return lambda block: self._run(block, worker, points, network)

    def _run(self, block: Block, worker: RowWorker, points: Checkpoints, network: "_Clock") -> BlockReport:
        start, before = time.perf_counter(), network.seconds
        try:
            results = list(self._results(block, worker, points))
            reasons = Counter(result.reason for result in results if result.status == FAILED)
            self.sink.write(block, results)
            report = BlockReport(
                block.number, len(results), reasons.total(), dict(reasons),
                round(time.perf_counter() - start, 3), round(network.seconds - before, 3),
            )  # fmt: skip
            points.finish(block, report)
        except Exception as error:  # rows catch their own: this is the output's
            reason = f"{error.strerror}: {error.filename or self.output}" if isinstance(error, OSError) else repr(error)
            return BlockReport(block.number, len(block.rows), 0, {}, stop=f"results cannot be written: {reason}")
        return report

    def _results(self, block: Block, worker: RowWorker, points: Checkpoints) -> Iterator[RowResult]:
        deaths = points.deaths(block)
        if sum(deaths.values()) >= DEATHS * DEATHS:  # whatever kills them, it is not one row
            yield from (failed(Row(ref.id), f"{DEATHS * DEATHS} {DIED}") for ref in block.rows)
            return
        rows = self.source.read(block)
        for k in range(len(block.rows)):
            points.begin_row(block, k)
            row = next(rows)
            yield failed(row, f"{DEATHS} {DIED}") if deaths.get(k, 0) >= DEATHS else worker(row)


class _Clock:
    """Seconds in a job's UNet, by hooks on its forward pass; less than these on a GPU, where calls return early."""

    def __init__(self, job: JobConfig):
        self.seconds = self.start = 0.0
        network = getattr(getattr(job.pipeline, "sdxl", None), "unet", None)
        if network is not None:
            network.register_forward_pre_hook(self._begin)
            network.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self.start = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self.start

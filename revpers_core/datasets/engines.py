"""Where blocks are worked on: in this process, or in several on this machine. Ray is in ``engine_ray``."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from .records import Block, BlockReport
from .task import BlockTask

Engine = Callable[[BlockTask, Sequence[Block]], Iterator[BlockReport]]
"""Works on blocks, and yields a report as each is done, in any order."""


def run_here(task: BlockTask, blocks: Sequence[Block]) -> Iterator[BlockReport]:
    """One after the other, in this process."""
    if blocks:
        worker = task.open()
        yield from map(worker, blocks)


class _Worker(NamedTuple):
    process: Any
    place: int


@dataclass(frozen=True)
class Processes:
    """Several processes on this machine, a model in each. One that dies (out of memory) is replaced, and its block is
    begun again. gpus: of this machine; each worker sees one of them, in turn."""

    workers: int
    gpus: int = 0

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"there must be 1 worker or more, got {self.workers}")

    def __call__(self, task: BlockTask, blocks: Sequence[Block]) -> Iterator[BlockReport]:
        """Raises RuntimeError where a worker cannot begin."""
        todo, busy = deque(blocks), dict[Connection, tuple[_Worker, Block | None]]()
        try:
            for place in range(min(self.workers, len(todo))):
                self._start(task, busy, place)
            while busy:
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    worker, block = busy[pipe]
                    try:
                        message: BlockReport | str = pipe.recv()
                    except (EOFError, OSError):
                        del busy[pipe]
                        if block is None:
                            raise RuntimeError("a worker ended before it began: too little memory?") from None
                        todo.appendleft(block)
                        self._start(task, busy, worker.place)
                        continue
                    if isinstance(message, str) and message:
                        raise RuntimeError(message)
                    if isinstance(message, BlockReport):
                        yield message
                    busy[pipe] = worker, (todo.popleft() if todo else None)
                    _hand_on(busy, pipe)
        finally:
            for worker, _ in busy.values():
                worker.process.terminate()
                worker.process.join()

    def _start(self, task: BlockTask, busy: dict[Connection, tuple[_Worker, Block | None]], place: int) -> None:
        context = multiprocessing.get_context("spawn")
        parent_end, child_end = context.Pipe()
        gpu = str(place % self.gpus) if self.gpus else None
        process = context.Process(target=_serve, args=(task, child_end, gpu), daemon=True)
        process.start()
        child_end.close()
        busy[parent_end] = _Worker(process, place), None


def _hand_on(busy: dict[Connection, tuple[_Worker, Block | None]], pipe: Connection) -> None:
    """The next block, or the end where there is none."""
    worker, block = busy[pipe]
    with suppress(OSError):  # it died: the next wait tells
        pipe.send(block)
    if block is None:
        del busy[pipe]
        worker.process.join()


def _serve(task: BlockTask, pipe: Connection, gpu: str | None) -> None:
    """A worker's life: says "" when it is ready, or what is wrong; then a report a block, until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        worker = task.open()
    except Exception as error:
        pipe.send(" ".join(str(error).split()) or type(error).__name__)
        return
    pipe.send("")
    while (block := pipe.recv()) is not None:
        pipe.send(worker(block))

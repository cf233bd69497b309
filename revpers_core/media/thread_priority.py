"""An encoder's threads run no sooner than other programs'."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

TASKS = Path("/proc/self/task")
"""A folder for each thread of this process, on Linux."""


@contextmanager
def same_priority() -> Generator[None]:
    """Whatever begins inside, every thread of the process keeps the caller's scheduling policy.

    SVT-AV1, opened by root, puts its own threads and the caller's into real time (SCHED_FIFO, 99): from then on all
    that the process does goes before every other program on the machine. Only Linux lets it.
    """
    if not TASKS.is_dir():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (int(task.name) for task in TASKS.iterdir()):
            try:
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)
            except ProcessLookupError:
                continue  # it has ended

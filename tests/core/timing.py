"""How fast code is, on a machine that does other things too."""

import time
from collections.abc import Callable
from typing import Any


def fastest(*works: Callable[[], Any], times: int) -> list[float]:
    """Seconds of this thread's processor that each needs at least. They take turns: what slows the machine for a while
    slows all of them."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(times):
        for work, needed in zip(works, seconds, strict=True):
            start = time.thread_time()
            work()
            needed.append(time.thread_time() - start)
    return [min(needed) for needed in seconds]

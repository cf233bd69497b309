"""What a run costs: evaluations of the network, seconds inside and outside of it, peak memory. Needs torch only."""

import ctypes
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """evaluations: rows through the network, every batch item counted. wall, cpu: seconds; cpu is the process's own
    and blind to what else the machine does. outside: share of the time that is not spent in the network (of the
    process's time on a CPU, of the wall time on a GPU). peak: MiB above what was held before."""

    evaluations: int
    calls: int
    wall: float
    cpu: float
    outside: float
    peak: float


class Meter:
    """Counts and times the calls of a network while it is entered."""

    def __init__(self, network: nn.Module):
        self.network = network
        self.device = next(network.parameters()).device
        self.rows, self.inside = [], []
        self._began: Any = None

    def __enter__(self) -> "Meter":
        self._hooks = [
            self.network.register_forward_pre_hook(self._enter, with_kwargs=True),
            self.network.register_forward_hook(self._leave, with_kwargs=True),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _enter(self, network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample = args[0] if args else kwargs["sample"]
        self.rows.append(len(sample))
        self._began = self._now()

    def _leave(self, *_: object) -> None:
        self.inside.append((self._began, self._now()))

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return time.process_time()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @property
    def seconds(self) -> float:
        """Inside the network: the process's on a CPU, the GPU's own on a GPU."""
        if self.device.type != "cuda":
            return sum(end - start for start, end in self.inside)
        torch.cuda.synchronize(self.device)
        return sum(start.elapsed_time(end) for start, end in self.inside) / 1000


def cost(network: nn.Module, run: Callable[[], object]) -> Cost:
    """Of one run that calls the network."""
    meter = Meter(network)
    with meter:
        before = _reset_peak(meter.device)
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        inside = meter.seconds  # waits for a GPU to finish
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = (_peak(meter.device) - before) / MIB
    whole = wall if meter.device.type == "cuda" else cpu
    return Cost(sum(meter.rows), len(meter.rows), wall, cpu, 1 - inside / whole, peak)


def seconds(run: Callable[[], object], device: str) -> tuple[float, float]:
    """(wall, the process's own) of a run."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def middle(costs: list[Cost]) -> Cost:
    """The median of each number over repeated runs."""
    rows = [asdict(one) for one in costs]
    return Cost(**{key: median(row[key] for row in rows) for key in rows[0]})


def _reset_peak(device: torch.device) -> int:
    """Bytes that are held now, from which on the peak counts."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    """A size from Linux's account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))

"""A training loop that can be stopped at any time and goes on exactly where it was."""

from __future__ import annotations

import io
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

PIECE = 15 << 20  # bytes a checkpoint file; machines that are lent bring back at most 16 MiB a file
WARM_UP = 100  # steps
SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Budget:
    """When a stage ends, counted over all its runs: the learning rate falls to nearly zero by then."""

    steps: int = 10**9
    minutes: float = math.inf

    def spent(self, step: int, seconds: float) -> float:
        """Share of the budget used, 0 to 1."""
        return min(1.0, max(step / self.steps, seconds / 60 / self.minutes))


@dataclass(frozen=True)
class Task:
    """What is trained. loss(generator, spent) draws its own batch (with that CPU generator, so that a resumed run sees
    the same ones) and returns the terms that are summed; spent runs from 0 to 1."""

    name: str
    modules: Mapping[str, nn.Module]
    loss: Callable[[torch.Generator, float], Mapping[str, Tensor]]
    rate: float
    decay: float = 0.01
    ema: float = 0.999
    fast: bool = False  # bfloat16 autocast, where it pays


def write_pieces(folder: Path, state: Any) -> None:
    """Save with torch.save into files of at most PIECE bytes, replacing the folder as a whole."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data, new, old = buffer.getbuffer(), folder.with_suffix(".new"), folder.with_suffix(".old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    for i in range(0, len(data), PIECE):
        (new / f"{i // PIECE:03d}.part").write_bytes(data[i : i + PIECE])
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def read_pieces(folder: Path) -> Any:
    """What `write_pieces` saved; of an interrupted replacement the older state. None where nothing is."""
    for place in (folder, folder.with_suffix(".old")):
        if place.exists():
            data = b"".join(path.read_bytes() for path in sorted(place.glob("*.part")))
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return None


def averaged(state_dir: Path, name: str) -> dict[str, dict[str, Tensor]]:
    """The averaged weights of a stage so far, by module name."""
    return _checkpoint(state_dir, name)["ema"]


def reached(state_dir: Path, name: str) -> int:
    """The step that a stage has reached."""
    return _checkpoint(state_dir, name)["step"]


def _checkpoint(state_dir: Path, name: str) -> dict[str, Any]:
    state = read_pieces(state_dir / name)
    if state is None:
        raise FileNotFoundError(f"stage {name!r} has no checkpoint in {state_dir}: run it first")
    return state


def halves_pay(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there; processors without its instructions take ten times as long."""
    return device != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def fit(task: Task, state_dir: Path, budget: Budget) -> int:
    """Train to the end of the budget; returns the step reached. Checkpoints lie in the folder state_dir / task.name."""
    folder = state_dir / task.name
    parameters = [p for m in task.modules.values() for p in m.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=task.rate, weight_decay=task.decay, betas=(0.9, 0.99), fused=True)
    generator = torch.Generator().manual_seed(0)
    ema = {name: {k: v.clone() for k, v in m.state_dict().items()} for name, m in task.modules.items()}
    step, seconds = 0, 0.0
    if (state := read_pieces(folder)) is not None:
        for name, module in task.modules.items():
            module.load_state_dict(state["modules"][name])
        ema = {
            name: {k: v.to(ema[name][k].device) for k, v in weights.items()} for name, weights in state["ema"].items()
        }
        optimiser.load_state_dict(state["optimiser"])
        for group in optimiser.param_groups:
            group["fused"] = True  # also where the state is of a run that was not
        generator.set_state(state["generator"])
        step, seconds = state["step"], state["seconds"]

    def save() -> None:
        modules = {name: m.state_dict() for name, m in task.modules.items()}
        write_pieces(folder, {
            "modules": modules, "ema": ema, "optimiser": optimiser.state_dict(), "generator": generator_state,
            "step": step, "seconds": seconds,
        })  # fmt: skip

    device = parameters[0].device.type
    averages: dict[str, float] = {}
    bar = tqdm(desc=task.name, initial=step, total=budget.steps if budget.steps < 10**9 else None, mininterval=10)
    clock = saved = time.monotonic()
    generator_state = generator.get_state()  # as of the last finished step
    while (spent := budget.spent(step, seconds)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = task.rate * (0.01 + 0.99 * min(1, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * spent)) / 2)
        try:
            with torch.autocast(device, torch.bfloat16, enabled=task.fast and halves_pay(device)):
                terms = task.loss(generator, spent)
        except KeyboardInterrupt:
            save()
            raise
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step, generator_state = step + 1, generator.get_state()
        _average(task, ema, min(task.ema, step / (step + 10)))
        moment = time.monotonic()
        seconds, clock = seconds + moment - clock, moment
        if step % 10 == 0:
            for key, value in terms.items():
                averages[key] = 0.9 * averages.get(key, value.item()) + 0.1 * value.item()
            bar.set_postfix({k: f"{v:.4f}" for k, v in averages.items()}, spent=f"{spent:.2f}", refresh=False)
        bar.update()
        if moment - saved > SAVE_EVERY:
            save()
            saved = moment
    bar.close()
    save()
    return step


@torch.no_grad()
def _average(task: Task, ema: dict[str, dict[str, Tensor]], keep: float) -> None:
    for name, module in task.modules.items():
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                ema[name][key].lerp_(value, 1 - keep)
            else:
                ema[name][key].copy_(value)

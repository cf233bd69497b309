"""Train the pocket model: ``python -m revpers_core.lab.train --stages all --state DIR``.

Stages in order: data, recogniser (A), judge (B), regressors, detector, vae, decoder, unet, export. Each goes on where
it stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from . import prepared, stages
from .data import Photos, render_shards
from .detector import detector
from .export import export
from .loop import Budget, Task, fit

MINUTES = {
    "recogniser": 30.0,
    "judge": 20.0,
    "regressors": 15.0,
    "detector": 15.0,
    "vae": 35.0,
    "decoder": 15.0,
    "unet": 60.0,
}
"""Of one CPU core, unless asked otherwise: more is better (docs/pocket.md has what the shipped weights had)."""
STAGES = ("data", *MINUTES, "export")


def train(
    stage: str,
    state_dir: Path,
    *,
    device: str = "cpu",
    steps: int | None = None,
    minutes: float | None = None,
    threads: int = 1,
) -> int:
    """Run or resume one stage; returns the step reached (0 where none are counted).

    state_dir: holds the rendered photographs, checkpoints and latents, a few GB. steps, minutes: the stage's whole
    budget, over all its runs; with steps alone, results repeat exactly.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {STAGES}, got {stage!r}")
    torch.set_num_threads(threads)
    if stage == "data":
        with torch.no_grad():
            render_shards(state_dir / "data")
        return 0
    if stage == "export":
        export(state_dir)
        return 0
    budget = Budget(steps, minutes or math.inf) if steps else Budget(minutes=minutes or MINUTES[stage])
    return fit(_task(stage, state_dir, torch.device(device)), state_dir, budget)


def _task(stage: str, state_dir: Path, device: torch.device) -> Task:
    photos = Photos(state_dir / "data")
    tasks: dict[str, Callable[[], Task]] = {
        "recogniser": lambda: stages.recogniser(photos, device),
        "judge": lambda: stages.recogniser(photos, device, judge=True),
        "regressors": lambda: stages.regressors(photos, device),
        "detector": lambda: detector(photos, device),
        "vae": lambda: stages.autoencoder(photos, state_dir, device),
        "decoder": lambda: stages.autoencoder(photos, state_dir, device, decoder_only=True),
        "unet": lambda: stages.denoiser(
            photos, prepared.latents(photos, state_dir, device), prepared.embeddings(photos, state_dir, device), device
        ),
    }
    return tasks[stage]()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the pocket model, stage by stage; resumes.")
    parser.add_argument("--stages", default="all", help=f"comma-separated, of {', '.join(STAGES)}; or all")
    parser.add_argument("--state", type=Path, default=Path.home() / ".cache/revpers/pocket", help="working folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, help="budget of each stage")
    parser.add_argument("--steps", type=int, help="budget of each stage")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    for stage in STAGES if args.stages == "all" else args.stages.split(","):
        train(stage, args.state, device=args.device, steps=args.steps, minutes=args.minutes, threads=args.threads)


if __name__ == "__main__":
    main()

"""Train the pocket model: ``python -m revpers_core.lab.train --stages all --state DIR``.

Stages in order: recogniser (A), judge (B), vae, decoder, regressors, detector, unet, export. Each goes on where it
stopped, with whatever photographs ``python -m revpers_core.lab.world`` has rendered by then.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from . import stages
from .autoencoder import autoencoder
from .data import Photos
from .detector import detector
from .feature_cache import embeddings, latents, reconstructions
from .loop import Budget, Task, fit

MINUTES = {
    "recogniser": 60.0, "judge": 40.0, "vae": 200.0, "decoder": 60.0, "regressors": 30.0, "detector": 20.0,
    "unet": 480.0,
}  # fmt: skip
"""Of one CPU core, unless asked otherwise: more is better (docs/pocket.md has what the shipped weights had)."""
STAGES = (*MINUTES, "export")


def train(
    stage: str,
    state_dir: Path,
    *,
    device: str = "cpu",
    steps: int | None = None,
    minutes: float | None = None,
    threads: int = 1,
    fresh: bool = False,
) -> int:
    """Run or resume one stage; returns the step reached (0 where none are counted).

    state_dir: holds the rendered photographs, checkpoints and latents, a few GB. steps, minutes: the stage's whole
    budget, over all its runs; with steps alone, results repeat exactly. fresh: begin with random weights instead.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {STAGES}, got {stage!r}")
    torch.set_num_threads(threads)
    if stage == "export":
        from .export import export  # needs onnx, which the command line lives without

        export(state_dir)
        return 0
    budget = Budget(steps, minutes or math.inf) if steps else Budget(minutes=minutes or MINUTES[stage])
    return fit(_task(stage, state_dir, torch.device(device), fresh), state_dir, budget)


def _task(stage: str, state_dir: Path, device: torch.device, fresh: bool) -> Task:
    photos = Photos(state_dir / "people")
    tasks: dict[str, Callable[[], Task]] = {
        "recogniser": lambda: stages.recogniser(photos, device, fresh=fresh),
        "judge": lambda: stages.recogniser(photos, device, judge=True, fresh=fresh),
        "vae": lambda: autoencoder(photos, state_dir, device, fresh=fresh),
        "decoder": lambda: autoencoder(photos, state_dir, device, decoder_only=True),
        "regressors": lambda: stages.regressors(photos, device, reconstructions(photos, state_dir, device), fresh),
        "detector": lambda: detector(photos, device, fresh),
        "unet": lambda: stages.denoiser(
            photos, latents(photos, state_dir, device), embeddings(photos, state_dir, device),
            device, fresh,
        ),
    }  # fmt: skip
    return tasks[stage]()


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--stages", default="all", help=f"comma-separated, of {', '.join(STAGES)}; or all")
    parser.add_argument(
        "--state", type=Path, default=Path.home() / ".cache/revpers/pocket", metavar="DIR",
        help="of photographs, checkpoints and latents, a few GB (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, help="whole budget of each stage, over all runs")
    parser.add_argument("--steps", type=int, help="whole budget of each stage, over all runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="begin anew, not from what ships")


def run(args: argparse.Namespace) -> None:
    """Run every stage that is asked for, in order."""
    for stage in STAGES if args.stages == "all" else args.stages.split(","):
        train(
            stage, args.state, device=args.device, steps=args.steps, minutes=args.minutes, threads=args.threads,
            fresh=args.fresh,
        )  # fmt: skip
        print(f"stage {stage} is where it was asked to be", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the pocket model, stage by stage; resumes.")
    options(parser)
    run(parser.parse_args(argv))


if __name__ == "__main__":
    main()

"""Train the pocket model: ``python -m revpers_core.pocket.train --stages all --state DIR``.

Stages in order: data, recogniser (A), judge (B), regressors, vae, decoder, unet, export. Each goes on where it stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from . import stages
from .data import Photos, render_shards
from .loop import Budget, Task, averaged, fit
from .recognisers import Recogniser
from .vae import SCALING, VAE, bake

MINUTES = {"recogniser": 30.0, "judge": 20.0, "regressors": 15.0, "vae": 35.0, "decoder": 15.0, "unet": 60.0}
"""Of one CPU core, unless asked otherwise: what the shipped weights had. More is better."""
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
        from .export import export

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
        "vae": lambda: stages.autoencoder(photos, state_dir, device),
        "decoder": lambda: stages.autoencoder(photos, state_dir, device, decoder_only=True),
        "unet": lambda: stages.denoiser(photos, *_prepared(photos, state_dir, device), device),
    }
    return tasks[stage]()


def _prepared(photos: Photos, state_dir: Path, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scaled latents and identity embeddings of all photographs, made once from the finished VAE and recogniser."""
    path = state_dir / "prepared.pt"
    if not path.exists():
        vae, net = stages.placed(VAE(), device).eval(), stages.placed(Recogniser(), device).eval()
        vae.load_state_dict(averaged(state_dir, "vae")["vae"])
        net.load_state_dict(averaged(state_dir, "recogniser")["net"])
        raw = stages.encoded(vae, photos, device) / SCALING
        mean, std = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
        new = path.with_suffix(".part")
        torch.save({"mean": mean, "std": std, "latents": raw, "embeddings": stages.embedded(net, photos, device)}, new)
        new.replace(path)
    state = torch.load(path, weights_only=True)
    mean, std = (state[k][:, None, None] for k in ("mean", "std"))
    return (state["latents"] - mean) / std, state["embeddings"]


def baked(state_dir: Path) -> VAE:
    """The VAE with the decoder trained furthest, its latents fitted to SDXL's scale as the UNet saw them."""
    vae = VAE()
    vae.load_state_dict(averaged(state_dir, "decoder" if (state_dir / "decoder").exists() else "vae")["vae"])
    state = torch.load(state_dir / "prepared.pt", weights_only=True)
    bake(vae, state["mean"], state["std"])
    return vae.eval()


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

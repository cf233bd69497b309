"""What the VAE and recogniser A make of all photographs: kept on disk, made again once either is trained further."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ..pocket.vae import VAE, bake
from .augment import face_input
from .data import Photos
from .loop import averaged, reached
from .recognisers import Recogniser
from .stages import packed, placed


def latents(photos: Photos, state_dir: Path, device: torch.device) -> Tensor:
    """(N, 4, 16, 16) of all photographs, each channel at mean 0 and spread 1."""
    state = _kept(state_dir, "latents", "vae", lambda: _encoded(photos, state_dir, device))
    return (state["latents"] - state["mean"][:, None, None]) / state["std"][:, None, None]


def embeddings(photos: Photos, state_dir: Path, device: torch.device) -> Tensor:
    """(N, 512) unit-length identities of all photographs."""
    return _kept(state_dir, "embeddings", "recogniser", lambda: _embedded(photos, state_dir, device))["embeddings"]


def baked(state_dir: Path) -> VAE:
    """The VAE with the decoder trained furthest, its latents fitted to SDXL's scale as the UNet saw them."""
    vae = VAE()
    vae.load_state_dict(averaged(state_dir, "decoder" if (state_dir / "decoder").exists() else "vae")["vae"])
    state = torch.load(state_dir / "latents.pt", weights_only=True, mmap=True)
    bake(vae, state["mean"], state["std"])
    return vae.eval()


def _kept(state_dir: Path, name: str, stage: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Any]:
    path, step = state_dir / f"{name}.pt", reached(state_dir, stage)
    if path.exists() and (state := torch.load(path, weights_only=True))["step"] == step:
        return state
    state, new = {"step": step, **make()}, path.with_suffix(".part")
    torch.save(state, new)
    new.replace(path)
    return state


@torch.no_grad()
def _encoded(photos: Photos, state_dir: Path, device: torch.device) -> dict[str, Tensor]:
    vae = placed(VAE(), device).eval()
    vae.load_state_dict(averaged(state_dir, "vae")["vae"])
    batches = tqdm(torch.arange(len(photos)).split(16), desc="encode", mininterval=10)
    raw = torch.cat([vae.encode(packed(photos[i].to(device)) * 2 - 1).cpu() for i in batches]).contiguous()
    return {"latents": raw, "mean": raw.mean((0, 2, 3)), "std": raw.std((0, 2, 3))}


@torch.no_grad()
def _embedded(photos: Photos, state_dir: Path, device: torch.device) -> dict[str, Tensor]:
    net = placed(Recogniser(), device).eval()
    net.load_state_dict(averaged(state_dir, "recogniser")["net"])
    batches = tqdm(torch.arange(len(photos)).split(64), desc="embed", mininterval=10)
    parts = [net(packed(face_input(photos[i].to(device)))).cpu() for i in batches]
    return {"embeddings": F.normalize(torch.cat(parts).float())}

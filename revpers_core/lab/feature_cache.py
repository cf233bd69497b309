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
    """(2 N, 4, 16, 16) of all photographs, then of all mirrored, each channel at mean 0 and spread 1."""
    state = _cached(state_dir, "latents", "vae", len(photos), lambda: _encoded(photos, state_dir, device))
    return (state["latents"] - state["mean"][:, None, None]) / state["std"][:, None, None]


def embeddings(photos: Photos, state_dir: Path, device: torch.device) -> Tensor:
    """(N, 512) unit-length identities of all photographs."""
    cached = _cached(state_dir, "embeddings", "recogniser", len(photos), lambda: _embedded(photos, state_dir, device))
    return cached["embeddings"]


def reconstructions(photos: Photos, state_dir: Path, device: torch.device) -> Tensor | None:
    """(N, 3, S, S) uint8: what the VAE makes of all photographs; None as long as none is trained."""
    stage = "decoder" if (state_dir / "decoder").exists() else "vae"
    if not (state_dir / stage).exists():
        return None
    return _cached(state_dir, "remade", stage, len(photos), lambda: _reconstructed(photos, state_dir, stage, device))[
        "remade"
    ]


def baked(state_dir: Path) -> VAE:
    """The VAE with the decoder trained furthest, its latents fitted to SDXL's scale as the UNet saw them."""
    vae = VAE()
    vae.load_state_dict(averaged(state_dir, "decoder" if (state_dir / "decoder").exists() else "vae")["vae"])
    state = torch.load(state_dir / "latents.pt", weights_only=True, mmap=True)
    bake(vae, state["mean"], state["std"])
    return vae.eval()


def _cached(
    state_dir: Path, name: str, stage: str, count: int, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Any]:
    """What was made of ``count`` photographs by the stage as it is now; made anew where either has grown."""
    path, key = state_dir / f"{name}.pt", [reached(state_dir, stage), count]
    if path.exists() and (state := torch.load(path, weights_only=True)).get("of") == key:
        return state
    state, new = {"of": key, **make()}, path.with_suffix(".part")
    torch.save(state, new)
    new.replace(path)
    return state


@torch.no_grad()
def _reconstructed(photos: Photos, state_dir: Path, stage: str, device: torch.device) -> dict[str, Tensor]:
    vae = placed(VAE(), device).eval()
    vae.load_state_dict(averaged(state_dir, stage)["vae"])
    batches = tqdm(torch.arange(len(photos)).split(16), desc="reconstruct", mininterval=10)
    decoded = [vae.decode(vae.encode(packed(photos[i].to(device)) * 2 - 1)).cpu() for i in batches]
    return {"remade": ((torch.cat(decoded) / 2 + 0.5).clamp(0, 1) * 255).round().byte().contiguous()}


@torch.no_grad()
def _encoded(photos: Photos, state_dir: Path, device: torch.device) -> dict[str, Tensor]:
    vae = placed(VAE(), device).eval()
    vae.load_state_dict(averaged(state_dir, "vae")["vae"])
    batches = tqdm(torch.arange(len(photos)).split(16), desc="encode", mininterval=10)
    pairs = (torch.stack((photos[i], photos[i].flip(-1))) for i in batches)
    encoded = [torch.stack([vae.encode(packed(x.to(device)) * 2 - 1).cpu() for x in pair]) for pair in pairs]
    raw = torch.cat(encoded, 1).flatten(0, 1).contiguous()
    return {"latents": raw, "mean": raw.mean((0, 2, 3)), "std": raw.std((0, 2, 3))}


@torch.no_grad()
def _embedded(photos: Photos, state_dir: Path, device: torch.device) -> dict[str, Tensor]:
    net = placed(Recogniser(), device).eval()
    net.load_state_dict(averaged(state_dir, "recogniser")["net"])
    batches = tqdm(torch.arange(len(photos)).split(64), desc="embed", mininterval=10)
    parts = [net(packed(face_input(photos[i].to(device)))).cpu() for i in batches]
    return {"embeddings": F.normalize(torch.cat(parts).float())}

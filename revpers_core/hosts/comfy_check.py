"""The look at what the sampler made: decoded by the run's own VAE, which is wired in or found in the prompt."""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ..faces.judges import Judge
from ..media.unchanged import check_changed
from ..method.types import Identity
from .comfy import ComfyTrajectory


def check_latent(
    latent: dict[str, Any], trajectory: ComfyTrajectory, identity: Identity, vae: Any, judges: Sequence[Judge] = ()
) -> None:
    """Raises StillRecognisedError unless everyone in the LATENT is somebody else than in the trajectory's photo, to the
    recogniser that steered and to every judge."""
    before, after = trajectory.latent["samples"], latent["samples"]
    if before.shape != after.shape:
        raise ValueError(
            f"latent: it is {tuple(after.shape)}, but the trajectory's is {tuple(before.shape)}: check it before it is "
            "resized, and connect the trajectory of the same photos"
        )
    where = trajectory.latent.get("noise_mask")
    check_changed(_decoded(before, vae), _decoded(after, vae), identity, where, judges)


def _decoded(samples: Tensor, vae: Any) -> Tensor:
    """Pictures (B, 3, H, W), one after the other, on the CPU."""
    pictures = [vae.decode(latent_image).float().cpu() for latent_image in samples.split(1)]
    return rearrange(torch.cat(pictures), "b h w c -> b c h w").clamp(0, 1)

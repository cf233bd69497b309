"""The main path: pixels walk in at one end, an anonymous face walks out at the other."""

from typing import NamedTuple

import torch
from torch import Tensor

from .guidance import of_network, of_recorded
from .identity import nobody
from .schedule import sigmas, timesteps
from .trajectory import OnStep, SeededNoise, Trajectory, invert, replay
from .types import Identity, Plan, Ports


class Anonymized(NamedTuple):
    """image: (B, 3, H, W) in [0, 1]. source: who was there before. path: restores the photo, do not store it."""

    image: Tensor
    source: Identity
    path: Trajectory


def anonymize(image: Tensor, ports: Ports, plan: Plan, on_step: OnStep | None = None) -> Anonymized:
    """Aligned square crops (B, 3, S, S) in [0, 1], one face each, made into somebody else.

    Raises NoFaceError where no face is seen and ValueError where the output is not finite: never an unchanged face.
    """
    who = ports.embed(image)
    latents = ports.encode(image)
    levels = sigmas(timesteps(plan.steps, plan.skip), ports.sigma)
    noise = SeededNoise(plan.steps, latents.shape, plan.seed)
    path = invert(ports.branches(nobody(len(image)), latents), latents, levels, noise, on_step=on_step)
    return Anonymized(redo(path, who, ports, plan, on_step), who, path)


def redo(path: Trajectory, who: Identity, ports: Ports, plan: Plan, on_step: OnStep | None = None) -> Tensor:
    """Images (B, 3, H, W) of another identity, attribute or guidance along a trajectory that is there already."""
    predict = of_network(ports.branches(who, path.x0, plan.attribute.prompt), plan.guidance)
    return ports.decode(finite(replay(predict, path, of_recorded(plan.guidance), on_step=on_step)))


def finite(latents: Tensor) -> Tensor:
    """The latents, or ValueError: a picture of NaN must not pass for an anonymized one."""
    if not torch.isfinite(latents).all():
        raise ValueError("the result holds NaN or infinite values: use guidance nearer to 0, or a float32 network")
    return latents

"""Inversion of the process: who has code, settings, seed and output looks for a photo that would have given it.

With the seed the whole tool is one known function of the photo, and near the identity in everything but the face: a
fixed-point iteration, photo <- photo + (output - tool(photo)), is the plain way to solve it.
"""

import torch
from torch import Tensor

from ..faces.geometry import face_of_aligned
from ..faces.recognise import FaceModel
from ..method.guidance import network_guidance, recorded_guidance
from ..method.trajectory import sample
from ..method.types import Identity, Plan, Ports
from .evaluation import BATCH
from .people import embedded, invert_latents

ROUNDS, STRIDE = 5, 0.7


def reconstruct(ports: Ports, outputs: Tensor, plan: Plan, steering: FaceModel) -> Tensor:
    """The attacker's guesses (N, 3, H, W) of the photos behind outputs (N, 3, H, W), by the best-fitting round."""
    return torch.cat([_reconstruct_batch(ports, chunk, plan, steering) for chunk in outputs.split(BATCH)])


def _reconstruct_batch(ports: Ports, outputs: Tensor, plan: Plan, steering: FaceModel) -> Tensor:
    target = ports.encode(outputs)
    guess = best = target.clone()
    least = torch.full((len(outputs),), float("inf"), dtype=target.dtype)
    for _ in range(ROUNDS):
        identity = embedded(steering, face_of_aligned(ports.decode(guess)))
        error = target - _anonymize_latents(ports, guess, identity, plan)
        miss = error.square().mean((1, 2, 3))
        best = torch.where((miss < least)[:, None, None, None], guess, best)
        least = torch.minimum(miss, least)
        guess = guess + STRIDE * error
    return ports.decode(best)


def _anonymize_latents(ports: Ports, latents: Tensor, identity: Identity, plan: Plan) -> Tensor:
    """The anonymization as a function of latents, all with one seed's noise."""
    path = invert_latents(ports, latents, plan)
    predict = network_guidance(ports.branches(identity, latents, plan.attribute.prompt), plan.guidance)
    return sample(predict, path, recorded_guidance(plan.guidance)).to(latents)

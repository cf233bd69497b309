"""What else people do with a face, over the same model and the same masks, so that a table compares methods only.

Each takes aligned crops (B, 3, S, S) and hands back the same. Blur, pixels and paint change the face's mask only; the
others go through the VAE as a whole, as the method does.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.masks import latent_mask, whole_face, without_parts
from ..media.photo import blurred
from ..method.anonymize import finite, invert_image, sample_image
from ..method.guidance import cfg
from ..method.identity import null_identity
from ..method.schedule import sigmas, timesteps
from ..method.solver import Previous, step
from ..method.trajectory import SeededNoise, alpha, to_state
from ..method.types import Attribute, Method, Plan, Ports

Baseline = Callable[[Tensor, Ports, Plan], Tensor]
NULLFACE_GUIDANCE = 10.0
"""NullFace's (Kung et al., arXiv:2503.08478)."""
CELLS = 8


def photo(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    return images


def autoencoder(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    """What the VAE alone makes of it: nobody is anonymous here, everything else starts from it."""
    return ports.decode(ports.encode(images))


def blur(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    return torch.lerp(images, torch.stack([blurred(image, CELLS) for image in images]), whole_face(images.shape[-1]))


def pixelation(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    side = images.shape[-1]
    small = interpolate(images, (2 * CELLS, 2 * CELLS), mode="area")
    return torch.lerp(images, interpolate(small, (side, side), mode="nearest"), whole_face(side))


def reverse_personalization(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    return sample_image(invert_image(images, ports, plan), ports.embed(images), ports, plan)


def nullface(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    """The product's own ``Method.NULLFACE`` at its paper's guidance of 10. Our solver and our model stand for its DDPM
    inversion and SD 1.5."""
    plan = replace(plan, method=Method.NULLFACE, guidance=-NULLFACE_GUIDANCE, attribute=Attribute())
    path, identity = invert_image(images, ports, plan), ports.embed(images)
    return sample_image(path, identity, ports, plan, where=latent_mask(without_parts(images.shape[-1]), path.x0.shape))


def ddim(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    """The paper's ablation: the deterministic path (Euler on the probability flow) up under nobody, and down again with
    the same guidance away from the person."""
    latents, identity = ports.encode(images), ports.embed(images)
    levels = sigmas(timesteps(plan.steps, plan.skip), ports.sigma)
    null, conditional = (
        ports.branches(null_identity(len(images)), latents),
        ports.branches(identity, latents, plan.attribute.prompt),
    )
    x = to_state(latents) / alpha(levels[-1])
    for sigma, higher in pairwise(reversed(levels)):
        x = x + (higher - sigma) * (x - cfg(*null(x, sigma), plan.guidance).to(x)) / sigma
    for sigma, lower in pairwise(levels):
        x = x + (lower - sigma) * (x - cfg(*conditional(x, sigma), plan.guidance).to(x)) / sigma
    return ports.decode(finite(x * alpha(levels[-1])))


def inpainting(images: Tensor, ports: Ports, plan: Plan) -> Tensor:
    """LDFA's way (Klemp et al. 2023): the face's mask drawn anew from pure noise, the surround put back at every step;
    nothing of the face is kept. Our model stands for its inpainting one."""
    latents = ports.encode(images)
    levels = sigmas(timesteps(2 * plan.steps, 0.0), ports.sigma)
    fresh = SeededNoise(2 * plan.steps + 1, latents.shape, plan.seed)
    keep = latent_mask(whole_face(images.shape[-1]), latents.shape)
    network, source = ports.branches(null_identity(len(images)), latents), to_state(latents)
    x, past = fresh[0].to(source) * levels[0], None
    for k, (sigma, lower) in enumerate(pairwise(levels)):
        prediction = Previous(to_state(network(x, sigma)[1]), sigma)
        law = step(x, prediction.x0, sigma, lower, past)
        x, past = law.mean + law.std * fresh[k + 1].to(source), prediction
        x = torch.lerp(source + lower * fresh[k + 1].to(source), x, keep.to(source))
    return ports.decode(finite(x * alpha(levels[-1])))


METHODS: dict[str, Baseline] = {
    "photo": photo,
    "VAE alone": autoencoder,
    "blur": blur,
    "pixelation": pixelation,
    "inpainting (LDFA's way)": inpainting,
    "DDIM inversion": ddim,
    "NullFace's opposite identity, keep-mask": nullface,
    "ours": reverse_personalization,
}

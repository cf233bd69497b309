"""Face crops as recognisers see them, with the disturbances they must not mind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.geometry import ARCFACE, FFHQ, face_of_aligned, fit_scale_shift

FACE = 112


def face_input(images: Tensor) -> Tensor:
    """Recogniser input (B, 3, 112, 112), (RGB - 127.5) / 127.5, of FFHQ-framed images (B, 3, S, S) in [0, 1]."""
    return face_of_aligned(images, FACE) * 2 - 1


def jittered_input(images: Tensor, generator: torch.Generator, zoom: float = 0.05, shift: float = 0.03) -> Tensor:
    """The same crop displaced: scale by up to +-zoom, position by up to +-shift of its side, a few degrees of turn, and
    some mirrored."""
    n, device = len(images), images.device
    scale, offset = fit_scale_shift(torch.tensor(ARCFACE) / FACE, torch.tensor(FFHQ) / 512)
    centre = scale * 0.5 + offset  # of the crop, in the image's unit square
    random = (torch.rand(n, 4, generator=generator) * 2 - 1).to(device)
    size = scale * (1 + zoom * random[:, 0])
    angle = 0.06 * random[:, 1]
    cos, sin = size * angle.cos(), size * angle.sin()
    move = (centre.to(device) * 2 - 1)[None] + 2 * shift * random[:, 2:]
    theta = torch.stack((torch.stack((cos, -sin, move[:, 0]), 1), torch.stack((sin, cos, move[:, 1]), 1)), 1)
    grid = F.affine_grid(theta, [n, 3, FACE, FACE], align_corners=False)
    crops = F.grid_sample(images, grid, padding_mode="border", align_corners=False) * 2 - 1
    mirrored = torch.rand(n, 1, 1, 1, generator=generator).to(device) < 0.5
    return torch.where(mirrored, crops.flip(-1), crops)


def disturbed(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Colour, blur, grey and noise at random on recogniser inputs (B, 3, H, W) in [-1, 1]."""
    n, device = len(faces), faces.device
    r = torch.rand(n, 8, generator=generator).to(device)[:, :, None, None]
    grey = faces.mean(1, keepdim=True)
    colour = torch.where(r[:, :1] < 0.12, torch.zeros_like(r[:, :1]), 0.6 + 0.7 * r[:, 1:2])
    x = torch.lerp(grey.expand_as(faces), faces, colour)
    x = x * (0.75 + 0.5 * r[:, 2:3]) + 0.3 * (r[:, 3:4] - 0.5)
    x = x + 0.1 * (r[:, 4:7] - 0.5)
    blurred = F.interpolate(F.avg_pool2d(x, 2), x.shape[2:], mode="bilinear", align_corners=False)
    very = F.interpolate(F.avg_pool2d(x, 4), x.shape[2:], mode="bilinear", align_corners=False)
    x = torch.where(r[:, 7:] < 0.1, very, torch.where(r[:, 7:] < 0.35, blurred, x))
    noise = torch.randn(x.shape, generator=generator).to(device)
    return (x + 0.06 * r[:, :1].square() * noise).clamp(-1, 1)


def faceless_input(places: Tensor, generator: torch.Generator) -> Tensor:
    """Recogniser inputs (B, 3, 112, 112) without a face, from pictures of places (B, 3, S, S) in [0, 1]: half of them
    as they are, the rest flat colours, gradients and noise."""
    n = len(places)
    x = F.interpolate(places, (FACE, FACE), mode="bilinear", align_corners=False) * 2 - 1
    r = torch.rand(n, 3, 3, generator=generator).to(x) * 2 - 1
    ramp = torch.linspace(0, 1, FACE, device=x.device)
    across, down = ramp.view(1, 1, 1, -1), ramp.view(1, 1, -1, 1)
    flat = r[:, 0, :, None, None].expand_as(x)
    gradient = flat + (r[:, 1, :, None, None] - flat) * across + (r[:, 2, :, None, None] - flat) * down
    coarse = int(torch.randint(2, FACE, (1,), generator=generator))
    noise = torch.randn(n, 3, coarse, coarse, generator=generator).to(x)
    noise = F.interpolate(noise, (FACE, FACE), mode="bilinear", align_corners=False) * r[:, 1, :1, None, None] + flat
    kind = torch.randint(6, (n, 1, 1, 1), generator=generator).to(x.device)
    textures = torch.where(kind == 0, flat, torch.where(kind == 1, gradient, noise))
    return torch.where(kind > 2, x, textures).clamp(-1, 1)

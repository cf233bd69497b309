"""Where a face looks: how far the dark of the eyes lies from the eyes' landmarks.

No network, so no network's blind spots; but coarse. On 200 rendered faces the sideways part has r = .77 with the true
gaze at true landmarks and .6 at a detector's, the upright part only .25: lids and lashes are dark as well. Two faces
with other eyelids differ in it too.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from .seam import LUMA

REACH = 0.12
"""Half the side of the square that is looked at around an eye, in eye distances: an iris and little else."""
CELLS = 25
DARKEST, PALEST = 0.05, 0.6
"""Shares of the square's pixels from which on one is as dark as a pupil, and too pale to be of an iris."""


def gaze(images: Tensor, points: Tensor) -> Tensor:
    """Mean offset of both eyes' dark from their landmarks, along the face's own axes: (N, 2), in eye distances,
    positive to the viewer's right and downwards.

    images: (N, 3, H, W) in [0, 1]. points: (N, 5, 2) in their pixels, as `Face` has them; the first two are the eyes'
    middles. The centre of darkness, weighted by luma (cf. Valenti and Gevers 2008 on isophote centres).
    """
    points = points.to(images)
    apart = points[:, 1] - points[:, 0]
    down = torch.stack([-apart[:, 1], apart[:, 0]], 1)
    line = torch.linspace(-REACH, REACH, CELLS).to(images)
    square = line[None, None, :, None] * apart[:, None, None] + line[None, :, None, None] * down[:, None, None]
    return torch.stack([_dark(images, points[:, k, None, None] + square, line) for k in (0, 1)]).mean(0)


def gaze_distance(a: Tensor, at: Tensor, b: Tensor, bt: Tensor) -> Tensor:
    """How far gaze moved between images a with points at and b with points bt, in eye distances: (N,)."""
    return (gaze(a, at) - gaze(b, bt)).norm(dim=1).double()


def _dark(images: Tensor, places: Tensor, line: Tensor) -> Tensor:
    """Centre of darkness (N, 2) at places (N, n, n, 2) in pixels, in the units of ``line`` (n,)."""
    size = torch.tensor([images.shape[-1], images.shape[-2]]).to(images)
    windows = grid_sample(images, (places + 0.5) / size * 2 - 1, padding_mode="border", align_corners=False)
    luma = (windows * torch.tensor(LUMA).to(images)[:, None, None]).sum(1)
    low, high = luma.flatten(1).quantile(torch.tensor([DARKEST, PALEST]).to(images), dim=1)[..., None, None]
    weight = ((high - luma) / (high - low).clamp(min=1e-3)).clamp(0, 1) + 1e-6
    across, below = (weight * line).sum((1, 2)), (weight * line[:, None]).sum((1, 2))
    return torch.stack([across, below], 1) / weight.sum((1, 2))[:, None]

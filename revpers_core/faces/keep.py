"""Parts of a face that stay: the photo's own eyes and mouth on the new face, in the new face's light, without an edge.

A hard window would show as goggles and a muzzle: the parts are small, fade over as much again, and take the colour that
the new face has around them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .geometry import Crop
from .masks import Part, ellipse, face_mask
from .tones import encoded, linear, mean_in

FADE = 0.9
"""Width of a part's soft rim, in its radii."""
EYE = (0.15, 0.27)
MOUTH = (0.2, 0.3)
"""Half axes along the face and across it up to which a part stays as it is, in spans of the face."""
MAX_GAIN = 1.6


def part_masks(crop: Crop, keep: Sequence[Part]) -> list[Tensor]:
    """Each of the parts by itself, (1, S, S) in [0, 1]."""
    points = crop.points
    mouth = points[3:].mean(0)
    down = mouth - points[:2].mean(0)
    length = down.norm().clamp(min=1e-3)
    span = torch.maximum((points[1] - points[0]).norm(), length * 0.8)
    wide = torch.maximum((points[4] - points[3]).norm() * 0.55, span * MOUTH[1])
    shapes = {
        "eyes": [(eye, span * EYE[0], span * EYE[1]) for eye in points[:2]],
        "mouth": [(mouth, span * MOUTH[0], wide)],
    }
    found = [face_mask(crop)] if "face" in keep else []
    for part in keep:
        for centre, tall, across in shapes.get(part, ()):
            found.append(ellipse(crop.side, centre, down / length, tall, across, FADE).to(crop.pixels))
    return found


def with_parts(new: Tensor, old: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """``new`` (3, S, S) in [0, 1] with the parts of ``old``, each brought to the mean colour, in linear light, that
    ``new`` has in the part's rim."""
    for mask in masks:
        rim = mask * (1 - mask)
        if not rim.sum() > 0:
            continue
        before = linear(old)
        gain = mean_in(linear(new), rim).clamp(min=1e-3) / mean_in(before, rim).clamp(min=1e-3)
        new = torch.lerp(new, encoded(before * gain.clamp(1 / MAX_GAIN, MAX_GAIN)), mask)
    return new

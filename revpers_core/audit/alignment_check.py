"""The picture around the faces: whether it stayed, and whether it is the right picture at all."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.face import Face
from ..faces.geometry import crop_face
from ..faces.paste import footprint
from ..metrics.change import change
from ..metrics.seam import seam
from ..metrics.ssim import ssim

SIDE = 256
"""Pixels of the crop whose mask tells a face from what is around it."""
THUMB, FAR_OFF, NEARER = 16, 0.08, 0.25
"""Cells across of the small pictures that tell files which were mixed up; mean |difference| (0...1) from which on a
result may be another picture's; and the share of it that must be left to that one."""


class Surround(NamedTuple):
    """What happened around the faces of a picture: SSIM and mean |change| outside them, jump across their edge (1 is
    none); None where nothing is outside."""

    image: str
    ssim: float | None
    change: float | None
    seam: float | None


def around(name: str, original: Tensor, result: Tensor, faces: Sequence[Face]) -> Surround:
    """How the picture fared outside its faces."""
    masks = [footprint(original, crop_face(original, face, SIDE)) for face in faces]
    covered = torch.stack(masks).amax(0)
    outside = (covered == 0).to(original)[None]
    return Surround(
        name,
        _number(float(ssim(original[None], result[None], outside))) if min(original.shape[-2:]) > 10 else None,
        _number(float(change(result[None], original[None], outside))),
        seam(result, original, covered) if 0 < float((covered > 0).double().mean()) < 1 else None,
    )


def mixed_up(thumbs: Mapping[str, tuple[Tensor, Tensor | None]]) -> list[tuple[str, str]]:
    """(picture, other picture) where the first one's result shows the second one: far from its own original, and
    nearer than ``NEARER`` of that to another's. thumbs: by name, of original and result."""
    confused: list[tuple[str, str]] = []
    for name, (original, result) in thumbs.items():
        if result is None or (own := float((result - original).abs().mean())) < FAR_OFF:
            continue
        gaps = {other: float((result - before).abs().mean()) for other, (before, _) in thumbs.items() if other != name}
        nearest = min(gaps, key=lambda other: gaps[other], default=None)
        if nearest is not None and gaps[nearest] < NEARER * own:
            confused.append((name, nearest))
    return confused


def thumb(image: Tensor) -> Tensor:
    """A picture (3, H, W) at (3, ``THUMB``, ``THUMB``)."""
    return interpolate(image[None], (THUMB, THUMB), mode="area")[0]


def _number(value: float) -> float | None:
    return value if value == value else None

"""Soft face-shaped masks in a crop's own pixels: from the points, 1 inside, falling to 0 before the crop's border."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .geometry import Crop, crop_face, face_in_aligned, transform_points
from .warp import warp

Part = Literal["face", "eyes", "mouth"]
FEATHER = 0.25
"""Width of a mask's soft rim, in radii."""
BORDER = 0.04
"""Width of the fade to 0 at the crop's border, in sides of the crop."""
LEAST = 0.25
"""Share of a face's mask that must be left to change: with less, the face is as it was."""
FOREHEAD, CHIN, CHEEK = 1.4, 1.25, 1.15
"""Reach of the face from the middle between eyes and mouth, in lengths between the two (cheeks: in eye distances)."""


def face_mask(crop: Crop, feather: float = FEATHER) -> Tensor:
    """The whole face from the hairline to the chin, (1, S, S) in [0, 1].

    The ellipse around the points, joined with that in the detector's box, which is the wider one on profiles. Zero
    where the crop shows no image. feather: (0, 1].
    """
    if not 0 < feather <= 1:
        raise ValueError(f"feather must be above 0 and at most 1, got {feather}")
    points = crop.points
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    length = down.norm().clamp(min=1e-3)
    across = torch.maximum((points[1] - points[0]).norm() * CHEEK, length * (FOREHEAD + CHIN) / 2 * 0.7)
    middle = (eyes + mouth) / 2 + down * (CHIN - FOREHEAD) / 2
    head = ellipse(crop.side, middle, down / length, length * (FOREHEAD + CHIN) / 2, across, feather)
    return torch.maximum(head, _in_box(crop, feather)).to(crop.pixels) * _frame(crop) * crop.inside


def parts_mask(crop: Crop, parts: tuple[Part, ...] = ("eyes", "mouth"), feather: float = FEATHER) -> Tensor:
    """The named parts, (1, S, S) in [0, 1]: ``face_mask * (1 - parts)`` keeps them as they are (NullFace's way)."""
    points = crop.points
    mouth = points[3:].mean(0)
    down = mouth - points[:2].mean(0)
    length = down.norm().clamp(min=1e-3)
    down = down / length
    span = torch.maximum((points[1] - points[0]).norm(), length * 0.8)
    out = torch.zeros(1, crop.side, crop.side, dtype=torch.float64)
    shapes = {
        "eyes": [(points[0], 0.22, 0.34), (points[1], 0.22, 0.34)],
        "mouth": [(mouth, 0.3, 0.55)],
    }
    for part in parts:
        if part == "face":
            out = torch.maximum(out, face_mask(crop, feather).double().cpu())
            continue
        for centre, tall, wide in shapes[part]:
            out = torch.maximum(out, ellipse(crop.side, centre, down, span * tall, span * wide, feather))
    return out.to(crop.pixels)


def whole_face(side: int) -> Tensor:
    """(1, S, S) in [0, 1]: the face in an aligned crop."""
    image = torch.zeros(3, side, side)
    return face_mask(crop_face(image, face_in_aligned(image), side))


def without_parts(side: int, parts: tuple[Part, ...] = ("eyes", "mouth")) -> Tensor:
    """(1, S, S) in [0, 1]: the face in an aligned crop without its eyes and mouth."""
    image = torch.zeros(3, side, side)
    crop = crop_face(image, face_in_aligned(image), side)
    return face_mask(crop) * (1 - parts_mask(crop, parts))


def latent_mask(mask: Tensor, shape: Sequence[int]) -> Tensor:
    """A mask (1, S, S) at the size of latents (B, 4, h, w): (1, 1, h, w)."""
    return interpolate(mask[None], tuple(shape[-2:]), mode="area")


def change_mask(
    crop: Crop, keep: tuple[Part, ...] = (), where: Tensor | None = None, feather: float = FEATHER
) -> Tensor:
    """Where a face may change, (1, S, S): its mask within ``where``. keep: parts that ``paste`` will leave there.

    where: (1, H, W) of the photo, above 0 where it may change. Raises ValueError where less than a quarter of the face
    is left to change: it would pass for anonymized as it is.
    """
    face = face_mask(crop, feather)
    mask = face
    if where is not None:
        mask = mask * warp(where.to(mask), crop.matrix, (crop.side, crop.side), beyond="black").clamp(0, 1)
    left = mask * (1 - parts_mask(crop, keep)) if keep else mask
    share = float(left.sum() / face.sum().clamp(min=1e-6))
    if share < LEAST:
        raise ValueError(
            f"the mask and the parts to keep leave {share:.0%} of a face to change: let more of it change, or "
            "leave the whole person alone by a keep-list"
        )
    return mask


def _in_box(crop: Crop, feather: float) -> Tensor:
    """The ellipse in the detector's box, turned with the crop."""
    x0, y0, x1, y1 = crop.face.box
    middle = torch.tensor([[(x0 + x1) / 2, (y0 + y1) / 2]], dtype=torch.float64)
    (centre,) = transform_points(crop.matrix, middle)
    down = crop.matrix[:, 1] / crop.matrix[:, 1].norm()
    scale = crop.matrix[:, 1].norm()
    return ellipse(crop.side, centre, down, scale * (y1 - y0) / 2, scale * (x1 - x0) / 2, feather)


def ellipse(side: int, centre: Tensor, down: Tensor, tall: Tensor, wide: Tensor, feather: float) -> Tensor:
    """(1, side, side): 1 within an ellipse with half axes ``tall`` along ``down`` and ``wide`` across, soft outside."""
    y = torch.arange(side, dtype=torch.float64)[:, None] - centre[1]
    x = torch.arange(side, dtype=torch.float64)[None] - centre[0]
    along, across = x * down[0] + y * down[1], x * down[1] - y * down[0]
    radius = ((along / tall) ** 2 + (across / wide) ** 2).sqrt()
    return smooth((1 + feather - radius) / feather)[None]


def _frame(crop: Crop) -> Tensor:
    """(1, S, S): 0 on the border's pixels, 1 from ``BORDER`` on."""
    steps = torch.arange(crop.side, dtype=torch.float64)
    ramp = smooth(torch.minimum(steps, crop.side - 1 - steps) / (BORDER * crop.side))
    return torch.minimum(ramp[:, None], ramp[None])[None].to(crop.pixels)


def smooth(x: Tensor) -> Tensor:
    """From 0 to 1 without a kink at either end (smoothstep)."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)

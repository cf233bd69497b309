"""Ways to look at an image for faces: whole, in tiles, with a border, turned."""

from collections.abc import Iterator
from math import atan2, ceil, degrees
from typing import NamedTuple

import torch
from torch import Tensor

from .detector import Detector
from .face import Face
from .geometry import similarity_transform, transform_points
from .warp import inverted, resized, warp

GREY = 0.5
OVERLAP = 0.25
"""Of a tile's side, shared with the next: larger faces are seen whole one level coarser."""
EDGE = 2.0
"""Pixels from a tile's inner border within which a box counts as cut off."""


CLOSE, CLOSE_FACE = 320, 0.45
"""Side of a close look, and the face's part of it."""


class View(NamedTuple):
    """What a detector sees of an image: all or a piece, resized or turned, with the way back to the image's pixels.

    pixels: (3, h, w). back: (2, 3), from these pixels to the image's. inner: whether the left, top, right and
    bottom border cuts through the image."""

    pixels: Tensor
    back: Tensor
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)


def full_view(image: Tensor, side: int) -> View:
    """The image (3, H, W), resized so that its longer side is ``side``."""
    height, width = image.shape[-2:]
    zoom = side / max(height, width)
    size = (max(1, round(height * zoom)), max(1, round(width * zoom)))
    return View(resized(image, size) if size != (height, width) else image, _zoomed(size, (height, width)))


def downscaled(view: View, side: int) -> View:
    """The view shrunk so that its longer side is ``side`` at most."""
    shrunk = full_view(view.pixels, min(side, max(view.pixels.shape[-2:])))
    return View(shrunk.pixels, _after(view.back, shrunk.back), view.inner)


def tiles(image: Tensor, side: int, finest: float) -> Iterator[View]:
    """Overlapping tiles of ``side`` pixels, at twice the size of ``full_view``, four times and so on.

    finest: the largest size that is worth it, as a fraction of the image's own.
    """
    height, width = image.shape[-2:]
    zoom = side / max(height, width)
    while zoom < finest:
        zoom = min(2 * zoom, finest)
        tall, wide = round(height * zoom), round(width * zoom)
        level = _zoomed((tall, wide), (height, width))
        for top, bottom in _spans(tall, side):
            for left, right in _spans(wide, side):
                back = _after(level, _shift(left, top))
                pixels = warp(image, inverted(back), (bottom - top, right - left)).clamp(0, 1)
                yield View(pixels, back, (left > 0, top > 0, right < wide, bottom < tall))


def padded_view(view: View, width: float) -> View:
    """The view with grey around it, ``width`` times its longer side: detectors miss faces that fill the frame.

    Grey, since mirrored borders would show faces that nobody has.
    """
    n = ceil(max(view.pixels.shape[-2:]) * width)
    pixels = torch.nn.functional.pad(view.pixels, (n, n, n, n), value=GREY)
    return View(pixels, _after(view.back, _shift(-n, -n)), view.inner)


def rotated_view(view: View, quarters: int) -> View:
    """The view turned counterclockwise by quarters, 1 to 3."""
    height, width = view.pixels.shape[-2:]
    x, y = width - 1, height - 1
    # Where a pixel of the turned look was before.
    back = {
        1: [[0.0, -1.0, x], [1.0, 0.0, 0.0]],
        2: [[-1.0, 0.0, x], [0.0, -1.0, y]],
        3: [[0.0, 1.0, 0.0], [-1.0, 0.0, y]],
    }[quarters]
    pixels = torch.rot90(view.pixels, quarters, (-2, -1))
    return View(pixels, _after(view.back, torch.tensor(back, dtype=torch.float64)))


def roll(face: Face) -> float:
    """How far the head leans, in degrees from -180 to 180; 0 is upright, above 0 clockwise."""
    down = _down(face)
    return -degrees(atan2(float(down[0]), float(down[1])))


def upright_view(image: Tensor, face: Face, share: float = CLOSE_FACE) -> View:
    """A close view of one face, turned so that its head is up. share: the face's part of the view."""
    x0, y0, x1, y1 = face.box
    middle = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2], dtype=torch.float64)
    chin = middle + _down(face) * face.area**0.5
    centre = (CLOSE - 1) / 2
    target = torch.tensor([[centre, centre], [centre, centre + CLOSE * share]])
    matrix = similarity_transform(torch.stack([middle, chin]), target)
    return View(warp(image, matrix, (CLOSE, CLOSE)).clamp(0, 1), inverted(matrix))


def detect_in_view(view: View, detector: Detector) -> list[Face]:
    """The detector's faces in the image's pixels, without those that a tile cuts off."""
    return [_returned(face, view.back) for face in detector(view.pixels) if not _cut_off(face, view)]


def _down(face: Face) -> Tensor:
    """The unit vector (2,) from between the eyes to the mouth."""
    points = face.points.double().cpu()
    axis = points[3:].mean(0) - points[:2].mean(0)
    return axis / axis.norm().clamp(min=1e-9)


def _cut_off(face: Face, view: View) -> bool:
    height, width = view.pixels.shape[-2:]
    room = (face.box[0], face.box[1], width - 1 - face.box[2], height - 1 - face.box[3])
    return any(inner and space < EDGE for inner, space in zip(view.inner, room, strict=True))


def _returned(face: Face, back: Tensor) -> Face:
    """The face in the image's pixels; its box is that of its turned ellipse, which does not grow by turning."""
    x0, y0, x1, y1 = face.box
    ((x, y),) = transform_points(back, torch.tensor([[(x0 + x1) / 2, (y0 + y1) / 2]])).tolist()
    reach = (back[:, :2] * back.new_tensor([(x1 - x0) / 2, (y1 - y0) / 2])).norm(dim=-1).tolist()
    box = (x - reach[0], y - reach[1], x + reach[0], y + reach[1])
    return Face(box, transform_points(back, face.points).float(), face.score)


def _spans(length: int, side: int) -> list[tuple[int, int]]:
    """Evenly spread windows of ``side`` that cover ``length`` and share ``OVERLAP`` or more."""
    if length <= side:
        return [(0, length)]
    count = ceil((length - side) / (side * (1 - OVERLAP))) + 1
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return [(start, start + side) for start in starts]


def _zoomed(size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """From pixels of an image resized to ``size`` (h, w) to the source's; centres at whole numbers."""
    y, x = source[0] / size[0], source[1] / size[1]
    return torch.tensor([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2]], dtype=torch.float64)


def _shift(x: float, y: float) -> Tensor:
    return torch.tensor([[1.0, 0.0, x], [0.0, 1.0, y]], dtype=torch.float64)


def _after(outer: Tensor, inner: Tensor) -> Tensor:
    """First ``inner``, then ``outer``."""
    return torch.cat([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], 1)

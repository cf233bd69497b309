"""Resampling under a similarity transform, antialiased and in bounded memory.

``grid_sample`` alone reads a few neighbours, whatever the scale: a large face cut small would alias. So the part of
the source that is needed is first shrunk, with a proper low-pass filter, to the target's scale, then turned.
"""

from math import ceil, floor
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

Beyond = Literal["edge", "black"]
"""What lies around an image: its border's pixels drawn out, or nothing."""
MARGIN = 3
"""Pixels of the target that the filters reach beyond a sample: bicubic needs 2."""
BAND = 1 << 22
"""Pixels that are worked on at once."""


def inverted(matrix: Tensor) -> Tensor:
    """The transform (2, 3) back."""
    linear = torch.linalg.inv(matrix[:, :2])
    return torch.cat([linear, -linear @ matrix[:, 2:]], 1)


def scale_of(matrix: Tensor) -> float:
    """Target pixels for a source pixel."""
    return float(torch.linalg.det(matrix[:, :2]).abs().sqrt())


def shifted(matrix: Tensor, x: float, y: float) -> Tensor:
    """The transform followed by a move of the target's origin to (x, y)."""
    return torch.cat([matrix[:, :2], matrix[:, 2:] - matrix.new_tensor([[x], [y]])], 1)


def warp(image: Tensor, matrix: Tensor, size: tuple[int, int], beyond: Beyond = "edge") -> Tensor:
    """``image`` (C, H, W) under ``matrix`` (2, 3), source to target: (C, *size). Bicubic: it may overshoot a little."""
    back = inverted(matrix)
    shrink = min(1.0, scale_of(matrix))
    left, top, right, bottom = _needed(back, size, MARGIN / shrink)
    if beyond == "black":  # what lies farther out is black anyway
        left, right = _within(left, right, image.shape[-1], MARGIN / shrink)
        top, bottom = _within(top, bottom, image.shape[-2], MARGIN / shrink)
    height, width = max(1, round((bottom - top) * shrink)), max(1, round((right - left) * shrink))
    pixels = _resampled(image, (top, bottom), (left, right), (height, width), beyond)

    zoom = back.new_tensor([width / (right - left), height / (bottom - top)])
    x, y = _positions(back, size)
    x = (2 * (x - left) + 1) * zoom[0] / width - 1  # grid_sample's -1...1 from edge to edge
    y = (2 * (y - top) + 1) * zoom[1] / height - 1
    grid = torch.stack([x, y], -1).to(pixels)
    padding = "border" if beyond == "edge" else "zeros"
    return grid_sample(pixels[None], grid[None], mode="bicubic", padding_mode=padding, align_corners=False)[0]


def inside(matrix: Tensor, size: tuple[int, int], source: tuple[int, int] | torch.Size) -> Tensor:
    """(1, *size): 1 where the target, under ``matrix``, shows a ``source`` of (H, W) pixels, else 0."""
    x, y = _positions(inverted(matrix), size)
    valid = (x >= -0.5) & (x <= source[1] - 0.5) & (y >= -0.5) & (y <= source[0] - 0.5)
    return valid[None].float()


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """``image`` (C, H, W) at another size (h, w): low-pass filtered where it shrinks, smooth where it grows."""
    return _resampled(image, (0, image.shape[-2]), (0, image.shape[-1]), size, "edge").clamp(0, 1)


def blurred(image: Tensor, reach: int) -> Tensor:
    """``image`` (C, H, W) averaged over squares of 2 * reach + 1 pixels."""
    for kernel, room in (((2 * reach + 1, 1), (0, 0, reach, reach)), ((1, 2 * reach + 1), (reach, reach, 0, 0))):
        image = avg_pool2d(pad(image[None], room, mode="replicate"), kernel, 1)[0]
    return image


def _positions(matrix: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """x and y (*size) in the source, of every pixel of the target."""
    (a, b, c), (d, e, f) = matrix.tolist()
    y = torch.arange(size[0], dtype=torch.float64)[:, None]
    x = torch.arange(size[1], dtype=torch.float64)[None]
    return a * x + b * y + c, d * x + e * y + f


def _needed(back: Tensor, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of what a target of ``size`` needs of the source."""
    bottom, right = size[0] - 0.5, size[1] - 0.5
    corners = back.new_tensor([[-0.5, -0.5], [right, -0.5], [-0.5, bottom], [right, bottom]])
    mapped = corners @ back[:, :2].T + back[:, 2]
    (x0, y0), (x1, y1) = mapped.amin(0).tolist(), mapped.amax(0).tolist()
    return floor(x0 - margin), floor(y0 - margin), ceil(x1 + margin) + 1, ceil(y1 + margin) + 1


def _within(low: int, high: int, length: int, margin: float) -> tuple[int, int]:
    """The range, kept to the image and a margin; never empty."""
    reach = ceil(margin)
    low, high = max(low, -reach), min(high, length + reach)
    return (low, high) if low < high else (-reach, -reach + 1)


def _resampled(
    image: Tensor, rows: tuple[int, int], columns: tuple[int, int], size: tuple[int, int], beyond: Beyond
) -> Tensor:
    """A range of rows and columns, which may lie beyond the image, at ``size`` (h, w).

    First the rows' width, a band at a time, then the height: a photo of any size needs little beside itself.
    """
    tall, wide = rows[1] - rows[0], columns[1] - columns[0]
    x, seen_x = _indices(columns, image.shape[-1])
    y, seen_y = _indices(rows, image.shape[-2])
    x, y, seen_x, seen_y = (index.to(image.device) for index in (x, y, seen_x, seen_y))
    bands: list[Tensor] = []
    for some, valid in zip(y.split(max(1, BAND // wide)), seen_y.split(max(1, BAND // wide)), strict=True):
        band = _picked(image, some, x)
        if beyond == "black":
            band = band * (valid[:, None] & seen_x)
        bands.append(_resize(band, (len(some), size[1])) if size[1] != wide else band)
    joined = torch.cat(bands, -2)
    return _resize(joined, size) if size[0] != tall else joined


def _picked(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``image[:, rows][:, :, columns]`` for ascending neighbours with repeated ends, float32: a window whose border is
    drawn out, since gathering whole rows of a large photo takes ten times as long."""
    spans = [(int(index[0]), int(index[-1]) + 1, int((index == index[0]).sum()) - 1) for index in (rows, columns)]
    (top, bottom, above), (left, right, before) = spans
    window = image[:, top:bottom, left:right].float()
    room = (before, len(columns) - before - (right - left), above, len(rows) - above - (bottom - top))
    return pad(window, room, mode="replicate") if any(room) else window


def _indices(span: tuple[int, int], length: int) -> tuple[Tensor, Tensor]:
    """The image's nearest row or column for each of a range, and whether it is really there."""
    indices = torch.arange(*span)
    return indices.clamp(0, length - 1), (indices >= 0) & (indices < length)


def _resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(image[None], size, mode="bicubic", antialias=True, align_corners=False)[0]

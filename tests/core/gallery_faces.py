"""People of the gallery for tests: aligned pictures whose five points are known, and places without anybody."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import crop_face, transform_points
from revpers_core.media import gallery


def aligned(person: int, number: int = 0, side: int = 128) -> tuple[Tensor, Tensor]:
    """Somebody's aligned picture (3, side, side), and the five points (5, 2) in its pixels."""
    photo = gallery.photo(person, number)
    crop = crop_face(photo.pixels, photo.face, 128)
    pixels = interpolate(crop.pixels[None], (side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)
    return pixels, (transform_points(crop.matrix, photo.face.points).float() + 0.5) * (side / 128) - 0.5


def pasted(canvas: Tensor, person: int, at: tuple[int, int], side: int = 128, number: int = 0) -> Face:
    """Put somebody's aligned picture into a canvas (3, H, W) with its corner at (x, y); returns where the face is."""
    pixels, points = aligned(person, number, side)
    x, y = at
    canvas[:, y : y + side, x : x + side] = pixels
    points = points + torch.tensor([x, y])
    margin = side / 6
    return Face((*(points.amin(0) - margin).tolist(), *(points.amax(0) + margin).tolist()), points, 0.9)


def place(number: int, height: int = 128, width: int = 128) -> Tensor:
    """(3, height, width) of nobody: what lies in a photo's upper corner."""
    photo = gallery.photo(number // 2, number // 128).pixels
    corner = photo[:, :64, :64] if number % 2 else photo[:, :64, -64:]
    return interpolate(corner[None], (height, width), mode="bicubic")[0].clamp(0, 1)

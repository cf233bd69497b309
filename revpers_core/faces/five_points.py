"""The picture of a face's five points that InstantID's ControlNet was trained on."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .geometry import framing

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
"""Of the eyes, the nose tip and the mouth corners."""
NOSE, LIMBS, DIMMED = 2, (0, 1, 3, 4), 0.6
WIDTH, RADIUS, NOMINAL = 4, 10, 1024
"""Half a limb's width and a dot's radius in pixels of a picture of 1024; others are scaled."""


def five_points(points: Tensor | None, side: int, count: int = 1) -> Tensor:
    """(B, 3, S, S) in [0, 1]: coloured dots on black, and dimmer limbs from each to the nose.

    points: (B, 5, 2) in shares of the side, as ``Identity.points``; None for ``count`` crops framed as FFHQ's.
    """
    if points is None:
        return _draw(framing(side), side)[None].expand(count, -1, -1, -1)
    return torch.stack([_draw(shares * side - 0.5, side) for shares in points.double()])


def _draw(points: Tensor, side: int) -> Tensor:
    """One picture (3, S, S) of points (5, 2) in pixels, as InstantID's own ``draw_kps`` draws it."""
    scale, spots = side / NOMINAL, points.tolist()
    picture = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(picture)
    for limb in LIMBS:
        draw.polygon(_ellipse(spots[limb], spots[NOSE], WIDTH * scale), fill=COLOURS[limb])
    picture = Image.fromarray((np.asarray(picture) * DIMMED).astype(np.uint8))
    draw, radius = ImageDraw.Draw(picture), RADIUS * scale
    for (x, y), colour in zip(spots, COLOURS, strict=True):
        draw.ellipse((int(x) - radius, int(y) - radius, int(x) + radius, int(y) + radius), fill=colour)
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)


def _ellipse(a: list[float], b: list[float], width: float) -> list[tuple[float, float]]:
    """The outline of a limb from a to b."""
    centre = int((a[0] + b[0]) / 2), int((a[1] + b[1]) / 2)
    half, angle = int(math.dist(a, b) / 2), math.radians(int(math.degrees(math.atan2(a[1] - b[1], a[0] - b[0]))))
    outline: list[tuple[float, float]] = []
    for degree in range(0, 360, 4):
        x, y = half * math.cos(math.radians(degree)), width * math.sin(math.radians(degree))
        turned = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
        outline.append((centre[0] + turned[0], centre[1] + turned[1]))
    return outline

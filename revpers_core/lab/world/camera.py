"""Where the camera stands, and where it sees things: FFHQ's frame of the level face. Plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np

from .shot import Shot

AWAY = 22.0
"""Of the camera, in eye distances: a portrait lens."""


@dataclass(frozen=True)
class Camera:
    """A camera in the world.

    place, right, up, look: (3,) world vectors, metres. extent: side of what it sees at the face, metres. away: from
    the face. centre: (2,) where the optical axis lies in the picture, shares of its side from the middle, y up."""

    place: np.ndarray
    right: np.ndarray
    up: np.ndarray
    look: np.ndarray
    extent: float
    away: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) of points (N, 3), in the unit square, y down."""
        offsets = points - self.place
        depth = offsets @ self.look
        x, y = offsets @ self.right / depth, offsets @ self.up / depth
        scale = self.away / self.extent
        return np.stack([0.5 + x * scale, 0.5 - y * scale], -1)


def framed(points: np.ndarray, shot: Shot, wider: float = 1.0) -> Camera:
    """The camera of a shot for the face's five points (5, 3): FFHQ's square, ``wider`` times as large (then a little
    lower, so that shoulders are in it)."""
    f = shot.factors
    yaw, pitch, roll = (radians(f[name]) for name in ("yaw", "pitch", "roll"))
    look = np.array([sin(yaw) * cos(pitch), cos(yaw) * cos(pitch), -sin(pitch)])
    right = np.array([cos(yaw), -sin(yaw), 0.0])
    up = np.cross(right, look)
    x, y = points @ right, points @ up
    eyes, mouth = (np.array([x[rows].mean(), y[rows].mean()]) for rows in (slice(0, 2), slice(3, 5)))
    across = float(np.hypot(x[1] - x[0], y[1] - y[0]))
    side = 2 * max(2 * across, 1.8 * float(np.linalg.norm(mouth - eyes)))
    centre = eyes + 0.1 * (mouth - eyes)
    side *= wider * (1 + shot.zoom)
    centre = centre + side * np.array(shot.shift) - np.array([0.0, 0.11 * side * (wider > 1)])
    away = AWAY * float(np.linalg.norm(points[1] - points[0]))
    depth = float(points[:2].mean(0) @ look)
    target = right * centre[0] + up * centre[1] + look * depth
    turned = right * cos(roll) + up * sin(roll)
    return Camera(target - look * away, turned, np.cross(turned, look), look, side, away)


def face_box(points: np.ndarray) -> np.ndarray:
    """(4,) of the face, x0, y0, x1, y1, from its five points (5, 2) in a picture: hairline to chin."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    length = float(np.linalg.norm(mouth - eyes))
    half = 1.02 * max(float(np.linalg.norm(points[1] - points[0])), 0.8 * length)
    middle = (points[:, 0].mean() + eyes[0]) / 2
    return np.array([middle - half, eyes[1] - 0.9 * length, middle + half, mouth[1] + 0.52 * length])

"""From linear light to a phone's picture: exposure by the face, white balance, tone, grain. Plain numpy."""

from __future__ import annotations

import numpy as np

from .factors import stream
from .person import Person
from .shot import Shot

LUMA = np.array([0.2126, 0.7152, 0.0722])
GREY, TONE = 0.15, 0.07
"""Linear brightness that a phone gives a face, and how much of that is left of its own tone."""


def developed(linear: np.ndarray, person: Person, shot: Shot, box: np.ndarray | None = None) -> np.ndarray:
    """Linear light (H, W, 3) to sRGB (H, W, 3) uint8. box: of the face in the unit square, whose brightness sets the
    exposure; None for the middle of the picture."""
    height, width = linear.shape[:2]
    x0, y0, x1, y1 = np.clip(np.array([0.25, 0.25, 0.75, 0.75]) if box is None else box, 0.02, 0.98)
    face = linear[int(y0 * height) : int(y1 * height) + 1, int(x0 * width) : int(x1 * width) + 1]
    light = float(np.exp(np.log(np.maximum(face @ LUMA, 1e-3)).mean()))
    overall = float(np.exp(np.log(np.maximum(linear @ LUMA, 1e-3)).mean()))
    target = GREY + TONE * (0.5 - person.melanin) * 1.1
    gain = target / (0.8 * light + 0.2 * overall) * 2.0**shot.exposure
    gain *= min(1.0, 1.3 / max(1e-6, float(np.quantile(linear @ LUMA, 0.97)) * gain)) ** 0.35
    red, blue = shot.white
    exposed = linear * gain * np.array([red, 1.0, blue])
    toned = _tone(exposed)
    noise = stream(shot.seed, 40).normal(0, shot.grain, (*toned.shape[:2], 1))
    colour = stream(shot.seed, 41).normal(0, shot.grain * 0.5, toned.shape)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    fall = 1 - 0.06 * (x**2 + y**2)
    return (np.clip(toned * fall[..., None] + noise + colour, 0, 1) * 255).round().astype(np.uint8)


def _tone(x: np.ndarray) -> np.ndarray:
    """A filmic curve per channel (Narkowicz's fit of ACES, softened), then sRGB's transfer."""
    mixed = 0.9 * x + 0.1 * (x @ LUMA)[..., None]
    curve = mixed * (2.51 * mixed + 0.03) / (mixed * (2.43 * mixed + 0.59) + 0.14)
    curve = np.clip(curve, 0, 1)
    return np.where(curve < 0.0031308, 12.92 * curve, 1.055 * np.maximum(curve, 1e-6) ** (1 / 2.4) - 0.055)

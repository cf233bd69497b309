"""How a pocket face looks: skin, eyes, brows, lips, hair, light, clothes, places, as formulas over planes of pixels.

Colours are linear light (B, 3, N); masks are (B, N); traits are (B, 1). Features are drawn in head space on the point
that a pixel sees, folded about the middle (|x|) so that both sides cost one.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import geometry

Traits = dict[str, Tensor]

# Pale to dark; these tables are sRGB.
SKIN = ((0.96, 0.82, 0.74), (0.90, 0.71, 0.59), (0.77, 0.56, 0.42), (0.55, 0.36, 0.25), (0.33, 0.21, 0.155))
IRIS = (
    (0.22, 0.13, 0.07), (0.36, 0.22, 0.10), (0.42, 0.40, 0.20), (0.30, 0.46, 0.36), (0.30, 0.46, 0.66),
    (0.50, 0.56, 0.62),
)  # fmt: skip
HAIR = (
    (0.07, 0.06, 0.06), (0.24, 0.15, 0.10), (0.40, 0.19, 0.10), (0.60, 0.28, 0.12), (0.76, 0.58, 0.34),
    (0.50, 0.49, 0.48), (0.86, 0.85, 0.83),
)  # fmt: skip
# One row a style of world.HAIRS: present, thickness, the front hairline's elevation, the azimuth where it drops, its
# lowest elevation, curl, length and width behind.
CUT = (
    (0, 0.0, 90, 60, 0, 0.0, 0, 0.3),
    (1, 0.014, 74, 62, -12, 0.0, 0, 0.3),
    (1, 0.012, 45, 70, -10, 0.2, 0, 0.3),
    (1, 0.035, 43, 70, -8, 0.1, 0, 0.3),
    (1, 0.060, 45, 68, -5, 0.0, 0, 0.3),
    (1, 0.045, 25, 66, -10, 0.0, 0, 0.3),
    (1, 0.080, 41, 64, -18, 1.0, 0.25, 0.37),
    (1, 0.020, 44, 66, 2, 0.0, 0, 0.3),
    (1, 0.050, 44, 54, -60, 0.15, 1, 0.36),
    (1, 0.050, 25, 52, -60, 0.1, 1, 0.36),
)


class Hair(NamedTuple):
    """One cut per face, each (B, 1) but the colour (B, 3, 1)."""

    there: Tensor
    thick: Tensor
    front: Tensor
    edge: Tensor
    low: Tensor
    curl: Tensor
    length: Tensor
    width: Tensor
    colour: Tensor


class Lamp(NamedTuple):
    """Light in camera space: toward it (B, 3, 1), its colour and the ambient colour (B, 3, 1)."""

    toward: Tensor
    key: Tensor
    ambient: Tensor


def _linear(table: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(table, device=device, dtype=torch.float32).pow(2.2)


def _ramp(table: Tensor, at: Tensor) -> Tensor:
    """Interpolate rows of table (K, 3) at (B, 1) in [0, 1] -> (B, 3, 1)."""
    k = (at[:, 0].clamp(0, 1) * (len(table) - 1)).clamp_max(len(table) - 1.001)
    low = k.long()
    return torch.lerp(table[low], table[low + 1], (k - low)[:, None])[:, :, None]


def _rgb(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    return torch.stack((red, green, blue), 1)


def _hue(hue: Tensor, value: Tensor, saturation: float) -> Tensor:
    """(B, 1) hue and value in [0, 1] -> linear colour (B, 3, 1)."""
    third = torch.tensor([0.0, 1 / 3, 2 / 3], device=hue.device)
    wave = 0.5 + 0.5 * torch.cos((hue - third) * 6.2832)
    return ((1 - saturation + saturation * wave) * value).pow(2.2)[:, :, None]


def _soft(distance: Tensor, width: Tensor | float) -> Tensor:
    """1 where distance >> 0, 0 where << 0, over about `width`."""
    return torch.sigmoid(distance * (4.0 / width))


def _bell(x: Tensor) -> Tensor:
    """About exp(-x^2 / 2), but exactly zero past 2.8: the tails of exp are denormal numbers, and slow."""
    k = torch.addcmul(x.new_ones(()), x, x, value=-0.125).clamp_min(0)
    k = k * k
    return k * k


def _paint(under: Tensor, colour: Tensor, mask: Tensor) -> Tensor:
    return torch.lerp(under, colour.expand_as(under), mask[:, None])


@cache
def _tile(device: torch.device) -> Tensor:
    noise = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return F.pad(noise, (1, 1, 1, 1), mode="circular").to(device)


def _noise(u: Tensor, v: Tensor, *, smooth: bool = False) -> Tensor:
    """Value noise in [-1, 1] with a period of 128 cells; u, v (B, N) in cells. Smooth where one sees a cell's edges."""
    grid = torch.stack((u, v), -1).remainder(128)
    if smooth:
        f = grid.frac()
        grid = grid - f + f * f * (3 - 2 * f)
    grid = (grid + 1.5) / 130 * 2 - 1
    return F.grid_sample(_tile(u.device).expand(len(u), -1, -1, -1), grid[:, None], align_corners=False)[:, 0, 0]


@cache
def _speckle(device: torch.device) -> Tensor:
    return torch.randn(1 << 16, generator=torch.Generator().manual_seed(1)).to(device)


def grain(phase: Tensor, size: int) -> Tensor:
    """Sensor noise (B, 3, size, size) of unit variance, chosen by phase (B, 1)."""
    table = _speckle(phase.device)
    n = torch.arange(3 * size * size, device=phase.device) + (phase * len(table)).long()
    return table[n % len(table)].view(-1, 3, size, size)


def hair(t: Traits, style: Tensor, colour: Tensor) -> Hair:
    """The cut and dye of each face from its indices (B,)."""
    device = style.device
    there, thick, front, edge, low, curl, length, width = torch.tensor(CUT, device=device, dtype=torch.float32)[
        style
    ].T[:, :, None]
    shade = _linear(HAIR, device)[colour] * (0.65 + 0.8 * t["tint"])
    front = front + 8 * (t["recede"] - 0.5)
    return Hair(
        there,
        thick * (0.7 + 0.6 * t["volume"]),
        front,
        edge + 8 * (t["phase"] - 0.5),
        low,
        curl,
        length,
        width,
        shade[:, :, None],
    )


def _growth(x: Tensor, y: Tensor, z: Tensor, t: Traits, h: Hair) -> Tensor:
    """Degrees inside the hairline (negative outside) of unit directions, each (B, N) or (N,)."""
    elevation = torch.rad2deg(torch.asin(y.clamp(-0.999, 0.999)))
    azimuth = torch.rad2deg(torch.atan2(x, z))
    off = azimuth.abs()
    line = h.front + 9 * (t["recede"] - 0.2) * (1 - 0.5 * t["man"].logical_not()) * _bell((off - 34) / 12)
    line = line + 4 * torch.sin(azimuth * 0.08 + t["phase"] * 6.28) * (h.front < 35)
    line = line - (h.front - h.low) * torch.sigmoid((off - h.edge) / 6)
    return torch.where(h.there > 0, elevation - line, elevation.new_tensor(-90.0))


def with_hair(bare: Tensor, t: Traits, h: Hair) -> tuple[Tensor, Tensor]:
    """Add hair to a radius map (B, MAP, MAP); returns it and, (B, 5, MAP, MAP), its relief and the hair's thickness."""
    d = geometry.directions(bare.device).flatten(1)
    inside = _growth(d[0][None], d[1][None], d[2][None], t, h)
    seed = t["phase"] * 97
    lumps = _noise(d[0] * 9 + seed, d[1] * 9 + d[2] * 7 + seed) * (0.25 + 0.35 * h.curl)
    part = (t["part"] - 0.5) * 0.5
    groove = 1 - 0.45 * _bell((d[0] - part) / 0.035) * (d[1] > 0.5) * (h.curl < 0.5)
    full = 0.35 + 0.65 * ((d[1] + 0.4) / 1.0).clamp(0, 1)
    thick = h.thick * torch.sigmoid((inside - 5) / 3.5) * (1 + lumps) * groove * full
    thick = thick.view_as(bare)
    radius = bare + thick
    return radius, torch.cat((geometry.relief(radius), thick[:, None]), 1)


def lamp(t: Traits) -> Lamp:
    x, y = t["light_x"], t["light_y"]
    toward = F.normalize(torch.stack((x * 1.15, y, 0.65 + 0 * x), 1), dim=1)
    warm = (t["warmth"] - 0.5) * 0.36
    key = _rgb(1 + warm, 1 + 0 * warm, 1 - warm) * (0.85 + 0.5 * t["power"])[:, None]
    ambient = _rgb(1 - 0.6 * warm, 1 + 0 * warm, 1 + 0.6 * warm) * (0.12 + 0.26 * t["ambient"])[:, None]
    return Lamp(toward, key, ambient)


def _lit(normal: Tensor, light: Lamp, wrap: float) -> Tensor:
    """Wrapped Lambert (B, 3, N) of camera-space normals (B, 3, N), with a sky that is brighter than the ground."""
    lambert = ((normal * light.toward).sum(1, keepdim=True) + wrap).clamp_min(0) / (1 + wrap)
    return light.key * lambert + light.ambient * (0.8 + 0.25 * normal[:, 1:2])


def skin_colour(t: Traits) -> Tensor:
    base = _ramp(_linear(SKIN, t["tone"].device), t["tone"])
    red, yellow = t["tone_red"] * 0.035, t["tone_yellow"] * 0.035
    return base * _rgb(1 + red, 1 - 0.4 * red, 1 - yellow - red)


def _eyes(
    colour: Tensor, x: Tensor, y: Tensor, pixel: Tensor, t: Traits, skin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Paint lids, lashes and eyeballs; returns the colour, the eyeball's mask and the unlit highlight."""
    side = torch.sign(x)
    s = (x.abs() - t["eye_x"]) / t["eye_w"].clamp_min(0.042)  # -1 at the inner corner, 1 at the outer
    height = y - t["eye_y"] - t["eye_tilt"] * t["eye_w"] * s - t["asym"] * 0.4 * side
    arch = (1 - s * s).clamp_min(0)
    squint = 0.15 * t["smile"].clamp_min(0)
    opening = (t["lid"] * (0.92 + 0.12 * t["brow"].clamp(0, 1) + 0.12 * t["gaze_y"])).clamp(0, 1.2)
    lower = -(0.40 - 0.5 * squint) * t["eye_h"] * arch**0.8
    upper = lower + t["eye_h"] * (1 - squint) * opening * arch**0.75 * (1 - t["eye_skew"] * s)
    inside = _soft(torch.minimum(upper - height, height - lower), 2 * pixel) * (s.abs() < 1) * _soft(arch - 0.02, 0.2)
    # Eyeball.
    gx, gy = t["gaze_x"] * 0.020 * side, t["gaze_y"] * 0.011 - 0.001
    dx, dy = x.abs() - t["eye_x"] - gx, height - gy
    r = (dx * dx + dy * dy + 1e-9).sqrt()
    iris = t["iris"].clamp(0.020, 0.027)
    hue = torch.special.ndtr(t["iris_hue"] - 2.2 * (t["tone"] - 0.35))
    tint = _ramp(_linear(IRIS, x.device), hue) * (1 + 0.25 * t["iris_value"].clamp(-1.5, 2))[:, None]
    white = (
        skin.new_tensor([0.80, 0.78, 0.75]).view(1, 3, 1) * (0.72 + 0.28 * (1 - (s * 0.9) ** 4).clamp_min(0))[:, None]
    )
    ball = torch.lerp(white, tint * (0.75 + 0.6 * (r / iris).clamp(0, 1))[:, None], _soft(iris - r, 2 * pixel)[:, None])
    ball = ball * (1 - 0.55 * _bell((r - iris) / (0.10 * iris + 0.5 * pixel)))[:, None]
    ball = ball * (1 - 0.97 * _soft(0.42 * iris - r, 2 * pixel))[:, None]
    shade = _soft(upper - height - 0.009, 0.020)
    ball = ball * (0.45 + 0.55 * shade)[:, None]
    glint = _bell((torch.hypot(dx * side - 0.008 * torch.sign(t["light_x"]), dy - 0.009)) / 0.0045) * inside
    # Around it: crease, lashes, lower rim, bags.
    near = _soft(1.12 - s.abs(), 0.25)
    crease = (
        _bell((height - upper - 0.014 - 0.006 * t["crease"]) / 0.0045) * near * (0.25 + 0.4 * t["crease"].clamp(0, 1))
    )
    pouch = _bell((height + 0.034) / 0.006) * _bell(s * 1.1) * (0.12 + 0.35 * t["bags"].clamp(0, 1) * (0.4 + t["old"]))
    shadow = _bell((height + 0.01) / 0.035) * _bell((s + 0.25) / 1.0) * 0.16
    colour = colour * (1 - 0.75 * crease - pouch - shadow)[:, None]
    colour = torch.lerp(colour, ball, inside[:, None])
    lash = _bell(
        (height - upper - 0.001) / (0.0032 + 0.002 * t["lash"].clamp(0, 1) * (1 - 0.6 * t["man"]) + 0.3 * pixel)
    ) * _soft(1.08 - s.abs(), 0.1)
    rim = _bell((height - lower + 0.001) / (0.003 + 0.3 * pixel)) * _soft(1.0 - s.abs(), 0.1)
    colour = colour * (1 - 0.88 * lash - 0.35 * rim * (1 - lash))[:, None]
    return colour, inside, glint


def _brows(colour: Tensor, x: Tensor, y: Tensor, n: Tensor, pixel: Tensor, t: Traits) -> Tensor:
    a = x.abs() - t["eye_x"] - t["brow_gap"] * 0.5
    s = a / t["brow_long"]
    angry = (-t["brow"]).clamp_min(0)
    middle = t["brow_y"] + t["brow_tilt"] * a + t["brow_arch"] * (1 - (s - 0.25) ** 2) - 0.006
    middle = middle + 0.14 * angry * (a - 0.02) + t["asym"] * torch.sign(x)
    thick = t["brow_thick"] * (1 - 0.55 * ((s + 0.3) / 1.3).clamp(0, 1) ** 1.5)
    strand = 1 + 0.35 * n
    mask = _soft(thick * strand - (y - middle).abs(), 0.009 + pixel) * _soft(1 - s.abs() - 0.1 * n, 0.18)
    shade = _ramp(_linear(HAIR[:3], x.device), 0.5 + 0.3 * t["brow_shade"] - 0.6 * (t["tone"] - 0.2))
    grey = _linear(HAIR, x.device)[5].view(1, 3, 1)
    shade = torch.lerp(shade, grey, (0.75 * t["old"] ** 2)[:, None])
    return _paint(colour, shade, mask * t["brow_dark"].clamp(0.45, 0.97))


def _mouth(colour: Tensor, x: Tensor, y: Tensor, pixel: Tensor, t: Traits, skin: Tensor) -> tuple[Tensor, Tensor]:
    """Paint lips and what lies between them; returns the colour and the lips' mask."""
    s = x / t["half"]
    arch = (1 - s * s).clamp_min(0)
    seam = t["mouth_y"] + t["bend"] * s.abs().clamp_max(1.3) ** 1.7 - 0.3 * t["drop"] * s * s + t["asym"] * 0.5 * s
    grin = (t["smile"] - 0.4).clamp_min(0) * 0.030
    top = seam + (0.12 * t["drop"] + 0.5 * grin) * arch**0.7
    low = seam - (0.88 * t["drop"] + 0.5 * grin) * arch**0.6
    bow = 1 - t["lip_bow"].clamp(0, 0.75) * _bell(s / 0.10) + 0.18 * _bell((s.abs() - 0.24) / 0.14)
    stretch = 1 - 0.22 * t["smile"].clamp_min(0)
    above = top + t["lip_up"] * stretch * bow * (0.75 * arch + 0.25 * arch**0.5)
    below = low - t["lip_low"] * stretch * arch**0.75
    wide = _soft(1.0 - s.abs(), 0.08)
    inner = _soft(torch.minimum(top - y, y - low), 2 * pixel) * wide
    lips = _soft(torch.minimum(above - y, y - below), 0.004 + 2 * pixel) * wide
    amount = (0.5 + 0.45 * t["lip_red"] - 0.1 * t["man"]).clamp(0.2, 0.95)
    rose = skin * _rgb(0.90 + 0 * amount, 0.44 + 0.14 * t["man"], 0.48 + 0.14 * t["man"])
    out = _paint(colour, rose, lips * amount)
    out = out * (1 - 0.30 * lips * (y > seam) * (1 - inner))[:, None]
    gap = (top - low).clamp_min(1e-4)
    depth = (top - y) / gap
    teeth = (
        _soft(0.011 + 0.009 * t["smile"].clamp_min(0) - (top - y), 0.006) * _soft(0.86 - s.abs(), 0.2) * (gap > 0.006)
    )
    cave = skin.new_tensor([0.055, 0.012, 0.012]).view(1, 3, 1).expand_as(out)
    cave = torch.lerp(
        cave,
        skin.new_tensor([0.34, 0.09, 0.09]).view(1, 3, 1),
        (0.8 * _soft(depth - 0.68, 0.35) * _bell(s / 0.45) * (gap > 0.03))[:, None],
    )
    cave = torch.lerp(cave, skin.new_tensor([0.62, 0.58, 0.50]).view(1, 3, 1), (teeth * (0.9 - 0.35 * s * s))[:, None])
    out = torch.lerp(out, cave, inner[:, None])
    line = _bell((y - seam) / (0.0035 + 0.4 * pixel)) * _soft(1.03 - s.abs(), 0.08) * (1 - inner)
    corner = _bell(torch.hypot((x.abs() - t["half"]) / 0.009, (y - seam) / 0.008))
    under = _bell((y - below + 0.016) / 0.010) * _bell(s / 0.5)
    return out * (1 - 0.68 * line - 0.3 * corner - 0.16 * under)[:, None], lips * (1 - inner)


def _wear(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """Darkness in [0, 1] of wrinkles and folds (B, N)."""
    a, side = x.abs(), torch.sign(x)
    old = t["old"]
    top, bottom = t["nose_y"], t["mouth_y"] + t["bend"]
    k = ((top + 0.01 - y) / (top - bottom + 0.05)).clamp(0, 1)
    fold = (
        _bell((a - (t["nose_wide"] + 0.014 + (t["half"] - t["nose_wide"] + 0.012) * k**0.8)) / 0.007)
        * _soft(top + 0.012 - y, 0.02)
        * _soft(y - bottom + 0.03, 0.03)
    )
    fold = fold * (0.10 + 0.4 * old + 0.25 * t["smile"].clamp_min(0))
    wave = torch.sin(
        (y + 0.12 * x * x + 0.004 * torch.sin(x * 31 + t["mark_phase"])) * 6.2832 / 0.034 + t["mark_phase"]
    )
    brow = (
        (wave - 0.35).clamp_min(0)
        * _bell((y - 0.20) / 0.038)
        * _bell(x / 0.11)
        * (0.42 * old + 0.3 * t["brow"].clamp_min(0) * (0.25 + old))
    )
    crow = torch.sin((y - t["eye_y"]) * 330 * (0.2 / (a - 0.05).clamp_min(0.05)) ** 0.5 + t["mark_phase"] + side)
    crow = (crow - 0.2).clamp_min(0) * _bell((a - t["eye_x"] - 0.088) / 0.02) * _bell((y - t["eye_y"]) / 0.028)
    crow = crow * (0.4 * old + 0.2 * t["smile"].clamp_min(0) * (0.3 + old))
    frown = (
        _bell((a - 0.016) / 0.0045)
        * _bell((y - t["brow_y"] - 0.002) / 0.018)
        * (0.2 * old + 0.45 * (-t["brow"]).clamp_min(0))
    )
    jowl = (
        _bell((a - t["half"] - 0.006 - 0.15 * (bottom - y)) / 0.007) * _bell((y - bottom + 0.05) / 0.024) * 0.32 * old
    )
    return (fold + brow + crow + frown + jowl).clamp(0, 0.8)


def shade_head(points: Tensor, relief: Tensor, turn: Tensor, pixel: Tensor, t: Traits, h: Hair, light: Lamp) -> Tensor:
    """Light leaving each head point (B, 3, N): points in head space, turn to the camera, pixel a pixel's width."""
    x, y, z = points.unbind(1)
    n, u, v = geometry.stereographic(points)
    look = geometry.lookup(relief, u, v)
    bent, cavity, thick = look[:, :3], look[:, 3], look[:, 4]
    normal = geometry.unit(turn @ bent)
    facing = (z > 0.05).float()
    seed = t["mark_phase"] * 7
    fine = _noise(x * 150 + seed, y * 150)
    broad = _noise(x * 16 + seed, y * 16 + z * 9)

    skin = skin_colour(t)
    colour = skin * (1 + 0.05 * t["blotch"] * broad * 2 + 0.03 * fine)[:, None]
    bloom = (
        _bell(torch.hypot((x.abs() - 0.16) / 0.055, (y + 0.08) / 0.05))
        + _bell(torch.hypot(x / 0.05, (y - t["nose_y"]) / 0.04)) * 0.7
    )
    bloom = (
        (bloom + _bell((x.abs() - 0.3) / 0.03) * _bell((y + 0.03) / 0.08)) * (0.35 + 0.4 * t["blush"].clamp(0, 1)) * 0.6
    )
    colour = colour * _rgb(1 + 0.06 * bloom, 1 - 0.26 * bloom, 1 - 0.24 * bloom)
    freckled = (fine - 0.35).clamp_min(0) * t["freckle"].clamp(0, 1.2) * _bell(torch.hypot(x / 0.17, (y + 0.05) / 0.08))
    spots = (broad * 0.5 + fine * 0.5 - 0.3).clamp_min(0) * t["old"]
    colour = colour * (1 - 0.9 * freckled - 0.6 * spots)[:, None]
    for name in ("mole1", "mole2"):
        size = t[name + "_size"]
        r = torch.hypot(x - t[name + "_x"].clamp(-0.2, 0.2), y - t[name + "_y"].clamp(-0.36, 0.22))
        colour = colour * (1 - 0.7 * _soft(size - r, 0.004) * (size > 0.0015))[:, None]

    # Beard: cheeks below a line, the upper lip, the chin; cut decides which.
    cut = t["beard_cut"]
    cheek_line = -0.06 - 0.17 * _soft(0.20 - x.abs(), 0.16) - 0.03 * _bell(x / 0.05)
    field = _soft(cheek_line - y + 0.02 * fine, 0.03)
    lip = (
        _soft(t["nose_y"] - 0.028 - y, 0.012) * _soft(y - t["mouth_y"], 0.02) * _soft(t["half"] + 0.008 - x.abs(), 0.03)
    )
    goatee = _soft(0.085 - x.abs(), 0.05) * field
    jawed = torch.where(cut > 0.7, goatee, field)
    beard = torch.maximum(jawed * (cut > -0.8), lip) * facing
    coat = _ramp(_linear(HAIR[:4], x.device), 0.35 + 0.35 * t["brow_shade"] - 0.6 * (t["tone"] - 0.2))
    coat = torch.lerp(coat, _linear(HAIR, x.device)[6].view(1, 3, 1), (0.7 * t["old"])[:, None])
    strands = _noise(x * 170 + seed, y * 60 + seed)
    colour = _paint(colour, coat * (1 + 0.35 * strands)[:, None], beard * t["beard_on"] * (0.80 + 0.12 * strands))
    shadow = torch.maximum(field, lip) * facing * t["stubble"] * (1 - t["beard_on"]) * (1 + 0.4 * fine)
    colour = _paint(colour, colour.new_tensor([0.16, 0.16, 0.18]).view(1, 3, 1) * skin, 0.35 * shadow)

    colour = colour * (1 - _wear(x, y, t) * facing)[:, None]
    colour, lips = _mouth(colour, x, y, pixel, t, skin)
    colour = _brows(colour, x, y, _noise(x.abs() * 130 + y * 70, y * 25 + seed), pixel, t)
    colour, ball, glint = _eyes(colour, x, y, pixel, t, skin)
    nostril = _bell(torch.hypot((x.abs() - 0.45 * t["nose_wide"]) / 0.012, (y - t["nose_y"] + 0.026) / 0.007)) * facing
    colour = colour * (1 - 0.8 * nostril)[:, None]

    shell = _bell((z + 0.022) / 0.020) * _bell((y - t["ear_y"] - 0.004) / 0.026) * _soft(x.abs() - 0.27, 0.02)
    colour = colour * (1 - 0.5 * shell)[:, None]

    # Hair grows over all of it.
    inside = _growth(x / n, y / n, z / n, t, h)
    turned = torch.atan2(x - (t["part"] - 0.5) * 0.2, z + 0.25 * y)
    run = torch.lerp(turned * 26 + seed, x * 60 + t["phase"] * 31, h.curl)
    along = torch.lerp(y * 7 + z * 5, y * 60 + z * 30, h.curl)
    strand = _noise(run * 2.2, along) * 0.6 + _noise(run * 0.7, along * 0.5) * 0.6
    wisp = _noise(turned * 45 + seed, y * 9)
    mask = torch.maximum(_soft(inside + 4.5 * wisp - 1.0, 9.0), _soft(thick - 0.012, 0.012))
    mane = h.colour * (0.85 + 0.55 * strand).clamp_min(0.25)[:, None]
    colour = _paint(colour, mane, mask)
    bare = (1 - mask) * (1 - ball)

    occlusion = (1 - 9.0 * cavity.clamp(-0.012, 0.045)).clamp(0.3, 1.12)
    under = 1 - 0.35 * _bell((inside + 3) / 4.0) * h.there * (1 - mask)
    lit = _lit(normal, light, 0.28)
    warm = lit * _rgb(1 + 0.05 * bare, 1 - 0.01 * bare, 1 - 0.03 * bare)
    out = colour * warm * (occlusion * under)[:, None]
    half = F.normalize(light.toward + light.toward.new_tensor([0.0, 0.0, 1.0]).view(1, 3, 1), dim=1)
    gloss = (normal * half).sum(1).clamp_min(0)
    shine = gloss**18 * (0.055 + 0.04 * lips) * bare + gloss**7 * 0.10 * (0.5 + 0.5 * strand) * mask * (
        1 - 0.7 * h.curl
    )
    return out + light.key * (shine + 0.8 * glint * (1 - mask))[:, None]


def backdrop(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """A place out of focus, (B, 3, N); x, y (1, N) in crop widths."""
    a, b = (
        _hue(t["back_hue"], 0.15 + 0.75 * t["back_value"], 0.3),
        _hue(t["back_hue"] + 0.25 * t["tint"], 0.8 - 0.6 * t["back_value"], 0.3),
    )
    angle = t["back_angle"] * 6.2832
    slope = x * angle.cos() + y * angle.sin()
    cell = 3 + 9 * t["length"]
    blobs = _noise(x * cell + t["phase"] * 61, y * cell + t["back_angle"] * 61, smooth=True)
    bars = torch.sin(slope * (8 + 25 * t["part"]) + t["phase"] * 6.28)
    kind = t["back_kind"]
    mix = (
        0.5
        + slope * 0.8
        + torch.where(kind < 0.35, 0.1 * blobs, torch.where(kind < 0.75, 0.6 * blobs, 0.35 * _soft(bars, 0.6) - 0.2))
    )
    return _paint(a.expand(-1, -1, x.shape[1]), b, mix.clamp(0, 1))


def _cloth(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    dye = _hue(t["cloth_hue"], 0.08 + 0.85 * t["cloth_value"], 0.45)
    weave = torch.where(t["cloth_cut"] > 0.6, torch.sin(y * 120) * 0.18, 0.05 * _noise(x * 90, y * 90))
    return dye * (1 + weave)[:, None]


def clutter(scene: Tensor, x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """Sometimes headless clothes or a round thing in front of the place: what a detector must not call a face."""
    low = -0.1 - 0.5 * t["length"] - 0.5 * (x - 0.3 * (t["volume"] - 0.5)).abs() ** 1.7
    dressed = _soft(low - y, 0.02) * (t["style"] < 0.6)
    scene = _paint(scene, _cloth(x, y, t) * (0.8 + 0.4 * x * t["light_x"])[:, None], dressed)
    r = torch.hypot(
        (x - 0.6 * (t["part"] - 0.5)) / (0.12 + 0.3 * t["volume"]),
        (y - 0.6 * (t["recede"] - 0.5)) / (0.12 + 0.3 * t["tint"]),
    )
    ball = (1 - r * r).clamp_min(0).sqrt() * (0.7 + 0.5 * t["light_y"] * y) + 0.15
    return _paint(
        scene,
        _hue(t["colour"], 0.3 + 0.6 * t["exposure"], 0.4) * ball[:, None],
        _soft(1 - r, 0.05) * (t["style"] > 0.4),
    )


def shade_body(scene: Tensor, x: Tensor, y: Tensor, t: Traits, h: Hair, light: Lamp) -> Tensor:
    """Hair behind, neck and clothes over the place: flat shapes in camera space under the head; x, y in head units."""
    yaw = torch.sin(torch.deg2rad(t["yaw"]))
    lean = torch.tan(torch.deg2rad(t["roll"]))
    x = x - lean * y * 0.6 + 0.06 * yaw
    shade = light.ambient * 0.8 + light.key * 0.5
    strand = _noise(x * 85 + t["phase"] * 40, y * 5)
    width = h.width * (0.92 + 0.2 * t["volume"]) + 0.03 * torch.sin(y * 9 + t["phase"] * 6)
    width = width * (1 - ((y - 0.05).clamp_min(0) / 0.4) ** 2).clamp_min(0).sqrt() - 0.02
    end = -0.15 - 0.5 * h.length * (0.4 + t["length"])
    behind = _soft(width - x.abs() + 0.012 * strand, 0.02) * _soft(y - end, 0.06) * (h.length > 0)
    mane = h.colour * (0.75 + 0.4 * strand).clamp_min(0.2)[:, None] * shade
    scene = _paint(scene, mane * 0.55, behind)
    neck_w = 0.150 + 0.03 * t["man"] + 0.008 * t["fat"]
    flare = 0.5 * (-0.44 - y).clamp_min(0) ** 1.3
    across = (x / (neck_w + flare)).clamp(-1, 1)
    normal = torch.stack((across, 0 * across - 0.25, (1 - across * across).clamp_min(0.02).sqrt()), 1)
    chin = -0.43 - t["drop"] - 0.02 * t["chin"]
    dim = 0.42 + 0.58 * _soft(chin - 0.02 - y - 0.2 * x * t["light_x"], 0.13)
    throat = skin_colour(t) * _lit(geometry.unit(normal), light, 0.28) * dim[:, None]
    scene = _paint(scene, throat, _soft(neck_w + flare - x.abs(), 0.012) * _soft(-0.15 - y, 0.05))
    collar = -0.50 - 0.10 * t["cloth_cut"] + 0.55 * (x.abs() * 1.0) ** 1.5 * (x.abs() < neck_w + 0.04)
    shoulder = -0.36 - 0.26 * (x.abs() - 0.1).clamp_min(0) - 0.05 * t["length"]
    worn = _soft(torch.minimum(collar, shoulder) - y, 0.012)
    fold = 0.75 + 0.35 * x * t["light_x"] + 0.12 * _noise(x * 14 + t["phase"] * 50, y * 9)
    scene = _paint(scene, _cloth(x, y, t) * (light.ambient + light.key * 0.75) * fold[:, None], worn)
    front = behind * _soft(x.abs() - 0.20 - 0.04 * t["volume"], 0.03) * _soft(0.05 - y, 0.1) * (h.length > 0.5)
    return _paint(scene, mane, front)

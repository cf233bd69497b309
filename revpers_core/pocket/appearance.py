"""How a pocket face looks: skin, eyes, brows, lips, hair, light, clothes, places, as formulas over planes of pixels.

Colours are linear light (B, 3, N); masks are (B, N); traits are (B, 1). Features are drawn in head space on the point
that a pixel sees, folded about the middle (|x|) so that both sides cost one.
"""

from __future__ import annotations

import math
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

    present: Tensor
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


def linear(table: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(table, device=device, dtype=torch.float32).pow(2.2)


def ramp(table: Tensor, at: Tensor) -> Tensor:
    """Interpolate rows of table (K, 3) at (B, 1) in [0, 1] -> (B, 3, 1)."""
    k = (at[:, 0].clamp(0, 1) * (len(table) - 1)).clamp_max(len(table) - 1.001)
    low = k.long()
    return torch.lerp(table[low], table[low + 1], (k - low)[:, None])[:, :, None]


def rgb(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    return torch.stack((red, green, blue), 1)


def hue(hue: Tensor, value: Tensor, saturation: float) -> Tensor:
    """(B, 1) hue and value in [0, 1] -> linear colour (B, 3, 1)."""
    third = torch.tensor([0.0, 1 / 3, 2 / 3], device=hue.device)
    wave = 0.5 + 0.5 * torch.cos((hue - third) * 6.2832)
    return ((1 - saturation + saturation * wave) * value).pow(2.2)[:, :, None]


def soft(distance: Tensor, width: Tensor | float) -> Tensor:
    """1 where distance >> 0, 0 where << 0, over about `width`."""
    return torch.sigmoid(distance * (4.0 / width))


def bell(x: Tensor) -> Tensor:
    """About exp(-x^2 / 2), but exactly zero past 2.8: the tails of exp are denormal numbers, and slow."""
    k = torch.addcmul(x.new_ones(()), x, x, value=-0.125).clamp_min(0)
    k = k * k
    return k * k


def paint(under: Tensor, colour: Tensor, mask: Tensor) -> Tensor:
    return torch.lerp(under, colour.expand_as(under), mask[:, None])


@cache
def _tile(device: torch.device) -> Tensor:
    noise = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return F.pad(noise, (1, 1, 1, 1), mode="circular").to(device)


def noise(u: Tensor, v: Tensor, *, smooth: bool = False) -> Tensor:
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
    present, thick, front, edge, low, curl, length, width = torch.tensor(CUT, device=device, dtype=torch.float32)[
        style
    ].T[:, :, None]
    shade = linear(HAIR, device)[colour] * (0.65 + 0.8 * t["tint"])
    front = front + 8 * (t["recede"] - 0.5)
    return Hair(
        present,
        thick * (0.7 + 0.6 * t["volume"]),
        front,
        edge + 8 * (t["phase"] - 0.5),
        low,
        curl,
        length,
        width,
        shade[:, :, None],
    )


def growth(x: Tensor, y: Tensor, z: Tensor, t: Traits, h: Hair) -> Tensor:
    """Degrees inside the hairline (negative outside) of unit directions, each (B, N) or (N,)."""
    elevation = torch.rad2deg(torch.asin(y.clamp(-0.999, 0.999)))
    azimuth = torch.rad2deg(torch.atan2(x, z))
    off = azimuth.abs()
    line = h.front + 9 * (t["recede"] - 0.2) * (1 - 0.5 * t["man"].logical_not()) * bell((off - 34) / 12)
    line = line + 4 * torch.sin(azimuth * 0.08 + t["phase"] * 6.28) * (h.front < 35)
    line = line - (h.front - h.low) * torch.sigmoid((off - h.edge) / 6)
    return torch.where(h.present > 0, elevation - line, elevation.new_tensor(-90.0))


def with_hair(bare: Tensor, t: Traits, h: Hair) -> tuple[Tensor, Tensor]:
    """Add hair to a radius map (B, MAP, MAP); returns it and, (B, 5, MAP, MAP), its relief and the hair's thickness."""
    d = geometry.directions(bare.device).flatten(1)
    inside = growth(d[0][None], d[1][None], d[2][None], t, h)
    seed = t["phase"] * 97
    lumps = noise(d[0] * 9 + seed, d[1] * 9 + d[2] * 7 + seed) * (0.25 + 0.35 * h.curl)
    parting = (t["part"] - 0.5) * 0.5
    groove = 1 - 0.45 * bell((d[0] - parting) / 0.035) * (d[1] > 0.5) * (h.curl < 0.5)
    full = 0.35 + 0.65 * ((d[1] + 0.4) / 1.0).clamp(0, 1)
    thick = h.thick * torch.sigmoid((inside - 5) / 3.5) * (1 + lumps) * groove * full
    thick = thick.view_as(bare)
    radius = bare + thick
    return radius, torch.cat((geometry.relief(radius), thick[:, None]), 1)


def lamp(t: Traits) -> Lamp:
    x, y = t["light_x"], t["light_y"]
    toward = F.normalize(torch.stack((x * 1.15, y, 0.65 + 0 * x), 1), dim=1)
    warm = (t["warmth"] - 0.5) * 0.36
    key = rgb(1 + warm, 1 + 0 * warm, 1 - warm) * (0.85 + 0.5 * t["power"])[:, None]
    ambient = rgb(1 - 0.6 * warm, 1 + 0 * warm, 1 + 0.6 * warm) * (0.12 + 0.26 * t["ambient"])[:, None]
    return Lamp(toward, key, ambient)


def lit(normal: Tensor, light: Lamp, wrap: float) -> Tensor:
    """Wrapped Lambert (B, 3, N) of camera-space normals (B, 3, N), with a sky that is brighter than the ground."""
    lambert = ((normal * light.toward).sum(1, keepdim=True) + wrap).clamp_min(0) / (1 + wrap)
    return light.key * lambert + light.ambient * (0.8 + 0.25 * normal[:, 1:2])


def skin_colour(t: Traits) -> Tensor:
    base = ramp(linear(SKIN, t["tone"].device), t["tone"])
    red, yellow = t["tone_red"] * 0.035, t["tone_yellow"] * 0.035
    return base * rgb(1 + red, 1 - 0.4 * red, 1 - yellow - red)


def backdrop(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """A place out of focus, (B, 3, N); x, y (1, N) in crop widths."""
    a, b = (
        hue(t["back_hue"], 0.15 + 0.75 * t["back_value"], 0.3),
        hue(t["back_hue"] + 0.25 * t["tint"], 0.8 - 0.6 * t["back_value"], 0.3),
    )
    angle = t["back_angle"] * 6.2832
    slope = x * angle.cos() + y * angle.sin()
    cell = 3 + 9 * t["length"]
    blobs = noise(x * cell + t["phase"] * 61, y * cell + t["back_angle"] * 61, smooth=True)
    bars = torch.sin(slope * (8 + 25 * t["part"]) + t["phase"] * 6.28)
    kind = t["back_kind"]
    mix = (
        0.5
        + slope * 0.8
        + torch.where(kind < 0.35, 0.1 * blobs, torch.where(kind < 0.75, 0.6 * blobs, 0.35 * soft(bars, 0.6) - 0.2))
    )
    return paint(a.expand(-1, -1, x.shape[1]), b, mix.clamp(0, 1))


def _cloth(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    dye = hue(t["cloth_hue"], 0.08 + 0.85 * t["cloth_value"], 0.45)
    weave = torch.where(t["cloth_cut"] > 0.6, torch.sin(y * 120) * 0.18, 0.05 * noise(x * 90, y * 90))
    return dye * (1 + weave)[:, None]


def clutter(scene: Tensor, x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """Sometimes headless clothes or a round thing in front of the place: what a detector must not call a face."""
    low = -0.1 - 0.5 * t["length"] - 0.5 * (x - 0.3 * (t["volume"] - 0.5)).abs() ** 1.7
    dressed = soft(low - y, 0.02) * (t["style"] < 0.6)
    scene = paint(scene, _cloth(x, y, t) * (0.8 + 0.4 * x * t["light_x"])[:, None], dressed)
    r = torch.hypot(
        (x - 0.6 * (t["part"] - 0.5)) / (0.12 + 0.3 * t["volume"]),
        (y - 0.6 * (t["recede"] - 0.5)) / (0.12 + 0.3 * t["tint"]),
    )
    ball = (1 - r * r).clamp_min(0).sqrt() * (0.7 + 0.5 * t["light_y"] * y) + 0.15
    return paint(
        scene,
        hue(t["colour"], 0.3 + 0.6 * t["exposure"], 0.4) * ball[:, None],
        soft(1 - r, 0.05) * (t["style"] > 0.4),
    )


def shade_body(scene: Tensor, x: Tensor, y: Tensor, t: Traits, h: Hair, light: Lamp) -> Tensor:
    """Hair behind, neck and clothes over the place: flat shapes in camera space under the head; x, y in head units."""
    yaw = torch.sin(torch.deg2rad(t["yaw"]))
    lean = torch.tan(torch.deg2rad(t["roll"]))
    x = x - lean * y * 0.6 + 0.06 * yaw
    shade = light.ambient * 0.8 + light.key * 0.5
    strand = noise(x * 85 + t["phase"] * 40, y * 5)
    width = h.width * (0.92 + 0.2 * t["volume"]) + 0.03 * torch.sin(y * 9 + t["phase"] * 6)
    width = width * (1 - ((y - 0.05).clamp_min(0) / 0.4) ** 2).clamp_min(0).sqrt() - 0.02
    end = -0.15 - 0.5 * h.length * (0.4 + t["length"])
    behind = soft(width - x.abs() + 0.012 * strand, 0.02) * soft(y - end, 0.06) * (h.length > 0)
    mane = h.colour * (0.75 + 0.4 * strand).clamp_min(0.2)[:, None] * shade
    scene = paint(scene, mane * 0.55, behind)
    neck_w = 0.150 + 0.03 * t["man"] + 0.008 * t["fat"]
    flare = 0.5 * (-0.44 - y).clamp_min(0) ** 1.3
    across = (x / (neck_w + flare)).clamp(-1, 1)
    normal = torch.stack((across, 0 * across - 0.25, (1 - across * across).clamp_min(0.02).sqrt()), 1)
    chin = -0.43 - t["drop"] - 0.02 * t["chin"]
    dim = 0.42 + 0.58 * soft(chin - 0.02 - y - 0.2 * x * t["light_x"], 0.13)
    throat = skin_colour(t) * lit(geometry.unit(normal), light, 0.28) * dim[:, None]
    scene = paint(scene, throat, soft(neck_w + flare - x.abs(), 0.012) * soft(-0.15 - y, 0.05))
    collar = -0.50 - 0.10 * t["cloth_cut"] + 0.55 * (x.abs() * 1.0) ** 1.5 * (x.abs() < neck_w + 0.04)
    shoulder = -0.36 - 0.26 * (x.abs() - 0.1).clamp_min(0) - 0.05 * t["length"]
    clothes = soft(torch.minimum(collar, shoulder) - y, 0.012)
    fold = 0.75 + 0.35 * x * t["light_x"] + 0.12 * noise(x * 14 + t["phase"] * 50, y * 9)
    scene = paint(scene, _cloth(x, y, t) * (light.ambient + light.key * 0.75) * fold[:, None], clothes)
    front = behind * soft(x.abs() - 0.20 - 0.04 * t["volume"], 0.03) * soft(0.05 - y, 0.1) * (h.length > 0.5)
    return paint(scene, mane, front)


def develop(linear: Tensor, size: int, t: dict[str, Tensor]) -> Tensor:
    """Linear light (B, 3, S*S) -> display (B, 3, size, size): exposure, lens blur, gamma, sensor noise."""
    side = math.isqrt(linear.shape[-1])
    image = linear.view(-1, 3, side, side) * (0.8 + 0.4 * t["exposure"])[..., None, None]
    image = F.interpolate(image, (size, size), mode="bilinear", antialias=True) if side != size else image
    smooth = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    image = torch.lerp(image, smooth, (0.7 * t["blur"] ** 3)[..., None, None]).clamp_min(1e-6)
    image = (image / (1 + 0.12 * image)).pow(1 / 2.2) * 1.02
    return (image + grain(t["phase"], size) * (0.022 * t["noise"] ** 2)[..., None, None]).clamp(0, 1)


def pixels(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(1, size * size) x to the right and y up, in crop widths from the centre."""
    a = (torch.arange(size, device=device) + 0.5) / size - 0.5
    y, x = torch.meshgrid(-a, a, indexing="ij")
    return x.reshape(1, -1), y.reshape(1, -1)

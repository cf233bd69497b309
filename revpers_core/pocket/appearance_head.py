"""What a pocket head shows on its surface: skin and its marks, eyes, brows, lips, beard and hair, lit.

Features are drawn in head space on the point that a pixel sees, folded about the middle (|x|) so that both sides cost
one. Colours are linear light (B, 3, N); masks are (B, N); traits are (B, 1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import geometry
from .appearance import (
    HAIR,
    IRIS,
    Hair,
    Lamp,
    Traits,
    bell,
    growth,
    linear,
    lit,
    noise,
    paint,
    ramp,
    rgb,
    skin_colour,
    soft,
)


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
    inside = soft(torch.minimum(upper - height, height - lower), 2 * pixel) * (s.abs() < 1) * soft(arch - 0.02, 0.2)
    # Eyeball.
    gx, gy = t["gaze_x"] * 0.020 * side, t["gaze_y"] * 0.011 - 0.001
    dx, dy = x.abs() - t["eye_x"] - gx, height - gy
    r = (dx * dx + dy * dy + 1e-9).sqrt()
    iris = t["iris"].clamp(0.020, 0.027)
    hue = torch.special.ndtr(t["iris_hue"] - 2.2 * (t["tone"] - 0.35))
    tint = ramp(linear(IRIS, x.device), hue) * (1 + 0.25 * t["iris_value"].clamp(-1.5, 2))[:, None]
    white = (
        skin.new_tensor([0.80, 0.78, 0.75]).view(1, 3, 1) * (0.72 + 0.28 * (1 - (s * 0.9) ** 4).clamp_min(0))[:, None]
    )
    ball = torch.lerp(white, tint * (0.75 + 0.6 * (r / iris).clamp(0, 1))[:, None], soft(iris - r, 2 * pixel)[:, None])
    ball = ball * (1 - 0.55 * bell((r - iris) / (0.10 * iris + 0.5 * pixel)))[:, None]
    ball = ball * (1 - 0.97 * soft(0.42 * iris - r, 2 * pixel))[:, None]
    shade = soft(upper - height - 0.009, 0.020)
    ball = ball * (0.45 + 0.55 * shade)[:, None]
    glint = bell((torch.hypot(dx * side - 0.008 * torch.sign(t["light_x"]), dy - 0.009)) / 0.0045) * inside
    # Around it: crease, lashes, lower rim, bags.
    near = soft(1.12 - s.abs(), 0.25)
    crease = (
        bell((height - upper - 0.014 - 0.006 * t["crease"]) / 0.0045) * near * (0.25 + 0.4 * t["crease"].clamp(0, 1))
    )
    pouch = bell((height + 0.034) / 0.006) * bell(s * 1.1) * (0.12 + 0.35 * t["bags"].clamp(0, 1) * (0.4 + t["old"]))
    shadow = bell((height + 0.01) / 0.035) * bell((s + 0.25) / 1.0) * 0.16
    colour = colour * (1 - 0.75 * crease - pouch - shadow)[:, None]
    colour = torch.lerp(colour, ball, inside[:, None])
    lash = bell(
        (height - upper - 0.001) / (0.0032 + 0.002 * t["lash"].clamp(0, 1) * (1 - 0.6 * t["man"]) + 0.3 * pixel)
    ) * soft(1.08 - s.abs(), 0.1)
    rim = bell((height - lower + 0.001) / (0.003 + 0.3 * pixel)) * soft(1.0 - s.abs(), 0.1)
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
    mask = soft(thick * strand - (y - middle).abs(), 0.009 + pixel) * soft(1 - s.abs() - 0.1 * n, 0.18)
    shade = ramp(linear(HAIR[:3], x.device), 0.5 + 0.3 * t["brow_shade"] - 0.6 * (t["tone"] - 0.2))
    grey = linear(HAIR, x.device)[5].view(1, 3, 1)
    shade = torch.lerp(shade, grey, (0.75 * t["old"] ** 2)[:, None])
    return paint(colour, shade, mask * t["brow_dark"].clamp(0.45, 0.97))


def _mouth(colour: Tensor, x: Tensor, y: Tensor, pixel: Tensor, t: Traits, skin: Tensor) -> tuple[Tensor, Tensor]:
    """Paint lips and what lies between them; returns the colour and the lips' mask."""
    s = x / t["half"]
    arch = (1 - s * s).clamp_min(0)
    seam = t["mouth_y"] + t["bend"] * s.abs().clamp_max(1.3) ** 1.7 - 0.3 * t["drop"] * s * s + t["asym"] * 0.5 * s
    grin = (t["smile"] - 0.4).clamp_min(0) * 0.030
    top = seam + (0.12 * t["drop"] + 0.5 * grin) * arch**0.7
    low = seam - (0.88 * t["drop"] + 0.5 * grin) * arch**0.6
    bow = 1 - t["lip_bow"].clamp(0, 0.75) * bell(s / 0.10) + 0.18 * bell((s.abs() - 0.24) / 0.14)
    stretch = 1 - 0.22 * t["smile"].clamp_min(0)
    above = top + t["lip_up"] * stretch * bow * (0.75 * arch + 0.25 * arch**0.5)
    below = low - t["lip_low"] * stretch * arch**0.75
    wide = soft(1.0 - s.abs(), 0.08)
    inner = soft(torch.minimum(top - y, y - low), 2 * pixel) * wide
    lips = soft(torch.minimum(above - y, y - below), 0.004 + 2 * pixel) * wide
    amount = (0.5 + 0.45 * t["lip_red"] - 0.1 * t["man"]).clamp(0.2, 0.95)
    rose = skin * rgb(0.90 + 0 * amount, 0.44 + 0.14 * t["man"], 0.48 + 0.14 * t["man"])
    out = paint(colour, rose, lips * amount)
    out = out * (1 - 0.30 * lips * (y > seam) * (1 - inner))[:, None]
    gap = (top - low).clamp_min(1e-4)
    depth = (top - y) / gap
    teeth = soft(0.011 + 0.009 * t["smile"].clamp_min(0) - (top - y), 0.006) * soft(0.86 - s.abs(), 0.2) * (gap > 0.006)
    cave = skin.new_tensor([0.055, 0.012, 0.012]).view(1, 3, 1).expand_as(out)
    cave = torch.lerp(
        cave,
        skin.new_tensor([0.34, 0.09, 0.09]).view(1, 3, 1),
        (0.8 * soft(depth - 0.68, 0.35) * bell(s / 0.45) * (gap > 0.03))[:, None],
    )
    cave = torch.lerp(cave, skin.new_tensor([0.62, 0.58, 0.50]).view(1, 3, 1), (teeth * (0.9 - 0.35 * s * s))[:, None])
    out = torch.lerp(out, cave, inner[:, None])
    line = bell((y - seam) / (0.0035 + 0.4 * pixel)) * soft(1.03 - s.abs(), 0.08) * (1 - inner)
    corner = bell(torch.hypot((x.abs() - t["half"]) / 0.009, (y - seam) / 0.008))
    under = bell((y - below + 0.016) / 0.010) * bell(s / 0.5)
    return out * (1 - 0.68 * line - 0.3 * corner - 0.16 * under)[:, None], lips * (1 - inner)


def _wear(x: Tensor, y: Tensor, t: Traits) -> Tensor:
    """Darkness in [0, 1] of wrinkles and folds (B, N)."""
    a, side = x.abs(), torch.sign(x)
    old = t["old"]
    top, bottom = t["nose_y"], t["mouth_y"] + t["bend"]
    k = ((top + 0.01 - y) / (top - bottom + 0.05)).clamp(0, 1)
    fold = (
        bell((a - (t["nose_wide"] + 0.014 + (t["half"] - t["nose_wide"] + 0.012) * k**0.8)) / 0.007)
        * soft(top + 0.012 - y, 0.02)
        * soft(y - bottom + 0.03, 0.03)
    )
    fold = fold * (0.10 + 0.4 * old + 0.25 * t["smile"].clamp_min(0))
    wave = torch.sin(
        (y + 0.12 * x * x + 0.004 * torch.sin(x * 31 + t["mark_phase"])) * 6.2832 / 0.034 + t["mark_phase"]
    )
    brow = (
        (wave - 0.35).clamp_min(0)
        * bell((y - 0.20) / 0.038)
        * bell(x / 0.11)
        * (0.42 * old + 0.3 * t["brow"].clamp_min(0) * (0.25 + old))
    )
    crow = torch.sin((y - t["eye_y"]) * 330 * (0.2 / (a - 0.05).clamp_min(0.05)) ** 0.5 + t["mark_phase"] + side)
    crow = (crow - 0.2).clamp_min(0) * bell((a - t["eye_x"] - 0.088) / 0.02) * bell((y - t["eye_y"]) / 0.028)
    crow = crow * (0.4 * old + 0.2 * t["smile"].clamp_min(0) * (0.3 + old))
    frown = (
        bell((a - 0.016) / 0.0045)
        * bell((y - t["brow_y"] - 0.002) / 0.018)
        * (0.2 * old + 0.45 * (-t["brow"]).clamp_min(0))
    )
    jowl = bell((a - t["half"] - 0.006 - 0.15 * (bottom - y)) / 0.007) * bell((y - bottom + 0.05) / 0.024) * 0.32 * old
    return (fold + brow + crow + frown + jowl).clamp(0, 0.8)


def _marked(colour: Tensor, x: Tensor, y: Tensor, fine: Tensor, broad: Tensor, t: Traits) -> Tensor:
    """Skin with blush, freckles, spots and moles."""
    bloom = (
        bell(torch.hypot((x.abs() - 0.16) / 0.055, (y + 0.08) / 0.05))
        + bell(torch.hypot(x / 0.05, (y - t["nose_y"]) / 0.04)) * 0.7
    )
    bloom = (
        (bloom + bell((x.abs() - 0.3) / 0.03) * bell((y + 0.03) / 0.08)) * (0.35 + 0.4 * t["blush"].clamp(0, 1)) * 0.6
    )
    colour = colour * rgb(1 + 0.06 * bloom, 1 - 0.26 * bloom, 1 - 0.24 * bloom)
    freckled = (fine - 0.35).clamp_min(0) * t["freckle"].clamp(0, 1.2) * bell(torch.hypot(x / 0.17, (y + 0.05) / 0.08))
    spots = (broad * 0.5 + fine * 0.5 - 0.3).clamp_min(0) * t["old"]
    colour = colour * (1 - 0.9 * freckled - 0.6 * spots)[:, None]
    for name in ("mole1", "mole2"):
        size = t[name + "_size"]
        r = torch.hypot(x - t[name + "_x"].clamp(-0.2, 0.2), y - t[name + "_y"].clamp(-0.36, 0.22))
        colour = colour * (1 - 0.7 * soft(size - r, 0.004) * (size > 0.0015))[:, None]
    return colour


def _bearded(colour: Tensor, skin: Tensor, points: Tensor, fine: Tensor, facing: Tensor, t: Traits) -> Tensor:
    """Skin with a beard or its shadow."""
    x, y, _ = points.unbind(1)
    seed = t["mark_phase"] * 7
    # Beard: cheeks below a line, the upper lip, the chin; cut decides which.
    cut = t["beard_cut"]
    cheek_line = -0.06 - 0.17 * soft(0.20 - x.abs(), 0.16) - 0.03 * bell(x / 0.05)
    field = soft(cheek_line - y + 0.02 * fine, 0.03)
    lip = soft(t["nose_y"] - 0.028 - y, 0.012) * soft(y - t["mouth_y"], 0.02) * soft(t["half"] + 0.008 - x.abs(), 0.03)
    goatee = soft(0.085 - x.abs(), 0.05) * field
    jawed = torch.where(cut > 0.7, goatee, field)
    beard = torch.maximum(jawed * (cut > -0.8), lip) * facing
    coat = ramp(linear(HAIR[:4], x.device), 0.35 + 0.35 * t["brow_shade"] - 0.6 * (t["tone"] - 0.2))
    coat = torch.lerp(coat, linear(HAIR, x.device)[6].view(1, 3, 1), (0.7 * t["old"])[:, None])
    strands = noise(x * 170 + seed, y * 60 + seed)
    colour = paint(colour, coat * (1 + 0.35 * strands)[:, None], beard * t["beard_on"] * (0.80 + 0.12 * strands))
    shadow = torch.maximum(field, lip) * facing * t["stubble"] * (1 - t["beard_on"]) * (1 + 0.4 * fine)
    colour = paint(colour, colour.new_tensor([0.16, 0.16, 0.18]).view(1, 3, 1) * skin, 0.35 * shadow)
    return colour


def _with_mane(
    colour: Tensor, direction: Tensor, points: Tensor, thick: Tensor, t: Traits, h: Hair
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hair over all of it: its strands, its mask, the degrees inside the hairline, and the colour."""
    x, y, z = points.unbind(1)
    seed = t["mark_phase"] * 7
    inside = growth(direction[:, 0], direction[:, 1], direction[:, 2], t, h)
    turned = torch.atan2(x - (t["part"] - 0.5) * 0.2, z + 0.25 * y)
    run = torch.lerp(turned * 26 + seed, x * 60 + t["phase"] * 31, h.curl)
    along = torch.lerp(y * 7 + z * 5, y * 60 + z * 30, h.curl)
    strand = noise(run * 2.2, along) * 0.6 + noise(run * 0.7, along * 0.5) * 0.6
    wisp = noise(turned * 45 + seed, y * 9)
    mask = torch.maximum(soft(inside + 4.5 * wisp - 1.0, 9.0), soft(thick - 0.012, 0.012))
    mane = h.colour * (0.85 + 0.55 * strand).clamp_min(0.25)[:, None]
    colour = paint(colour, mane, mask)
    return strand, mask, inside, colour


def shade_head(points: Tensor, relief: Tensor, turn: Tensor, pixel: Tensor, t: Traits, h: Hair, light: Lamp) -> Tensor:
    """Light leaving each head point (B, 3, N): points in head space, turn to the camera, pixel a pixel's width."""
    x, y, z = points.unbind(1)
    n, u, v = geometry.stereographic(points)
    look = geometry.lookup(relief, u, v)
    bent, cavity, thick = look[:, :3], look[:, 3], look[:, 4]
    normal = geometry.unit(turn @ bent)
    facing = (z > 0.05).float()
    seed = t["mark_phase"] * 7
    fine = noise(x * 150 + seed, y * 150)
    broad = noise(x * 16 + seed, y * 16 + z * 9)

    skin = skin_colour(t)
    colour = _marked(skin * (1 + 0.05 * t["blotch"] * broad * 2 + 0.03 * fine)[:, None], x, y, fine, broad, t)
    colour = _bearded(colour, skin, points, fine, facing, t)
    colour = colour * (1 - _wear(x, y, t) * facing)[:, None]
    colour, lips = _mouth(colour, x, y, pixel, t, skin)
    colour = _brows(colour, x, y, noise(x.abs() * 130 + y * 70, y * 25 + seed), pixel, t)
    colour, ball, glint = _eyes(colour, x, y, pixel, t, skin)
    nostril = bell(torch.hypot((x.abs() - 0.45 * t["nose_wide"]) / 0.012, (y - t["nose_y"] + 0.026) / 0.007)) * facing
    colour = colour * (1 - 0.8 * nostril)[:, None]

    shell = bell((z + 0.022) / 0.020) * bell((y - t["ear_y"] - 0.004) / 0.026) * soft(x.abs() - 0.27, 0.02)
    colour = colour * (1 - 0.5 * shell)[:, None]

    strand, mask, inside, colour = _with_mane(colour, points / n[:, None], points, thick, t, h)
    bare = (1 - mask) * (1 - ball)

    occlusion = (1 - 9.0 * cavity.clamp(-0.012, 0.045)).clamp(0.3, 1.12)
    under = 1 - 0.35 * bell((inside + 3) / 4.0) * h.present * (1 - mask)
    shone = lit(normal, light, 0.28)
    warm = shone * rgb(1 + 0.05 * bare, 1 - 0.01 * bare, 1 - 0.03 * bare)
    out = colour * warm * (occlusion * under)[:, None]
    half = F.normalize(light.toward + light.toward.new_tensor([0.0, 0.0, 1.0]).view(1, 3, 1), dim=1)
    gloss = (normal * half).sum(1).clamp_min(0)
    shine = gloss**18 * (0.055 + 0.04 * lips) * bare + gloss**7 * 0.10 * (0.5 + 0.5 * strand) * mask * (
        1 - 0.7 * h.curl
    )
    return out + light.key * (shine + 0.8 * glint * (1 - mask))[:, None]

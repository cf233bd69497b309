"""The shape of a pocket head: a radial surface r(direction) on a square map, and the rays that meet it.

Head space: x to the viewer's right, y up, z out of the face, in units of the frontal crop's width (about 256 mm); the
origin lies between the ears. A direction goes onto the map by stereographic projection from behind (conformal, cheap:
no trigonometry), then squeezed so that 130 degrees around the nose fit. Sums of Gaussians are separable there, so a
hundred of them cost one matrix product.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MAP = 160  # texels a side
EXTENT = 1.42
SQUEEZE = 0.3

# The skull's profile: elevation in degrees, then the radius of the front, side and back outlines at that elevation.
PROFILE = (
    (-90, 0.330, 0.33, 0.330), (-75, 0.392, 0.33, 0.330), (-60, 0.480, 0.335, 0.330), (-50, 0.462, 0.328, 0.335),
    (-40, 0.405, 0.316, 0.345), (-30, 0.362, 0.302, 0.360), (-20, 0.336, 0.292, 0.375), (-8, 0.313, 0.288, 0.385),
    (5, 0.304, 0.292, 0.395), (17, 0.338, 0.303, 0.405), (30, 0.374, 0.328, 0.415), (45, 0.402, 0.366, 0.420),
    (60, 0.412, 0.398, 0.420), (75, 0.415, 0.412, 0.420), (90, 0.415, 0.415, 0.415),
)  # fmt: skip


def axis(device: torch.device) -> Tensor:
    """(MAP,) stereographic coordinate of each texel column (or row)."""
    s = torch.linspace(-EXTENT, EXTENT, MAP, device=device)
    return s * torch.rsqrt(1 - SQUEEZE * s * s)


def directions(device: torch.device) -> Tensor:
    """(3, MAP, MAP) unit vector of each texel; rows run upwards."""
    u = axis(device)
    v, u = torch.meshgrid(u, u, indexing="ij")
    q = u * u + v * v
    return torch.stack((2 * u, 2 * v, 1 - q)) / (1 + q)


def stereographic(p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Head-space points (B, 3, N) -> their length and stereographic u, v, each (B, N)."""
    x, y, z = p.unbind(1)
    n = (x * x + y * y + z * z + 1e-9).sqrt()
    w = 1 / (n + z).clamp_min(1e-3)
    return n, x * w, y * w


def lookup(maps: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Sample maps (B, C, MAP, MAP) at stereographic u, v (B, N) -> (B, C, N)."""
    grid = torch.stack((u, v), -1)
    grid = grid * torch.rsqrt(1 + SQUEEZE * grid * grid) / EXTENT
    return F.grid_sample(maps, grid[:, None], padding_mode="border", align_corners=True)[:, :, 0]


def unit(p: Tensor) -> Tensor:
    """Scale vectors (B, 3, ...) to length one; by hand, as a norm across planes is slow in torch."""
    x, y, z = p.unbind(1)
    return p * torch.rsqrt(x * x + y * y + z * z + 1e-12)[:, None]


def skull(stretch: Tensor, power: Tensor) -> Tensor:
    """Radius map (B, MAP, MAP) of the bare skull.

    stretch: (B, 3, len(PROFILE)) factors on the front, side and back outlines; power: (B, 1), 2 is an ellipse, more
    is squarer.
    """
    device = stretch.device
    table = torch.tensor(PROFILE, device=device)
    nodes, fine = table[:, 0].contiguous(), torch.linspace(-90, 90, 181, device=device)
    # Piecewise linear outlines, smoothed over five degrees: kinks would show in the shading.
    hat = torch.zeros(181, len(nodes), device=device)
    j = torch.searchsorted(nodes, fine).clamp(1, len(nodes) - 1)
    t = (fine - nodes[j - 1]) / (nodes[j] - nodes[j - 1])
    hat.scatter_(1, (j - 1)[:, None], (1 - t)[:, None]).scatter_(1, j[:, None], t[:, None])
    basis = torch.softmax(-((fine[:, None] - fine) ** 2) / (2 * 5.0**2), 1) @ hat
    d = directions(device)
    elevation = torch.rad2deg(torch.asin(d[1].clamp(-1, 1))).flatten() + 90
    k = elevation.long().clamp(0, 179)
    weights = torch.lerp(basis[k], basis[k + 1], (elevation - k)[:, None])
    front, side, back = (table[:, 1:].T * stretch @ weights.T).unbind(1)
    # At the poles all outlines meet in one round point, or the crown would be dented.
    pole = torch.sigmoid((elevation - 90).abs() * 0.4 - 31)
    mean = (front + side + back) / 3
    front, side, back = (torch.lerp(outline, mean, pole) for outline in (front, side, back))
    power = 2 + (power - 2) * (1 - pole) * (1 - d[1].flatten() ** 2).clamp_min(0)
    flat = (d[0] ** 2 + d[2] ** 2).sqrt().clamp_min(1e-4)
    cos, sin = (d[2] / flat).flatten(), (d[0] / flat).flatten().abs()
    ahead = torch.where(cos > 0, front, back)
    r = ((cos.abs() / ahead) ** power + (sin / side) ** power) ** (-1 / power)
    return r.view(-1, MAP, MAP)


def bumps(x: Tensor, y: Tensor, z: Tensor, sx: Tensor, sy: Tensor, height: Tensor) -> Tensor:
    """Sum of Gaussians, (B, MAP, MAP): centres, widths and heights in head space, each (B, K)."""
    _, u, v = stereographic(torch.stack((x, y, z), 1))
    w = 1 / (torch.stack((x, y, z)).norm(dim=0) + z).clamp_min(0.1)
    a = axis(x.device)
    gu = torch.exp((-(((a - u[..., None]) / (sx * w)[..., None]) ** 2) / 2).clamp_min(-30))
    gv = torch.exp((-(((a - v[..., None]) / (sy * w)[..., None]) ** 2) / 2).clamp_min(-30))
    return gv.mT @ (gu * height[..., None])


def _outline(t: dict[str, Tensor]) -> Tensor:
    """Radius map (B, MAP, MAP) of the skull with jaw, chin and crown as they are."""
    device = t["jaw"].device
    angles = torch.tensor([row[0] for row in PROFILE], device=device, dtype=torch.float32)
    low = torch.sigmoid((-angles - 18) / 10)
    jaw = torch.sigmoid((-angles - 22) / 6) * torch.sigmoid((angles + 62) / 6)
    crown = torch.sigmoid((angles - 30) / 12)
    chin = torch.sigmoid((-angles - 42) / 5) * torch.sigmoid((angles + 78) / 5)
    up = t["skull_h"] - 1
    front = (
        1
        + low * (t["face_long"] - 1)
        + chin * (0.035 * t["chin"] + 1.1 * t["drop"])
        + crown * (up + 0.02 * t["forehead"])
    )
    side = t["skull_w"] + jaw * (0.055 * t["jaw"] + 0.045 * t["fat"]) + crown * up - 0.02 * (1 - t["man"])
    back = 1 + crown * up
    return skull(torch.stack((front, side, back), 1), t["square"].clamp(1.9, 3.2))


class _Bumps:
    """Bumps over the face, gathered before they are summed."""

    def __init__(self, ones: Tensor):
        self.ones, self.rows = ones, list[tuple[Tensor, ...]]()

    def add(
        self,
        x: Tensor | float,
        y: Tensor | float,
        sx: Tensor | float,
        sy: Tensor | float,
        height: Tensor | float,
        deep: float = 0,
    ) -> None:
        """deep: the z of the centre; 0 asks for a point on an average face."""
        ones = self.ones
        x, y = x * ones, y * ones
        depth = deep * ones if deep else 0.315 * (1 - (x / 0.31) ** 2).clamp_min(0.05).sqrt()
        self.rows.append((x, y, depth, sx * ones, sy * ones, height * ones))

    def pair(self, x: Tensor | float, *rest: Tensor | float, deep: float = 0) -> None:
        y, sx, sy, height = rest
        self.add(x, y, sx, sy, height, deep)
        self.add(-x, y, sx, sy, height, deep)


def _upper_face(t: dict[str, Tensor], bump: _Bumps) -> None:
    add, pair, man = bump.add, bump.pair, t["man"]
    ey, ny = t["eye_y"], t["nose_y"]
    # Nose: ridge from between the eyes down to the tip, then wings and the hollow of the philtrum's root.
    length = ey - ny
    for k, height in ((0.2, 0.35), (0.45, 0.8), (0.7, 1.0)):
        add(
            0,
            ey - k * length,
            t["nose_thin"] * (0.8 + 0.4 * k),
            0.26 * length,
            t["nose_ridge"] * height * 0.75 + t["nose_hook"] * (k == 0.45),
        )
    add(0, ny + 0.004 + t["nose_up"], t["nose_thin"] + 0.004, 0.024, t["nose_tip"] - 0.012)
    pair(t["nose_wide"].clamp_min(0.026), ny - 0.008, 0.016, 0.017, t["nose_wing"].clamp_min(0.012))
    add(0, ny - 0.035, 0.03, 0.013, -0.014)
    # Eyes: socket, ball, brow ridge.
    pair(t["eye_x"] * 0.97, ey + 0.012, 0.052, 0.034, -t["eye_deep"].clamp_min(0.008))
    pair(t["eye_x"], ey, 0.036, 0.026, t["eye_ball"])
    add(0, ey + 0.01, 0.03, 0.03, -0.008)
    pair(0.085, t["brow_y"] - 0.004, 0.055, 0.02, 0.008 + 0.010 * man)
    pair(t["eye_x"], ey - 0.052, 0.04, 0.014, -0.006 * t["old"] - 0.002)


def _lower_face(t: dict[str, Tensor], bump: _Bumps) -> None:
    add, pair, smile, drop = bump.add, bump.pair, t["smile"], t["drop"]
    ey, ny, my = t["eye_y"], t["nose_y"], t["mouth_y"]
    # Cheeks, mouth, chin, jaw.
    pair(0.185, ey - 0.075, 0.055, 0.04, 0.010 + 0.010 * t["cheek"] + 0.004 * smile)
    pair(0.165, my + 0.055, 0.06, 0.06, 0.012 * t["fat"] - 0.008 * t["old"] - 0.004 * t["cheek"])
    pair(0.125, ny - 0.01, 0.04, 0.035, 0.014 * smile.clamp_min(0))
    pair(t["half"] + 0.016, my + t["bend"], 0.016, 0.02, -0.007 - 0.004 * smile)
    add(0, my + 0.6 * t["lip_up"], 0.6 * t["half"], t["lip_up"] + 0.004, t["lip_puff"] + 0.004)
    add(0, my - 0.75 * drop - 0.6 * t["lip_low"], 0.55 * t["half"], t["lip_low"], t["lip_puff"] + 0.006)
    add(0, my - 0.055 - drop, 0.06, 0.018, -0.012)
    add(0, -0.355 - drop, t["chin_w"].clamp_min(0.03), 0.035, 0.014 + 0.012 * t["chin"])
    add(0, -0.37 - drop, 0.008, 0.025, -0.008 * (t["cleft"] - 0.5).clamp_min(0))
    pair(0.205, -0.22, 0.05, 0.05, 0.016 * t["jaw"], deep=0.1)
    pair(0.14, -0.31, 0.05, 0.035, 0.012 * t["fat"] + 0.012 * t["old"])
    pair(0.22, 0.14, 0.06, 0.07, -0.008 + 0.012 * t["temple"], deep=0.2)
    add(0, 0.25, 0.12, 0.06, 0.014 * t["forehead"])
    # Ears, well behind the cheek.
    pair(0.29, t["ear_y"], 0.035, 0.05, t["ear"].clamp_min(0.015), deep=-0.035)
    pair(0.285, t["ear_y"] - 0.005, 0.014, 0.03, -0.014, deep=0.0)


def head(t: dict[str, Tensor], dents: Tensor) -> Tensor:
    """Radius map (B, MAP, MAP) of a head with its expression, without hair.

    t: named traits, each (B, 1); dents: (B, 2 * K) heights of K mirrored bumps over the face, then of K that make its
    sides differ.
    """
    bump = _Bumps(torch.ones_like(t["jaw"]))
    _upper_face(t, bump)
    _lower_face(t, bump)
    # Random people: mirrored bumps on a fixed lattice, a little of them one-sided.
    even, odd = dents.chunk(2, 1)
    for i in range(even.shape[1]):
        x, y = 0.04 + 0.042 * (i % 6), 0.24 - 0.27 * (i // 6) + 0.05 * (i % 2)
        bump.add(x, y, 0.05, 0.06, even[:, i : i + 1] + 0.2 * odd[:, i : i + 1])
        bump.add(-x, y, 0.05, 0.06, even[:, i : i + 1] - 0.2 * odd[:, i : i + 1])
    return _outline(t) + bumps(*(torch.cat(column, 1) for column in zip(*bump.rows, strict=True)))


def relief(radius: Tensor) -> Tensor:
    """Radius map (B, MAP, MAP) -> (B, 4, MAP, MAP): unit normal and cavity (positive in hollows, head units)."""
    p = radius[:, None] * directions(radius.device)
    q = F.pad(p, (1, 1, 1, 1), mode="replicate")
    normal = torch.linalg.cross(q[:, :, 1:-1, 2:] - q[:, :, 1:-1, :-2], q[:, :, 2:, 1:-1] - q[:, :, :-2, 1:-1], dim=1)
    wide = radius[:, None]
    for _ in range(2):
        wide = F.avg_pool2d(wide, (1, 7), 1, (0, 3), count_include_pad=False)
        wide = F.avg_pool2d(wide, (7, 1), 1, (3, 0), count_include_pad=False)
    return torch.cat((unit(normal), wide - radius[:, None]), 1)


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Head to camera, (B, 3, 3), from degrees (B,): positive yaw looks to the viewer's right, pitch up; roll turns
    counter-clockwise as seen."""
    a, b, c = (torch.deg2rad(t) for t in (yaw, -pitch, roll))
    ones, zeros = torch.ones_like(a), torch.zeros_like(a)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).view(-1, 3, 3)

    turn = matrix(a.cos(), zeros, a.sin(), zeros, ones, zeros, -a.sin(), zeros, a.cos())
    nod = matrix(ones, zeros, zeros, zeros, b.cos(), -b.sin(), zeros, b.sin(), b.cos())
    tilt = matrix(c.cos(), -c.sin(), zeros, c.sin(), c.cos(), zeros, zeros, zeros, ones)
    return tilt @ turn @ nod


def march(radius: Tensor, origin: Tensor, toward: Tensor, steps: int = 10) -> tuple[Tensor, Tensor]:
    """Follow rays to the surface.

    radius: (B, MAP, MAP); origin: (B, 3, N) on the plane through the head's centre; toward: (B, 3, 1) unit.
    Returns the points (B, 3, N) and each ray's least height over the surface (B, N), negative or zero where it hits.
    """
    maps, bound = radius[:, None], radius.amax((1, 2))[:, None]
    t = -(bound**2 - (origin**2).sum(1)).clamp_min(0).sqrt()
    least = torch.full_like(t, math.inf)
    gap, step, slope = torch.zeros_like(t), torch.ones_like(t), torch.full_like(t, 0.9)
    for i in range(steps):
        before = gap
        p = torch.addcmul(origin, t[:, None], toward)
        n, u, v = stereographic(p)
        gap = n - lookup(maps, u, v)[:, 0]
        least = torch.minimum(least, gap)
        # Secant steps, damped: a slope between the bounds neither tunnels through a nose nor crawls along a cheek.
        if i:
            slope = ((before - gap) / torch.where(step.abs() < 1e-6, 1e-6, step)).clamp(0.3, 1.1)
        step = gap / slope
        step = torch.where(step.abs() > 0.12, step * 0.8, step)
        t = t + step
    return torch.addcmul(origin, t[:, None], toward), least

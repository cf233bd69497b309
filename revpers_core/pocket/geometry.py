"""The shape of a pocket head: a radial surface r(direction) on a square map, and the rays that meet it.

Head space: x to the viewer's right, y up, z out of the face, in units of the frontal crop's width (about 256 mm); the origin lies between
the ears. A direction goes onto the map by stereographic projection from behind (conformal, cheap: no trigonometry), then squeezed so that
130 degrees around the nose fit. Sums of Gaussians are separable there, so a hundred of them cost one matrix product.
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
    (5, 0.304, 0.290, 0.395), (17, 0.338, 0.297, 0.405), (30, 0.374, 0.316, 0.415), (45, 0.402, 0.348, 0.420),
    (60, 0.415, 0.385, 0.420), (75, 0.420, 0.412, 0.420), (90, 0.422, 0.422, 0.420),
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


def skull(stretch: Tensor, power: Tensor) -> Tensor:
    """Radius map (B, MAP, MAP) of the bare skull.

    stretch: (B, 3, len(PROFILE)) factors on the front, side and back outlines; power: (B, 1), 2 is an ellipse, more is squarer.
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
    gu = torch.exp(-(((a - u[..., None]) / (sx * w)[..., None]) ** 2) / 2)
    gv = torch.exp(-(((a - v[..., None]) / (sy * w)[..., None]) ** 2) / 2)
    return gv.mT @ (gu * height[..., None])


def relief(radius: Tensor) -> Tensor:
    """Radius map (B, MAP, MAP) -> (B, 4, MAP, MAP): unit normal and cavity (positive in hollows, head units)."""
    p = radius[:, None] * directions(radius.device)
    q = F.pad(p, (1, 1, 1, 1), mode="replicate")
    normal = torch.linalg.cross(q[:, :, 1:-1, 2:] - q[:, :, 1:-1, :-2], q[:, :, 2:, 1:-1] - q[:, :, :-2, 1:-1], dim=1)
    wide = radius[:, None]
    for _ in range(2):
        wide = F.avg_pool2d(wide, 7, 1, 3, count_include_pad=False)
    return torch.cat((F.normalize(normal, dim=1), wide - radius[:, None]), 1)


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Head to camera, (B, 3, 3); degrees, each (B,). Positive yaw looks to the viewer's right, pitch up, roll counter-clockwise."""
    a, b, c = (torch.deg2rad(t) for t in (yaw, -pitch, roll))
    one, nil = torch.ones_like(a), torch.zeros_like(a)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, -1).view(-1, 3, 3)

    turn = matrix(a.cos(), nil, a.sin(), nil, one, nil, -a.sin(), nil, a.cos())
    nod = matrix(one, nil, nil, nil, b.cos(), -b.sin(), nil, b.sin(), b.cos())
    tilt = matrix(c.cos(), -c.sin(), nil, c.sin(), c.cos(), nil, nil, nil, one)
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

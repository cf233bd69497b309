"""Hair as strands: where it grows, which way it is combed, how it falls. Plain numpy; lengths in eye distances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from .factors import stream
from .mesh import Head, unit
from .person import Person
from .shot import Shot


@dataclass(frozen=True)
class Style:
    """A haircut. length: of a strand; lift: how far it stands off the skin; forward, side, down: how it is combed;
    fall: how gravity takes it along its way; clump: how far tips come together; count: of strands."""

    length: float
    lift: float
    forward: float = 0.0
    side: float = 0.0
    down: float = 0.5
    fall: float = 0.1
    clump: float = 0.35
    count: int = 13000
    curl: float = 0.0
    fringe: bool = False


STYLES = {
    "balding": Style(0.22, 0.5, forward=0.2, count=6500),
    "cropped": Style(0.11, 0.8, forward=0.2, clump=0.1, count=15000),
    "short": Style(0.34, 0.65, forward=0.45, fall=0.12, clump=0.4),
    "swept": Style(0.62, 0.6, forward=-0.1, side=0.9, fall=0.16, clump=0.45),
    "fringe": Style(0.85, 0.35, forward=0.75, fall=0.3, clump=0.35, fringe=True),
    "curly": Style(0.85, 0.9, forward=0.15, side=0.1, fall=0.1, clump=0.75, curl=0.13, count=11000),
    "tied": Style(1.5, 0.12, forward=-1.0, fall=0.05, down=0.15, clump=0.3),
    "long": Style(2.9, 0.4, forward=-0.4, side=0.95, down=0.25, fall=0.42, clump=0.5),
    "long fringe": Style(2.7, 0.3, side=0.35, down=0.6, fall=0.5, clump=0.45, fringe=True),
}
CROWN = np.array([0.05, 2.0, 1.35])
"""From where short hair runs outwards, in rest coordinates."""
POINTS = 12
"""Of a strand."""


@dataclass(frozen=True)
class Body:
    """What strands grow on: vertices and normals in world metres, and the frame in which a head is about 3 high."""

    head: Head
    vertices: np.ndarray
    normals: np.ndarray
    middle: np.ndarray
    unit: float

    @cached_property
    def nearest(self) -> cKDTree:
        """Finds the vertex of the skin that is nearest to a point."""
        return cKDTree(self.vertices[self.head.skin])

    def local(self, x: np.ndarray) -> np.ndarray:
        """World points in eye distances from between the eyes."""
        return (x - self.middle) / self.unit


def body_of(head: Head, vertices: np.ndarray) -> Body:
    """The body of a mesh, measured by its eyes."""
    left, right = (vertices[head.eye[side]].mean(0) for side in "lr")
    return Body(head, vertices, head.normals(vertices), (left + right) / 2, float(np.linalg.norm(left - right)))


def scalp(head: Head, person: Person, style: str) -> np.ndarray:
    """(V,) how much hair grows at each vertex, 0 to 1."""
    x, y, z = head.rest.T
    temple = np.exp(-(((np.abs(x) - 0.95) / 0.3) ** 2)) * person.hairline * 0.5
    front = 1.02 + person.hairline * 0.9 - 0.2 * (np.abs(x) / 0.9) ** 2 + temple
    side = 1.02 - 1.2 * np.clip((y - 0.3) / 1.1, 0, 1) - 0.75 * np.clip((y - 1.5) / 1.0, 0, 1)
    line = np.where(y < 0.3, front, np.minimum(front, side + 0.25 * person.hairline))
    grows = 1 / (1 + np.exp(-(z - line + 0.07 * np.sin(11 * x) * np.sin(5 * x + 2)) / 0.075))
    ear = np.exp(-(((np.abs(x) - 1.25) / 0.33) ** 2 + ((z + 0.35) / 0.58) ** 2 + ((y - 1.5) / 0.5) ** 2))
    grows = grows * (1 - np.clip(2.2 * ear, 0, 1)) * (z > -1.7)
    if style == "balding":
        top = 1 / (1 + np.exp(-(z - 0.95 + 0.12 * np.maximum(y - 1.5, 0)) / 0.12))
        grows = grows * (1 - 0.97 * top)
    return grows * (grows > 0.3) * np.isin(np.arange(len(x)), head.skin)


def roots(
    body: Body, weight: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 3), normals (N, 3) and rest coordinates (N, 3) spread over the body by a weight (V,)."""
    t, v = body.head.triangles, body.vertices
    area = np.linalg.norm(np.cross(v[t[:, 1]] - v[t[:, 0]], v[t[:, 2]] - v[t[:, 0]]), axis=1) * weight[t].mean(1)
    pick = t[rng.choice(len(t), count, p=area / area.sum())]
    share = rng.dirichlet([1, 1, 1], count)[..., None]
    return (v[pick] * share).sum(1), unit((body.normals[pick] * share).sum(1)), (body.head.rest[pick] * share).sum(1)


def strands(body: Body, person: Person, shot: Shot) -> np.ndarray | None:
    """(N, POINTS, 3) world metres; None for the bald."""
    if shot.hair == "bald":
        return None
    style, rng = STYLES[shot.hair], stream(shot.flow, 30)
    start, normal, rest = roots(body, scalp(body.head, person, shot.hair), style.count, rng)
    length = style.length * shot.length * rng.uniform(0.82, 1.12, style.count)
    if shot.hair in ("short", "swept", "cropped", "fringe"):  # sides and neck are cut shorter
        low = np.clip((0.75 - rest[:, 2]) / 1.0, 0, 1)
        length = length * (1 - 0.68 * low) + 0.1 * low
    if style.fringe:  # what grows in front ends at the brows, what grows behind does not
        ahead = np.clip((0.75 - rest[:, 1]) / 0.5, 0, 1) * (np.abs(rest[:, 0]) < 0.85)
        length = length * (1 - ahead) + np.minimum(length, 0.85) * ahead
    comb = _comb(style, shot, start, normal, rest, rng)
    path = _grow(body, style, start, normal, comb, length * body.unit, rng)
    path = _gathered(body, path, rng) if shot.hair == "tied" else path
    path = _clumped(path, style, rng, person.curl)
    return _clear_of_face(body, _outside(body, path), style)


def _comb(
    style: Style, shot: Shot, start: np.ndarray, normal: np.ndarray, rest: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N, 3) unit directions along the skin."""
    away = unit((rest - CROWN) * np.array([1.0, 1.0, 1.0]))
    parting = shot.parting
    if shot.hair == "swept":
        side = np.full(len(rest), 1.0 if parting >= 0 else -1.0)
    else:
        side = np.tanh((rest[:, 0] - parting * 0.8) / 0.12)
    across = np.stack([side, 0 * side, 0 * side], -1)
    ahead = np.array([0.0, -1.0, 0.0])
    wild = np.sin(rest @ rng.normal(0, 2.2, (3, 3)) + rng.uniform(0, 6.28, 3)) * 0.3  # locks lie as they like
    direction = 0.55 * away + style.side * across + style.forward * ahead + np.array([0, 0, -style.down]) + wild
    direction = direction + rng.normal(0, 0.09, direction.shape)
    return unit(direction - (direction * normal).sum(1, keepdims=True) * normal)


def _grow(
    body: Body, style: Style, start: np.ndarray, normal: np.ndarray, comb: np.ndarray, length: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """(N, POINTS, 3): combed at the root, taken down by gravity, kept out of the head."""
    path, at = [start], start.copy()
    direction = unit(normal * style.lift * (0.75 + 0.5 * rng.random((len(start), 1))) + comb)
    down, stride = np.array([0.0, 0.0, -1.0]), (length / (POINTS - 1))[:, None]
    for k in range(POINTS - 1):
        pull = style.fall * (0.25 + 0.22 * k)
        hold = max(0.0, 0.55 - 0.07 * k)
        direction = unit(0.75 * direction + hold * comb + pull * down)
        at = at + direction * stride
        path.append(at.copy())
        if style.length > 0.3:
            at = path[-1] = _pushed(body, at, 0.02 + 0.05 * style.lift)
    return np.stack(path, 1)


def _pushed(body: Body, at: np.ndarray, margin: float) -> np.ndarray:
    """Points moved out of the body, to ``margin`` eye distances above its skin."""
    _, near = body.nearest.query(at, workers=1)
    v = body.head.skin[near]
    height = ((at - body.vertices[v]) * body.normals[v]).sum(1)
    missing = np.clip(margin * body.unit - height, 0, None) * (height > -1.2 * body.unit)
    return at + body.normals[v] * missing[:, None]


def _gathered(body: Body, path: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pulled back over the skull to a knot behind, from where the rest hangs as a tail."""
    knot = body.middle + body.unit * np.array([0.0, 3.1, 0.75])
    start = path[:, 0]
    share = np.linspace(0, 1, POINTS)[None, :, None]
    bow = np.sin(np.pi * share) * 0.12 * body.unit
    straight = start[:, None] * (1 - share) + knot * share
    out = unit(straight - (body.middle + body.unit * np.array([0, 1.6, 0.2])))
    bowed = straight + out * bow
    flat = bowed.reshape(-1, 3)
    return _pushed(body, flat, 0.03 + 0.02 * rng.random()).reshape(path.shape)


def _clumped(path: np.ndarray, style: Style, rng: np.random.Generator, curl: float) -> np.ndarray:
    """Locks: strands come together towards their tips, and wind where hair is curly."""
    count = max(60, len(path) // 45)
    leaders = rng.choice(len(path), count, replace=False)
    _, leader = cKDTree(path[leaders, 0]).query(path[:, 0])
    share = np.linspace(0, 1, POINTS)[None, :, None]
    lead = path[leaders][leader]
    offset = path[:, :1] - lead[:, :1]
    path = path + (lead + offset * (1 - 0.6 * share) - path) * style.clump * share**1.2
    turns, radius = 3.2 + 2 * curl, style.curl
    if not radius:
        turns, radius = 1.1, 0.045 * curl * min(1.0, style.length)
    if radius < 0.004:
        return path
    size = np.linalg.norm(path[:, -1] - path[:, 0], axis=1).mean() / max(style.length, 0.1)
    phase = (rng.uniform(0, 6.28, count)[leader] + rng.normal(0, 0.25, len(path)))[:, None]
    angle = phase + 2 * np.pi * turns * np.linspace(0, 1, POINTS)[None]
    a = unit(np.cross(path[:, -1] - path[:, 0], np.array([0.3, 0.2, 0.9])))[:, None]
    b = unit(np.cross(path[:, -1] - path[:, 0], a[:, 0]))[:, None]
    wide = radius * size * np.minimum(1, 2.5 * share) * rng.uniform(0.6, 1.3, count)[leader][:, None, None]
    return path + wide * (np.cos(angle)[..., None] * a + np.sin(angle)[..., None] * b)


def _outside(body: Body, path: np.ndarray) -> np.ndarray:
    flat = path[:, 1:].reshape(-1, 3)
    return np.concatenate([path[:, :1], _pushed(body, flat, 0.012).reshape(len(path), -1, 3)], 1)


def _clear_of_face(body: Body, path: np.ndarray, style: Style) -> np.ndarray:
    """Strands end before they cross the face; long ones are first drawn aside."""
    at = body.local(path)
    x, y, z = at[..., 0], at[..., 1], at[..., 2]
    if style.length > 1.2:
        front = (z < 0.8) & (y < 0.75) & (np.abs(x) < 1.28)
        room = (1.28 - np.abs(x)) * np.clip((0.8 - z) / 0.5, 0, 1) * np.clip((0.75 - y) / 0.3, 0, 1)
        path = path + np.where(front, np.where(x >= 0, 1, -1) * room, 0)[..., None] * np.array([body.unit, 0, 0])
        at = body.local(path)
        x, y, z = at[..., 0], at[..., 1], at[..., 2]
    lowest = 0.5 if style.fringe else 0.86
    crosses = (np.abs(x) < 1.0) & (y < 0.45) & (z < lowest)
    crosses[:, 0] = False
    last = np.where(crosses.any(1), crosses.argmax(1) - 1, path.shape[1] - 1)
    step = np.linspace(0, 1, path.shape[1])[None] * np.maximum(last, 0.6)[:, None]
    low = np.minimum(step.astype(int), path.shape[1] - 2)
    share = (step - low)[..., None]
    rows = np.arange(len(path))[:, None]
    return path[rows, low] * (1 - share) + path[rows, low + 1] * share

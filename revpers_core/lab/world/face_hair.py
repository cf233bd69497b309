"""Brows, lashes and beard: short strands that belong to a person's face."""

from __future__ import annotations

import numpy as np

from .factors import stream
from .hair import Body, roots
from .mesh import Head, unit
from .person import Person


def brow_weight(head: Head, person: Person) -> np.ndarray:
    """(V,) how much brow is at each vertex."""
    x, y, z = head.rest.T
    b, out = person.brow, np.abs(x)
    line = b["height"] - b["arch"] * ((out - 0.55) / 0.45) ** 2
    width = b["width"] * np.clip(1.25 - 0.75 * (out - b["inner"]) / b["reach"], 0.35, 1.2)
    along = 1 / (1 + np.exp(-(out - b["inner"]) / 0.04)) / (1 + np.exp((out - b["inner"] - 2 * b["reach"]) / 0.05))
    return np.exp(-(((z - line) / width) ** 4)) * along * (y < 0.4)


def brows(body: Body, person: Person) -> np.ndarray:
    """(N, 3, 3) short strands: up at the inner end, outwards along the arch."""
    rng = stream(person.seed, 31)
    start, normal, rest = roots(body, brow_weight(body.head, person), int(2200 * person.brow["dense"]), rng)
    out = np.clip((np.abs(rest[:, 0]) - person.brow["inner"]) / (2 * person.brow["reach"]), 0, 1)
    direction = np.stack([np.sign(rest[:, 0]) * (0.35 + out), 0.1 + 0 * out, 1.0 - 1.35 * out], -1) + rng.normal(
        0, 0.16, start.shape
    )
    direction = unit(direction - (direction * normal).sum(1, keepdims=True) * normal)
    long = 0.062 * body.unit * rng.uniform(0.6, 1.15, (len(start), 1))
    return np.stack(
        [start, start + (direction * 0.5 + normal * 0.1) * long, start + (direction + normal * 0.06) * long], 1
    )


def beard_weight(head: Head) -> np.ndarray:
    """(V,) how much beard may grow at each vertex."""
    x, y, z = head.rest.T
    jaw = (
        1 / (1 + np.exp((z + 0.98 - 0.42 * np.clip(np.abs(x) - 0.55, 0, 0.6)) / 0.06)) / (1 + np.exp(-(z + 2.0) / 0.08))
    )
    lip = np.exp(-(((x / 0.44) ** 2 + ((z + 0.87) / 0.085) ** 2) ** 2))
    mouth = np.exp(-(((x / 0.45) ** 2 + ((z + 1.12) / 0.15) ** 2) ** 2))
    soul = 1 - 0.8 * np.exp(-(((x / 0.34) ** 2 + ((z + 1.34) / 0.06) ** 2) ** 2)) * (np.abs(x) > 0.1)
    return (
        np.clip(jaw + lip, 0, 1)
        * (1 - np.clip(1.7 * mouth, 0, 1))
        * soul
        * (y < 1.25)
        * np.isin(np.arange(len(x)), head.skin)
    )


def beard(body: Body, person: Person) -> np.ndarray | None:
    """(N, 4, 3) strands; None where there is none to see."""
    if person.beard < 0.25:
        return None
    rng = stream(person.seed, 32)
    start, normal, _ = roots(body, np.maximum(beard_weight(body.head), 1e-9), 9000, rng)
    long = (0.05 + 0.3 * (person.beard - 0.25)) * body.unit * rng.uniform(0.6, 1.2, (len(start), 1))
    direction = unit(0.55 * normal + np.array([0, -0.15, -0.75]) + rng.normal(0, 0.22, normal.shape))
    return np.stack(
        [
            start,
            start + (normal + direction) * 0.25 * long,
            start + direction * 0.7 * long,
            start + direction * long - [0, 0, 0.1] * long,
        ],
        1,
    )


def lashes(body: Body, person: Person) -> np.ndarray:
    """(N, 3, 3) strands along the lids, from MakeHuman's own lash faces."""
    quads = body.head.lashes
    corners = body.vertices[quads]
    right = body.head.rest[quads].mean(1)[:, :1] > 0
    eyes = [body.vertices[body.head.eye[side]].mean(0) for side in "lr"]
    eyes.sort(key=lambda at: at[0])
    centre = np.where(right, eyes[1][None], eyes[0][None])
    order = np.argsort(np.linalg.norm(corners - centre[:, None], axis=2), 1)
    base, tip = (np.take_along_axis(corners, order[:, columns, None], 1) for columns in (slice(0, 2), slice(2, 4)))
    crossed = np.linalg.norm(base[:, 0] - tip[:, 0], axis=1) > np.linalg.norm(base[:, 0] - tip[:, 1], axis=1)
    tip[crossed] = tip[crossed][:, ::-1]
    share = stream(person.seed, 33).random((len(quads), 4, 1))
    root = base[:, :1] * (1 - share) + base[:, 1:] * share
    end = tip[:, :1] * (1 - share) + tip[:, 1:] * share
    reach = 0.5 if person.is_man else 0.8
    steps = (root + (end - root) * reach * share for share in (0, 0.5, 1))
    return np.stack([step.reshape(-1, 3) for step in steps], 1)

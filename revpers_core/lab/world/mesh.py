"""MakeHuman's head, by anny: vertices of a person in a shot, what its faces are, and where its five points lie."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import anny
import numpy as np
import torch

from .person import Person
from .shot import Shot

BUST = 0.47
"""Metres below the top of the head down to which the body is kept."""
STRENGTH = 0.85
"""Of expressions: more hides who somebody is."""
MOUTH_LEFT, MOUTH_RIGHT = (-0.41, -1.13), (0.41, -1.13)
"""Corners of the mouth in the template, (x, z) in eye distances."""


def unit(x: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) at length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)


class Head:
    """The template: its parts as lists of faces, its rest coordinates, and the body model behind it.

    rest: (V, 3) in eye distances from between the eyes: right of the viewer, back, up. +x is the person's left.
    """

    def __init__(self) -> None:
        self.model = anny.Anny(
            rig="makehuman", topology="makehuman", local_changes="all", facial_actions="all", phenotypes="all"
        )
        self.template = self.model.template_vertices.numpy().astype(np.float64)
        self.groups = _groups()
        self.eye = {side: _used(self.groups[f"helper-{side}-eye"]) for side in "lr"}
        left, right = (self.template[self.eye[side]].mean(0) for side in "lr")
        self.middle, self.unit = (left + right) / 2, float(np.linalg.norm(left - right))
        self.rest = (self.template - self.middle) / self.unit
        top = self.template[:, 2].max()
        self.body = [f for f in self.groups["body"] if self.template[f][:, 2].max() > top - BUST]
        self.eyes = self.groups["helper-l-eye"] + self.groups["helper-r-eye"]
        self.teeth = self.groups["helper-upper-teeth"] + self.groups["helper-lower-teeth"]
        self.tongue = self.groups["helper-tongue"]
        self.lashes = np.array([f for name, faces in self.groups.items() if "eyelashes" in name for f in faces])
        self.labels = set(self.model.local_change_labels)
        self.actions = set(self.model.facial_action_labels)

    @cached_property
    def triangles(self) -> np.ndarray:
        """(T, 3) of the body, quads cut in two."""
        first = [[f[0], f[1], f[2]] for f in self.body]
        return np.array(first + [[f[0], f[2], f[3]] for f in self.body if len(f) == 4])

    @cached_property
    def skin(self) -> np.ndarray:
        """Indices of the body's vertices."""
        return np.unique(self.triangles)

    @cached_property
    def mouth(self) -> tuple[int, int]:
        """Vertices at the corners of the mouth, the viewer's left first."""
        at = self.rest[self.skin]
        corners = []
        for x, z in (MOUTH_LEFT, MOUTH_RIGHT):
            gap = np.hypot(at[:, 0] - x, at[:, 2] - z) + 0.3 * np.maximum(at[:, 1], 0)
            corners.append(int(self.skin[gap.argmin()]))
        return corners[0], corners[1]

    @cached_property
    def tip(self) -> int:
        """The vertex at the tip of the nose."""
        at = self.rest[self.skin]
        near = np.where((np.abs(at[:, 0]) < 0.15) & (at[:, 2] > -0.95) & (at[:, 2] < -0.3), at[:, 1], np.inf)
        return int(self.skin[near.argmin()])

    def vertices(self, person: Person, shot: Shot) -> np.ndarray:
        """(V, 3) metres, the face towards -y, z up."""
        changes = {name: value for name, value in person.changes.items() if name in self.labels}
        moves = {name: value for name, value in actions(shot).items() if name in self.actions}
        with torch.no_grad():
            output = self.model(
                phenotype_kwargs=_tensors(person.phenotypes), local_changes_kwargs=_tensors(changes),
                facial_actions=_tensors(moves),
            )  # fmt: skip
        return output["vertices"][0].numpy().astype(np.float64)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) unit vectors out of the body."""
        a, b, c = (vertices[self.triangles[:, k]] for k in range(3))
        face, out = np.cross(b - a, c - a), np.zeros_like(vertices)
        for k in range(3):
            np.add.at(out, self.triangles[:, k], face)
        return unit(out)

    def points(self, vertices: np.ndarray) -> np.ndarray:
        """(5, 3) metres: eyes, nose tip, mouth corners, the viewer's left first."""
        eyes = [vertices[self.eye[side]].mean(0) for side in "lr"]
        eyes.sort(key=lambda at: at[0])
        return np.stack([*eyes, vertices[self.tip], vertices[self.mouth[0]], vertices[self.mouth[1]]])


def actions(shot: Shot) -> dict[str, float]:
    """ARKit's actions for a shot's factors: smiles reach the eyes, lids follow the look."""
    f = shot.factors
    smile, frown = max(f["smile"], 0.0), max(-f["smile"], 0.0)
    up, down = max(f["brow"], 0.0), max(-f["brow"], 0.0)
    x, y, shut = f["gaze_x"], f["gaze_y"], 1 - f["lid"]
    pairs = {
        "mouthSmile": 0.85 * smile, "cheekSquint": 0.5 * smile, "eyeSquint": 0.25 * smile,
        "mouthFrown": 0.9 * frown * (1 - f["open"]),
        "mouthLowerDown": 0.3 * f["open"] * smile, "mouthUpperUp": 0.25 * f["open"] * smile, "mouthPress": 0.2 * frown,
        "browDown": 0.9 * down, "browOuterUp": 0.8 * up, "eyeBlink": float(np.clip(0.8 * shut - 0.1 * max(y, 0), 0, 1)),
        "eyeWide": 0.12 + 0.25 * up + 0.12 * max(y, 0), "eyeLookUp": 0.75 * max(y, 0), "eyeLookDown": 0.55 * max(-y, 0),
    }  # fmt: skip
    values = {f"{name}{side}": value for name, value in pairs.items() for side in ("Left", "Right")}
    values |= {"jawOpen": 0.52 * f["open"], "browInnerUp": up, "mouthShrugLower": 0.15 * frown}
    # The person's left eye is on the viewer's right: a look there turns it out and the other one in.
    values |= {"eyeLookOutLeft": 0.8 * max(x, 0), "eyeLookInRight": 0.8 * max(x, 0)}
    values |= {"eyeLookInLeft": 0.8 * max(-x, 0), "eyeLookOutRight": 0.8 * max(-x, 0)}
    gaze = {name for name in values if name.startswith("eyeLook")}
    return {name: float(np.clip(value * (1 if name in gaze else STRENGTH), 0, 1)) for name, value in values.items()}


def _tensors(values) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value]) for name, value in values.items()}


def _used(faces: list[list[int]]) -> np.ndarray:
    return np.unique(np.array([i for face in faces for i in face]))


def _groups() -> dict[str, list[list[int]]]:
    """The base mesh's faces by group, as its file lists them."""
    groups: dict[str, list[list[int]]] = {}
    name = "body"
    path = Path(anny.__file__).parent / "data/mpfb2/3dobjs/base.obj"
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            name = line.split()[1]
            groups.setdefault(name, [])
        elif line.startswith("f "):
            groups[name].append([int(word.split("/")[0]) - 1 for word in line.split()[1:]])
    return groups

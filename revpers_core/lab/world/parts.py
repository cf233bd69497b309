"""Materials of eyes, teeth, hair, cloth and glasses, and the shapes of clothes and frames."""

from __future__ import annotations

import bpy
import numpy as np

from .hair import Body
from .mesh import unit
from .nodes import Graph, paint
from .person import Person
from .shot import Shot


class Eye:
    """The eyeball: pupil, iris, limbal ring and sclera by distance from its axis, under a wet coat."""

    def __init__(self, name: str):
        g = Graph(name)
        self.material, p = g.material, g.principled
        rest = g.attribute("rest")
        split = g.add("ShaderNodeSeparateXYZ")
        g.link(rest.outputs["Vector"], split.inputs[0])
        out = g.math("SUBTRACT", g.math("ABSOLUTE", split.outputs[0], 0.0).outputs[0], 0.5)
        flat = g.add("ShaderNodeCombineXYZ")
        g.link(out.outputs[0], flat.inputs[0])
        g.link(split.outputs[2], flat.inputs[2])
        reach = g.add("ShaderNodeVectorMath", operation="LENGTH")
        g.link(flat.outputs[0], reach.inputs[0])
        rays = g.noise(rest.outputs["Vector"], 38.0, 3.0)
        self.ramp = g.ramp(g.math("MULTIPLY", reach.outputs["Value"], 5.0).outputs[0], ((0.0, (0, 0, 0)),))
        streak = g.ramp(rays.outputs["Fac"], ((0.3, (0.6,) * 3), (0.7, (1.35,) * 3)))
        mixed = g.mix("MULTIPLY", self.ramp.outputs["Color"], streak.outputs["Color"], 0.45)
        g.link(mixed.outputs[2], p.inputs["Base Color"])
        p.inputs["Roughness"].default_value = 0.12
        p.inputs["Coat Weight"].default_value = 0.6
        p.inputs["Coat Roughness"].default_value = 0.015
        p.inputs["Coat IOR"].default_value = 1.45
        p.inputs["Subsurface Weight"].default_value = 0.15
        p.inputs["Subsurface Scale"].default_value = 0.001

    def set(self, person: Person) -> None:
        """Take on the colour of a person's iris."""
        iris = np.array(person.iris)
        stops = ((0.0, (0.002,) * 3), (0.215, (0.003,) * 3), (0.25, tuple(iris * 1.5)), (0.42, tuple(iris)),
                 (0.52, tuple(iris * 0.5)), (0.575, tuple(iris * 0.14)), (0.63, (0.42, 0.385, 0.36)),
                 (0.8, (0.47, 0.42, 0.39)), (1.0, (0.4, 0.28, 0.25)))  # fmt: skip
        paint(self.ramp, stops)


GREYING = 0.25
"""Share of grey from which on hair is coloured as ash, without yellow."""


class Hair:
    """Blender's Principled Hair, by melanin."""

    def __init__(self, name: str):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        nodes, links = self.material.node_tree.nodes, self.material.node_tree.links
        nodes.clear()
        self.bsdf, out = nodes.new("ShaderNodeBsdfHairPrincipled"), nodes.new("ShaderNodeOutputMaterial")
        links.new(self.bsdf.outputs[0], out.inputs[0])
        self.bsdf.parametrization = "MELANIN"
        info = nodes.new("ShaderNodeHairInfo")
        links.new(info.outputs["Random"], self.bsdf.inputs["Random"])

    def set(self, person: Person, darker: float = 0.0) -> None:
        """Take on the colour of a person's hair."""
        ashen = person.grey > GREYING
        self.bsdf.parametrization = "COLOR" if ashen else "MELANIN"
        inputs = self.bsdf.inputs  # of which Blender names only those that the parametrization has
        if ashen:
            ash = np.array([0.05, 0.045, 0.042]) * (1 - person.grey) + np.array([0.6, 0.59, 0.57]) * person.grey
            inputs["Color"].default_value = (*(ash * (1 - 2 * darker)), 1)
        else:
            inputs["Melanin"].default_value = min(1.0, person.hair_melanin + darker)
            inputs["Melanin Redness"].default_value = person.hair_redness
            inputs["Random Color"].default_value = 0.22
        inputs["Roughness"].default_value = 0.38
        inputs["Radial Roughness"].default_value = 0.55
        inputs["Random Roughness"].default_value = 0.2


class Cloth:
    """Woven cloth with faint folds and, sometimes, stripes."""

    def __init__(self, name: str):
        g = Graph(name)
        self.material, p = g.material, g.principled
        rest = g.attribute("rest")
        self.wave = g.add("ShaderNodeTexWave", bands_direction="Z")
        g.link(rest.outputs["Vector"], self.wave.inputs["Vector"])
        self.wave.inputs["Scale"].default_value = 1.1
        self.ramp = g.ramp(self.wave.outputs["Fac"], ((0.0, (0.5,) * 3), (1.0, (0.5,) * 3)))
        g.link(self.ramp.outputs["Color"], p.inputs["Base Color"])
        weave = g.noise(rest.outputs["Vector"], 55.0, 3.0)
        folds = g.noise(rest.outputs["Vector"], 1.6, 2.0)
        height = g.math("ADD", g.math("MULTIPLY", folds.outputs["Fac"], 9.0).outputs[0], weave.outputs["Fac"])
        bump = g.add("ShaderNodeBump")
        bump.inputs["Strength"].default_value = 0.5
        bump.inputs["Distance"].default_value = 0.003
        g.link(height.outputs[0], bump.inputs["Height"])
        g.link(bump.outputs["Normal"], p.inputs["Normal"])
        p.inputs["Roughness"].default_value = 0.85
        p.inputs["Sheen Weight"].default_value = 0.25

    def set(self, shot: Shot) -> None:
        """Take on a shot's colours."""
        other = tuple(np.clip(np.array(shot.cloth) * (2.2 if sum(shot.cloth) < 0.6 else 0.35), 0, 0.8))
        striped = shot.stripes > 0.82
        paint(self.ramp, ((0.0, shot.cloth), (0.49, shot.cloth), (0.51, other if striped else shot.cloth)))


def plain(name: str, colour: tuple[float, float, float], roughness: float) -> bpy.types.Material:
    """A material of one colour."""
    g = Graph(name)
    g.principled.inputs["Base Color"].default_value = (*colour, 1)
    g.principled.inputs["Roughness"].default_value = roughness
    return g.material


NECKLINES = {"t-shirt": (-2.3, 0.25), "crew neck": (-2.15, 0.15), "shirt": (-2.2, 0.5), "v-neck": (-2.25, 0.95)}
"""Height of a neckline at the neck's sides, and how far it drops in front, in eye distances."""


def neckline(shot: Shot, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Heights of cloth's upper edge at places (x, y) in eye distances."""
    side, drop = NECKLINES[shot.clothes]
    ahead = np.clip((1.2 - y) / 1.4, 0, 1)
    slope = 1.0 if shot.clothes in ("shirt", "v-neck") else 0.55
    return side - drop * ahead * np.clip(1 - slope * np.abs(x) / 0.9, 0, 1) + 0.1 * np.clip((y - 1.5) / 1, 0, 1)


def collar(body: Body, shot: Shot) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices and faces of a collar: a low band, or the fold of a shirt with its points in front."""
    at = body.local(body.vertices[body.head.skin])
    count, rim = 48, []
    shirt = shot.clothes == "shirt"
    tops = (0.0, 0.42, 0.4, -0.05) if shirt else (-0.05, 0.1, 0.1)
    outs = (0.06, 0.1, 0.16, 0.3) if shirt else (0.06, 0.07, 0.12)
    middle = np.array([0.0, at[np.abs(at[:, 2] + 2.2) < 0.2][:, 1].mean()])
    for k, (top, out) in enumerate(zip(tops, outs, strict=True)):
        for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
            direction = np.array([np.sin(angle), -np.cos(angle)])
            edge = float(neckline(shot, np.array([direction[0] * 0.9]), np.array([middle[1] + direction[1] * 0.9]))[0])
            ahead = max(0.0, float(np.cos(angle))) ** 6
            height = (
                edge
                + top * (1 - (0.25 if shirt else 0) * ahead)
                - (0.35 * ahead if shirt and k == len(tops) - 1 else 0)
            )
            near = at[np.abs(at[:, 2] - edge) < 0.14]
            flat = near[:, :2] - middle
            along, across = flat @ direction, np.abs(flat @ np.array([direction[1], -direction[0]]))
            reach = along[(across < 0.2) & (along > 0)]
            radius = (float(np.quantile(reach, 0.9)) if len(reach) else 0.9) + out
            rim.append([*(middle + direction * min(radius, 1.6 + out)), height])
    faces = [
        [r * count + i, r * count + (i + 1) % count, (r + 1) * count + (i + 1) % count, (r + 1) * count + i]
        for r in range(len(tops) - 1)
        for i in range(count)
    ]
    return body.middle + body.unit * np.array(rim), faces


FRAMES = {1: (0.37, 0.25, 2.0, 0.016), 2: (0.4, 0.29, 4.0, 0.03), 3: (0.33, 0.33, 2.0, 0.014)}
"""Half width and half height of a lens, the power of its outline (2 an ellipse), thickness of its wire."""


def frames(body: Body, person: Person) -> tuple[list[np.ndarray], float]:
    """Curves (N, 3) of glasses in metres, and their wire's radius."""
    wide, tall, power, wire = FRAMES[max(person.glasses, 1)]
    at = body.local(body.vertices[body.head.skin])
    front = (
        float(np.quantile(at[(np.abs(np.abs(at[:, 0]) - 0.5) < 0.4) & (np.abs(at[:, 2]) < 0.35)][:, 1], 0.02)) - 0.14
    )
    beside = (np.abs(at[:, 2] - 0.25) < 0.15) & (np.abs(at[:, 1] - 1.25) < 0.3)
    temple = float(np.abs(at[beside][:, 0]).max()) + 0.01
    angle = np.linspace(0, 2 * np.pi, 33)
    lens = (
        np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power),
        np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power),
    )
    curves = []
    for side in (-1, 1):
        x = side * 0.52 + wide * lens[0]
        curves.append(np.stack([x, front + 0.1 * np.abs(x) ** 2, -0.06 + tall * lens[1]], -1))
        hinge = np.array([side * (0.52 + wide), front + 0.1 * (0.52 + wide) ** 2, 0.02])
        ear = np.array([side * temple, 1.5, 0.12])
        curves.append(np.stack([hinge, (hinge + ear) / 2 + [side * 0.04, 0, 0], ear, ear + np.array([0, 0.25, -0.25])]))
    t = np.linspace(-1, 1, 9)
    gap = 0.52 - wide
    curves.append(np.stack([t * gap, front + 0 * t, 0.02 + 0.06 * (1 - t**2)], -1))
    return [body.middle + body.unit * curve for curve in curves], wire * body.unit


def puffed(body: Body, thick: float) -> np.ndarray:
    """(V, 3) the body's vertices moved out along its normals, metres."""
    return body.vertices + unit(body.normals) * thick

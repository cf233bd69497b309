"""The colour of skin at every vertex, and the material that adds pores, wrinkles, freckles and moles between them."""

from __future__ import annotations

import numpy as np

from . import face_hair, hair
from .mesh import Head
from .nodes import Graph
from .person import Person
from .shot import Shot

LIGHT, DARK = np.array([0.63, 0.42, 0.32]), np.array([0.07, 0.035, 0.022])
"""Linear colours of skin without melanin and full of it."""
DEPTH = 0.0015
"""Metres that light goes under the skin: more is waxy, and blurs who somebody is."""


def tone(person: Person) -> np.ndarray:
    """(3,) a person's linear skin colour."""
    mixed = np.exp(np.log(LIGHT) * (1 - person.melanin) + np.log(DARK) * person.melanin)
    return mixed * np.array(person.undertone)


def hair_tone(person: Person) -> np.ndarray:
    """(3,) about the linear colour of somebody's hair."""
    dark, warm = person.hair_melanin, person.hair_redness
    base = np.exp(-np.array([2.2, 3.4, 5.0]) * (0.18 + dark) * np.array([1 - 0.15 * warm, 1, 1 + 0.2 * warm]))
    return base * (1 - person.grey) + np.array([0.3, 0.3, 0.3]) * person.grey


def colours(head: Head, person: Person, shot: Shot) -> np.ndarray:
    """(V, 3) linear: lips, blush, shadows under the eyes, and the tint of hair's roots."""
    x, y, z = head.rest.T
    front = y < 0.7
    skin = tone(person)
    colour = np.tile(skin, (len(x), 1))
    red = (
        np.exp(-(((np.abs(x) - 0.72) / 0.34) ** 2 + ((z + 0.58) / 0.32) ** 2))
        + 0.9 * np.exp(-((x / 0.2) ** 2 + ((z + 0.68) / 0.17) ** 2))
        + 0.35 * np.exp(-((x / 0.3) ** 2 + ((z + 1.55) / 0.15) ** 2))
        + 0.8 * np.exp(-(((np.abs(x) - 1.3) / 0.18) ** 2 + ((z + 0.3) / 0.4) ** 2))
    )
    colour *= 1 - 0.3 * (0.35 + person.blush) * np.clip(red, 0, 1)[:, None] * np.array([0.02, 0.75, 0.65])
    under = np.exp(-(((np.abs(x) - 0.48) / 0.26) ** 2 + ((z + 0.24) / 0.1) ** 2)) * front
    colour *= 1 - 0.3 * person.eye_shade * under[:, None] * np.array([0.7, 0.95, 0.75])
    rim = np.exp(-((((np.abs(x) - 0.5) / 0.3) ** 2 + (z / 0.12) ** 2) ** 2)) * front
    colour *= 1 - 0.22 * rim[:, None] * np.array([0.75, 0.95, 0.9])
    fold = (
        np.exp(-(((np.abs(x) - 0.42 - 0.16 * (-0.75 - z) / 0.4) / 0.045) ** 2))
        * np.exp(-(((z + 0.85) / 0.25) ** 4))
        * front
    )
    colour *= 1 - 0.42 * person.wrinkles * fold[:, None] * np.array([0.8, 0.95, 1])
    lip = np.exp(-(((x / 0.42) ** 2 + ((z + 1.12) / 0.135) ** 2) ** 2)) * front
    rouge = skin * np.array([0.92, 0.6, 0.58]) * (1 - 0.35 * person.lips[1]) - skin * [0.02, 0.26, 0.2] * person.lips[0]
    colour += 0.85 * lip[:, None] * (np.maximum(rouge, 0.01) - colour)
    return _haired(colour, head, person, shot)


def _haired(colour: np.ndarray, head: Head, person: Person, shot: Shot) -> np.ndarray:
    """The same with roots and stubble under the skin."""
    root = np.minimum(hair_tone(person) * 0.8, tone(person))
    stubble = (0.3 + 0.4 * min(person.beard, 0.6)) if person.beard > 0 else 0.16 * person.is_man
    for weight, share in (
        (
            hair.scalp(head, person, shot.hair if shot.hair != "bald" else "cropped"),
            0.15 if shot.hair == "bald" else 0.8,
        ),
        (face_hair.brow_weight(head, person), person.brow["tint"]),
        (face_hair.beard_weight(head), stubble),
    ):
        colour = colour + (share * np.clip(weight, 0, 1))[:, None] * (root - colour)
    return np.clip(colour, 0.004, 0.95)


def wrinkle_weights(head: Head) -> np.ndarray:
    """(V, 3) where skin folds across the forehead, at the corners of the eyes, and everywhere finely."""
    x, y, z = head.rest.T
    front = y < 0.9
    forehead = np.exp(-((x / 0.85) ** 4 + ((z - 0.72) / 0.28) ** 4)) * front
    crow = np.exp(-(((np.abs(x) - 1.0) / 0.16) ** 2 + ((z + 0.05) / 0.22) ** 2)) * front
    return np.stack([forehead, crow, np.ones_like(x)], -1)


class Skin:
    """A skin's material, whose numbers are set for each person."""

    def __init__(self, name: str):
        g = Graph(name)
        self.material, principled = g.material, g.principled
        rest, colour, folds = g.attribute("rest"), g.attribute("col"), g.attribute("folds")
        self.place = g.add("ShaderNodeVectorMath", operation="ADD")
        g.link(rest.outputs["Vector"], self.place.inputs[0])
        at = self.place.outputs[0]
        blotch = g.noise(at, 7.0, 4.0)
        fine = g.noise(at, 34.0, 3.0)
        warm = g.ramp(blotch.outputs["Fac"], ((0.35, (0.86, 0.82, 0.8)), (0.65, (1.1, 1.12, 1.13))))
        speck = g.ramp(fine.outputs["Fac"], ((0.3, (0.93, 0.91, 0.9)), (0.7, (1.06, 1.07, 1.07))))
        self.blotches = g.mix("MULTIPLY", colour.outputs["Color"], warm.outputs["Color"], 0.4)
        speckled = g.mix("MULTIPLY", self.blotches.outputs[2], speck.outputs["Color"], 0.7)
        self.freckles, spotted = self._freckles(g, at, rest, speckled.outputs[2])
        self.moles, marked = self._moles(g, rest, spotted)
        g.link(marked, principled.inputs["Base Color"])
        self.pores = g.noise(at, 62.0, 4.0)
        height = self._folds(g, rest, folds, self.pores.outputs["Fac"])
        bump = g.add("ShaderNodeBump")
        bump.inputs["Strength"].default_value = 0.35
        bump.inputs["Distance"].default_value = 0.0016
        g.link(height, bump.inputs["Height"])
        g.link(bump.outputs["Normal"], principled.inputs["Normal"])
        gloss = g.ramp(fine.outputs["Fac"], ((0.25, (0.42,) * 3), (0.75, (0.56,) * 3)))
        g.link(gloss.outputs["Color"], principled.inputs["Roughness"])
        principled.inputs["Subsurface Weight"].default_value = 0.85
        principled.inputs["Subsurface Radius"].default_value = (1.0, 0.38, 0.2)
        principled.inputs["Subsurface Scale"].default_value = DEPTH
        principled.inputs["Specular IOR Level"].default_value = 0.42

    def _freckles(self, g: Graph, at, rest, colour):
        spots = g.add("ShaderNodeTexVoronoi")
        spots.inputs["Scale"].default_value = 11.0
        g.link(at, spots.inputs["Vector"])
        shape = g.ramp(spots.outputs["Distance"], ((0.12, (1,) * 3), (0.24, (0,) * 3)))
        cover = g.noise(at, 2.5, 2.0)
        patch = g.ramp(cover.outputs["Fac"], ((0.4, (0,) * 3), (0.6, (1,) * 3)))
        amount = g.math("MULTIPLY", shape.outputs["Color"], patch.outputs["Color"])
        factor = g.math("MULTIPLY", amount.outputs[0], 0.0)
        mixed = g.mix("MULTIPLY", colour, (0.62, 0.44, 0.34, 1), 0.0)
        g.link(factor.outputs[0], mixed.inputs[0])
        return factor, mixed.outputs[2]

    def _moles(self, g: Graph, rest, colour):
        """Three dark spots at set places of the face's front."""
        flat = g.add("ShaderNodeVectorMath", operation="MULTIPLY")
        flat.inputs[1].default_value = (1, 0, 1)
        g.link(rest.outputs["Vector"], flat.inputs[0])
        moles = []
        for _ in range(3):
            gap = g.add("ShaderNodeVectorMath", operation="DISTANCE")
            g.link(flat.outputs[0], gap.inputs[0])
            size = g.math("DIVIDE", gap.outputs["Value"], 0.03)
            shape = g.ramp(size.outputs[0], ((0.7, (1,) * 3), (1.0, (0,) * 3)))
            factor = g.math("MULTIPLY", shape.outputs["Color"], 0.0)
            dark = g.mix("MULTIPLY", colour, (0.25, 0.14, 0.1, 1), 0.0)
            g.link(factor.outputs[0], dark.inputs[0])
            colour = dark.outputs[2]
            moles.append((gap, size, factor))
        return moles, colour

    def _folds(self, g: Graph, rest, folds, pores):
        """Pores and, as the person is old, wrinkles: a height."""
        split = g.add("ShaderNodeSeparateXYZ")
        g.link(folds.outputs["Vector"], split.inputs[0])
        self.folds = []
        height = g.math("MULTIPLY", pores, 0.5).outputs[0]
        for k, (axis, scale, depth) in enumerate((("Z", 2.6, 3.2), ("Z", 4.2, 2.6))):
            wave = g.add("ShaderNodeTexWave", bands_direction=axis)
            wave.inputs["Scale"].default_value = scale
            wave.inputs["Distortion"].default_value = 2.2
            wave.inputs["Detail Scale"].default_value = 0.7
            g.link(rest.outputs["Vector"], wave.inputs["Vector"])
            sharp = g.ramp(wave.outputs["Fac"], ((0.0, (0,) * 3), (0.3, (1,) * 3)))
            share = g.math("MULTIPLY", sharp.outputs["Color"], split.outputs[k])
            amount = g.math("MULTIPLY", share.outputs[0], 0.0)
            self.folds.append((amount, depth))
            height = g.math("ADD", height, amount.outputs[0]).outputs[0]
        return height

    def set(self, person: Person) -> None:
        """Take on a person's skin."""
        self.place.inputs[1].default_value = (person.texture, person.texture / 3, 0)
        self.blotches.inputs[0].default_value = person.blotches
        self.freckles.inputs[1].default_value = min(1.0, 1.2 * person.freckles)
        for amount, depth in self.folds:
            amount.inputs[1].default_value = depth * person.wrinkles
        for (gap, size, factor), (x, z, radius, dark) in zip(self.moles, person.moles, strict=True):
            gap.inputs[1].default_value = (x, 0, z)
            size.inputs[1].default_value = max(radius, 1e-3)
            factor.inputs[1].default_value = dark * (radius > 0)

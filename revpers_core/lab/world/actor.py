"""Somebody in Blender's scene: meshes and strands that take on one person after another."""

from __future__ import annotations

import bpy
import numpy as np

from . import face_hair, hair, parts, skin
from .hair import Body, body_of
from .mesh import Head
from .person import Person
from .shot import Shot

WIRES = {"hair": 0.00033, "brow": 0.0001, "beard": 0.00016, "lash": 0.00019}
"""Radii of strands at their roots, metres."""


class Actor:
    """One head with its materials. ``place`` moves it; ``become`` makes it somebody."""

    def __init__(self, scene: bpy.types.Scene, head: Head, name: str = "a"):
        self.scene, self.head, self.name = scene, head, name
        self.skin, self.eye, self.cloth = (
            kind(f"{name}-{kind.__name__}") for kind in (skin.Skin, parts.Eye, parts.Cloth)
        )
        self.hair, self.brow = parts.Hair(f"{name}-hair"), parts.Hair(f"{name}-brow")
        teeth = parts.plain(f"{name}-teeth", (0.62, 0.55, 0.43), 0.25)
        tongue = parts.plain(f"{name}-tongue", (0.35, 0.1, 0.09), 0.4)
        self.wire = parts.plain(f"{name}-wire", (0.02, 0.018, 0.016), 0.25)
        self.meshes = [
            self._mesh("body", head.body, 1, self.skin.material), self._mesh("eyes", head.eyes, 2, self.eye.material),
            self._mesh("teeth", head.teeth, 0, teeth), self._mesh("tongue", head.tongue, 1, tongue),
        ]  # fmt: skip
        self.folds = skin.wrinkle_weights(head)
        self._set(self.meshes[0], "folds", "vector", self.folds)
        self.loose: list[bpy.types.Object] = []

    def _mesh(self, name: str, faces: list[list[int]], level: int, material) -> tuple[bpy.types.Object, np.ndarray]:
        used = np.unique(np.array([i for face in faces for i in face]))
        number = np.full(len(self.head.template), -1)
        number[used] = np.arange(len(used))
        mesh = bpy.data.meshes.new(f"{self.name}-{name}")
        mesh.from_pydata(self.head.template[used].tolist(), [], [[int(number[i]) for i in face] for face in faces])
        mesh.polygons.foreach_set("use_smooth", [True] * len(faces))
        for attribute, kind in (("rest", "FLOAT_VECTOR"), ("folds", "FLOAT_VECTOR"), ("col", "FLOAT_COLOR")):
            mesh.attributes.new(attribute, kind, "POINT")
        obj = self._add(mesh, material)
        self._set((obj, used), "rest", "vector", self.head.rest)
        if level:
            smooth = obj.modifiers.new("smooth", "SUBSURF")
            smooth.levels = smooth.render_levels = level
        return obj, used

    def _add(self, data, material) -> bpy.types.Object:
        obj = bpy.data.objects.new(data.name, data)
        self.scene.collection.objects.link(obj)
        data.materials.append(material)
        return obj

    def _set(self, mesh: tuple[bpy.types.Object, np.ndarray], name: str, kind: str, values: np.ndarray) -> None:
        obj, used = mesh
        obj.data.attributes[name].data.foreach_set(kind, values[used].astype(np.float32).ravel())

    def become(self, person: Person, shot: Shot, vertices: np.ndarray) -> None:
        """Take on a person's looks in a shot. vertices: (V, 3) world metres."""
        self._clear()
        body = body_of(self.head, vertices)
        for obj, used in self.meshes:
            obj.data.vertices.foreach_set("co", vertices[used].astype(np.float32).ravel())
            obj.data.update()
        colour = np.concatenate([skin.colours(self.head, person, shot), np.ones((len(vertices), 1))], 1)
        self._set(self.meshes[0], "col", "color", colour)
        self.skin.set(person)
        self.eye.set(person)
        self.hair.set(person)
        self.brow.set(person, 0.12 * (1 - person.grey))
        self.cloth.set(shot)
        self._strands("hair", hair.strands(body, person, shot), self.hair)
        self._strands("brow", face_hair.brows(body, person), self.brow)
        self._strands("beard", face_hair.beard(body, person), self.brow)
        self._strands("lash", face_hair.lashes(body, person), self.brow)
        self._dress(body, shot)
        if shot.glasses:
            self._glasses(body, person)
        self.meshes[0][0].data.update()

    def _strands(self, name: str, path: np.ndarray | None, material: parts.Hair) -> None:
        if path is None:
            return
        count, points, _ = path.shape
        curves = bpy.data.hair_curves.new(f"{self.name}-{name}")
        curves.add_curves([points] * count)
        curves.attributes["position"].data.foreach_set("vector", path.astype(np.float32).ravel())
        if "radius" not in curves.attributes:
            curves.attributes.new("radius", "FLOAT", "POINT")
        thin = np.linspace(1, 0.35, points)[None] * WIRES[name] * np.ones((count, 1))
        curves.attributes["radius"].data.foreach_set("value", thin.astype(np.float32).ravel())
        self.loose.append(self._add(curves, material.material))

    def _dress(self, body: Body, shot: Shot) -> None:
        """A shirt of the body's own faces, and its collar."""
        at, puffed = body.local(body.vertices), parts.puffed(body, 0.006)
        below = at[:, 2] < parts.neckline(shot, at[:, 0], at[:, 1]) + 0.12
        faces = [face for face in self.head.body if below[face].all()]
        if faces:
            self._solid("shirt", faces, puffed, 1)
        vertices, band = parts.collar(body, shot)
        self._solid("collar", band, vertices, 2)

    def _solid(self, name: str, faces: list[list[int]], vertices: np.ndarray, level: int) -> None:
        used = np.unique(np.array([i for face in faces for i in face]))
        number = np.full(len(vertices), -1)
        number[used] = np.arange(len(used))
        mesh = bpy.data.meshes.new(f"{self.name}-{name}")
        mesh.from_pydata(vertices[used].tolist(), [], [[int(number[i]) for i in face] for face in faces])
        mesh.polygons.foreach_set("use_smooth", [True] * len(faces))
        rest = (vertices - vertices.mean(0)) / self.head.unit
        mesh.attributes.new("rest", "FLOAT_VECTOR", "POINT")
        mesh.attributes["rest"].data.foreach_set("vector", rest[used].astype(np.float32).ravel())
        obj = self._add(mesh, self.cloth.material)
        smooth = obj.modifiers.new("smooth", "SUBSURF")
        smooth.levels = smooth.render_levels = level
        thick = obj.modifiers.new("thick", "SOLIDIFY")
        thick.thickness = 0.0025
        self.loose.append(obj)

    def _glasses(self, body: Body, person: Person) -> None:
        curves, radius = parts.frames(body, person)
        data = bpy.data.curves.new(f"{self.name}-glasses", "CURVE")
        data.dimensions, data.bevel_depth, data.bevel_resolution = "3D", radius, 2
        for points in curves:
            spline = data.splines.new("POLY")
            spline.points.add(len(points) - 1)
            spline.points.foreach_set(
                "co", np.concatenate([points, np.ones((len(points), 1))], 1).astype(np.float32).ravel()
            )
        self.loose.append(self._add(data, self.wire))

    def _clear(self) -> None:
        """Take away what belonged to the last one."""
        for obj in self.loose:
            data = obj.data
            bpy.data.objects.remove(obj)
            {bpy.types.Curves: bpy.data.hair_curves, bpy.types.Mesh: bpy.data.meshes}.get(
                type(data), bpy.data.curves
            ).remove(data)
        self.loose = []

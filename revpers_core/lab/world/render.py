"""Seeds in, pictures out: one scene that is used again and again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from .actor import Actor
from .camera import Camera, face_box, framed
from .develop import developed
from .mesh import Head
from .person import Person
from .shot import Shot
from .studio import Studio


@dataclass(frozen=True)
class Picture:
    """A rendered face.

    pixels: (H, W, 3) uint8. points: (5, 2) and box: (4,) of the face in the unit square, y down."""

    pixels: np.ndarray
    points: np.ndarray
    box: np.ndarray


class Renderer:
    """Draws people. samples: a pixel; threads: of the processor; device: CPU or GPU."""

    def __init__(self, samples: int = 6, threads: int = 1, device: str = "CPU"):
        self.studio = Studio(samples, threads, device)
        self.head = Head()
        self.actors = [Actor(self.studio.scene, self.head)]
        self.folder = tempfile.TemporaryDirectory()

    def render(self, person: Person, shot: Shot, size: int, wider: float = 1.0) -> Picture:
        """One person in one shot, ``size`` pixels square."""
        vertices = self.head.vertices(person, shot)
        points = self.head.points(vertices)
        camera = framed(points, shot, wider)
        self.actors[0].become(person, shot, vertices)
        self.studio.set(person, shot, camera, points[:2].mean(0))
        projected = camera.project(points)
        box = face_box(projected)
        return Picture(developed(self.shoot(size, size, shot.seed), person, shot, box), projected, box)

    def group(
        self,
        people: Sequence[tuple[Person, Shot]],
        places: np.ndarray,
        camera: Camera,
        size: tuple[int, int],
        reach: float = 1.0,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Several people in one scene: linear light (H, W, 3) and everyone's points (5, 2). places: (N, 4) where each
        one stands, metres, and how far each is turned, radians. size: width and height. reach: of the lamps, which the
        first one's shot places, times what it is for a portrait."""
        while len(self.actors) < len(people):
            self.actors.append(Actor(self.studio.scene, self.head, f"a{len(self.actors)}"))
        points = []
        for actor, (person, shot), place in zip(self.actors, people, places, strict=False):
            vertices = moved(self.head.vertices(person, shot), place)
            actor.become(person, shot, vertices)
            projected = camera.project(self.head.points(vertices))
            points.append(0.5 + (projected - 0.5) * [1, size[0] / size[1]])
        middle = np.array([0.0, 0.0, camera.place[2]])
        self.studio.set(*people[0], camera, middle, reach)
        return self.shoot(*size, people[0][1].seed), points

    def shoot(self, width: int, height: int, seed: int) -> np.ndarray:
        """(H, W, 3) linear light of the scene as it stands."""
        scene, path = self.studio.scene, str(Path(self.folder.name) / "shot.exr")
        scene.cycles.seed = seed % (2**31)
        scene.render.resolution_x, scene.render.resolution_y = width, height
        scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "16"
        scene.render.filepath = path
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(path)
        flat = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(flat)
        bpy.data.images.remove(image)
        return flat.reshape(height, width, 4)[::-1, :, :3].astype(np.float64)


def moved(vertices: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Vertices turned about the upright axis of the world's middle and carried to a place (x, y, z, turn)."""
    c, s = np.cos(place[3]), np.sin(place[3])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return vertices @ turn.T + place[:3]

"""Group photos: several people in one scene, one of them far away, one turned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .camera import Camera, face_box
from .develop import developed
from .person import Person, person_from_seed
from .shot import Shot, edited, held_out_shot, shot_from_seed

if TYPE_CHECKING:
    from .render import Renderer

WIDTH, HEIGHT = 1280, 720
AWAY, RISE = 3.4, 0.11
"""Of the camera: metres in front of the front row, and above its eyes."""
REACH = 2.4
"""How much further lamps stand from a group than from one person."""


@dataclass(frozen=True)
class Scene:
    """extent: metres that the camera sees across the front row. people: numbers of held-out people. places: of each,
    metres right, back and up of the middle of the front row, and degrees turned to the viewer's right. Bodies end at
    the chest: whoever is in front hides it."""

    seed: int
    extent: float
    people: tuple[int, ...]
    places: tuple[tuple[float, float, float, float], ...]


GROUPS = (
    Scene(
        9101,
        1.45,
        (70, 71, 72, 73, 74, 75),
        ((-0.46, 0.0, -0.05, 8), (0.0, -0.05, -0.08, -4), (0.45, 0.0, -0.04, -10), (-0.22, 0.33, 0.1, 3),
         (0.24, 0.33, 0.12, -45), (1.07, 2.4, -0.2, -6)),
    ),
    Scene(
        9102,
        1.55,
        (80, 81, 82, 83, 84, 85, 86),
        ((-0.56, 0.05, -0.05, 10), (-0.18, -0.05, -0.09, 45), (0.2, -0.05, -0.07, -6), (0.57, 0.05, -0.05, -12),
         (-0.37, 0.33, 0.1, 5), (0.01, 0.35, 0.12, 0), (0.71, 3.0, -0.05, -4)),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """Somebody in a group photo, with points (5, 2) and box (4,) in the picture's unit square."""

    person: Person
    shot: Shot
    points: np.ndarray
    box: np.ndarray


def group(renderer: Renderer, scene: Scene, width: int = WIDTH) -> tuple[np.ndarray, list[Member]]:
    """The picture (H, W, 3) uint8 of a scene, and everyone in it."""
    height = round(width * HEIGHT / WIDTH / 2) * 2
    people: list[tuple[Person, Shot]] = []
    for number in scene.people:
        person = person_from_seed(held_out_shot(number, 0)[0])
        shot = shot_from_seed(person, held_out_shot(number, 0)[1])
        people.append((person, edited(shot, yaw=0.0, pitch=0.0, roll=0.0)))
    person, shot = people[0]  # whose shot lights them all
    lit = edited(shot, light_x=-0.35, light_y=0.35)
    people[0] = (
        person,
        replace(lit, seed=scene.seed, exposure=0.1, white=(1.0, 1.0), warm=0.03, grain=0.003, part=(0.2, 0.4, 0.5)),
    )
    face = renderer.head.middle
    turns = np.radians([place[3] for place in scene.places])
    places = np.array([
        [x - face[0], y - face[1], z, turn] for (x, y, z, _), turn in zip(scene.places, turns, strict=True)
    ])  # fmt: skip
    place = np.array([0.0, -AWAY, face[2] + RISE])
    camera = Camera(place, *np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), scene.extent, AWAY)
    linear, points = renderer.group(people, places, camera, (width, height), REACH)
    members = [
        Member(person, shot, points, group_box(points, width / height))
        for (person, shot), points in zip(people, points, strict=True)
    ]
    faces = np.stack([member.box for member in members])
    around = np.concatenate([faces[:, :2].min(0), faces[:, 2:].max(0)])
    return developed(linear, people[0][0], people[0][1], around), members


def group_box(points: np.ndarray, aspect: float) -> np.ndarray:
    """``face_box`` in a picture that is ``aspect`` times as wide as high."""
    wide = np.array([aspect, 1.0])
    return face_box(points * wide) / np.concatenate([wide, wide])

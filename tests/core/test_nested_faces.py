"""A small face before or inside a larger one (a screen, a poster, a child before a parent): found, changed, once."""

from random import Random
from typing import NamedTuple

import pytest
import torch
from gallery_faces import aligned, place
from torch import Tensor

from revpers_core import Plan, ReversePersonalizationPipeline, pocket
from revpers_core.faces import detect, views
from revpers_core.faces.detect import Search, find_faces
from revpers_core.faces.face import Face
from revpers_core.media import gallery
from revpers_core.media.anonymize_file import embedder
from revpers_core.media.photo import PhotoOptions, PhotoPorts, anonymize_photo

HEIGHT, WIDTH = 400, 560
PLACES = ((0.5, 0.95), (0.2, 0.75), (0.8, 0.75), (0.5, 0.2), (0.25, 0.35), (0.75, 0.5), (0.5, 0.8), (0.1, 0.5))
"""Middles of the small pictures in the large one, in its sides."""
PERSON_SIDE = 0.6
"""Side of a detector's box in that of an aligned picture."""


class Placed(NamedTuple):
    """Whose face a composition shows: five points, side of the picture, and whether most points can be seen."""

    points: Tensor
    side: int
    visible: bool

    def is_at(self, face: Face) -> bool:
        near = float((face.points - self.points).norm(dim=-1).mean()) < 0.12 * self.side
        return near and 0.6 < face.area**0.5 / (PERSON_SIDE * self.side) < 1.8


def person(number: int, side: int) -> tuple[Tensor, Tensor]:
    return aligned(number % gallery.people(), number // gallery.people(), side)


def composition(number: int) -> tuple[Tensor, list[Placed]]:
    """Somebody of 60 to 200 pixels before or inside somebody of 150 to 300."""
    random = Random(number)
    large = random.randint(150, 300)
    small = random.randint(60, min(200, large - 40))
    back, front = person(2 * number, large), person(2 * number + 1, small)
    photo = place(number, HEIGHT, WIDTH)
    x, y = random.randint(60, 180), random.randint(20, 80)
    u, v = PLACES[number % len(PLACES)]
    left, top = max(0, int(x + u * large - small / 2)), max(0, min(int(y + v * large - small / 2), HEIGHT - small))
    photo[:, y : y + large, x : x + large] = back[0]
    photo[:, top : top + small, left : left + small] = front[0]
    points = back[1] + torch.tensor([x, y])
    hidden = ((points > torch.tensor([left, top])) & (points < torch.tensor([left, top]) + small)).all(-1).sum()
    return photo, [Placed(points, large, int(hidden) < 3), Placed(front[1] + torch.tensor([left, top]), small, True)]


@pytest.fixture(scope="module")
def detector():
    return detect.load(pocket.DETECTOR)


@pytest.fixture(scope="module")
def pipeline():
    return ReversePersonalizationPipeline.from_pocket()


def seen_alone(photo: Tensor, detector, placed: Placed) -> bool:
    """Whether the detector itself sees a face in the picture, no merging."""
    faces = views.detect_in_view(views.full_view(photo, WIDTH), detector)
    return placed.visible and any(placed.is_at(face) for face in faces if face.score >= 0.5)


@pytest.mark.parametrize("number", range(30))
def test_everyone_is_found_changed_and_seen_by_the_second_look_once(number, detector, pipeline):
    photo, everyone = composition(number)
    there = [placed for placed in everyone if seen_alone(photo, detector, placed)]
    shown, looked_at = list[list[Face]](), list[Face]()

    def look(image):
        looked_at.clear()  # what comes after the last search is the second look
        shown.append(find_faces(image, [detector], Search(turn="never")))
        return shown[-1]

    def embed(image, face):
        looked_at.append(face)
        return embedder(pipeline)(image, face)

    plan = Plan(steps=6, skip=0.5, seed=number)
    tools = PhotoPorts(look, embed, pipeline.face_inverter(plan), pipeline.size)
    done = anonymize_photo(photo, tools, PhotoOptions(-6.0))
    assert there and [sum(map(placed.is_at, shown[0])) for placed in there] == [1] * len(there)
    assert all(any(placed.is_at(face) for placed in everyone) for face in shown[0]), "nobody is there"
    for placed in there:
        x, y = placed.points.mean(0).round().int().tolist()
        half = placed.side // 8
        part = (slice(None), slice(y - half, y + half), slice(x - half, x + half))
        assert (done.image[part] - photo[part]).abs().mean() > 0.02
        assert any(map(placed.is_at, looked_at)), "the second look must reach the place of everyone"


@pytest.mark.parametrize("number", range(12))
def test_one_head_is_one_face(number, detector):
    """Whatever its size."""
    side = Random(number).randint(100, 420)
    photo = place(number, 480, 640)
    top = (480 - side) // 2
    photo[:, top : top + side, 100 : 100 + side] = aligned(number, 0, side)[0]
    assert len(find_faces(photo.clamp(0, 1), [detector], Search(turn="never"))) == 1

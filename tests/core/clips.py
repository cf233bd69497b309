"""Clips with people of coloured noise, and stand-ins for the networks that see them."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from revpers_core.faces.face import Face
from revpers_core.faces.geometry import face_for_recogniser, framing
from revpers_core.faces.judges import DecisionRule, cosine
from revpers_core.media.photo import FaceSampler, PhotoPorts
from revpers_core.media.video_ports import Frame, VideoOptions, VideoPorts
from revpers_core.method.types import Identity

SIDE, HEAD = 64, 48
RATE = 25.0
WISHES = VideoOptions(-10.0)
Where = Callable[[int], tuple[float, float] | None]
"""Frame -> where somebody's head is, None where they are not there."""


def head(person: int) -> Tensor:
    """Somebody of coloured noise (3, HEAD, HEAD)."""
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(person))
    return torch.nn.functional.interpolate(coarse, (HEAD, HEAD))[0]


def face_at(x: float, y: float, score: float = 0.9) -> Face:
    box = (x + HEAD * 0.24, y + HEAD * 0.22, x + HEAD * 0.76, y + HEAD * 0.87)
    return Face(box, (framing(HEAD) + torch.tensor([x, y])).float(), score)


def features(image: Tensor, face: Face) -> Tensor:
    """512 numbers by which the stand-ins know people: the face's middle in coarse pixels."""
    middle = face_for_recogniser(image, face)[:, 24:88, 24:88]
    coarse = torch.nn.functional.adaptive_avg_pool2d(middle, 13).flatten()
    return torch.nn.functional.normalize(torch.nn.functional.pad(coarse - coarse.mean(), (0, 5)), dim=0)


def number_of(image: Tensor) -> int:
    return round(float(image[:, 2:6, 2:6].mean()) * 255 / 3)


class Scene:
    """Frames with people, and detectors that see them but in the frames where they are told not to.

    A frame's first corner holds its number, up to 84. background: frame -> grey of the scene.
    """

    def __init__(self, people: dict[int, Where], count: int, background: Callable[[int], float] = lambda frame: 0.5):
        self.people, self.count, self.background = people, count, background
        self.blind: dict[int, set[int]] = {}
        """Frame -> people whom the first look misses."""
        self.faint: dict[int, set[int]] = {}
        """Frame -> people whom it sees faintly."""
        self.seen_later: set[int] = set()
        """People whom only the second look sees."""

    def image(self, frame: int) -> Tensor:
        image = torch.full((3, 120, 200), self.background(frame))
        image[:, :8, :8] = 3 * frame / 255
        for person, where in self.people.items():
            if place := where(frame):
                x, y = map(round, place)
                image[:, y : y + HEAD, x : x + HEAD] = head(person)
        return image

    def frames(self, start: int = 0) -> list[Frame]:
        return [Frame(k / RATE, self.image(k)) for k in range(start, self.count)]

    def search(self, image: Tensor) -> tuple[list[Face], list[Face]]:
        frame = number_of(image)
        missed = self.blind.get(frame, set()) | self.seen_later
        faint = self.faint.get(frame, set())
        there = [
            (person, place) for person, where in self.people.items() if (place := where(frame)) and person not in missed
        ]
        return (
            [face_at(*place) for person, place in there if person not in faint],
            [face_at(*place, 0.35) for person, place in there if person in faint],
        )

    def second(self, image: Tensor) -> list[Face]:
        """Whoever is there and as they were."""
        frame = number_of(image)
        places = {person: place for person, where in self.people.items() if (place := where(frame))}
        return [
            face_at(*place)
            for person, place in places.items()
            if person in self.seen_later
            and cosine(features(image, face_at(*place)), features(self.image(frame), face_at(*place))) > 0.9
        ]

    def ports(self, **changes) -> VideoPorts:
        def embed(image: Tensor, face: Face) -> Identity:
            return Identity(features(image, face)[None])

        return VideoPorts(replace(PhotoPorts(self.second, embed, stranger, SIDE), **changes), self.search)


def stranger(crops: Tensor, identity: Identity, index: int) -> FaceSampler:
    """Somebody else, by the index alone."""
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(100 + index))
    new = torch.nn.functional.interpolate(coarse, crops.shape[-2:]).expand(len(crops), -1, -1, -1)
    return lambda guidance, instead=None: new


def as_is(crops: Tensor, identity: Identity, index: int) -> FaceSampler:
    return lambda guidance, instead=None: crops


def still(x: float, y: float) -> Where:
    return lambda frame: (x, y)


class Judge:
    """A judge that knows people by their pixels."""

    name = "pixels"

    def __init__(self):
        self.rule = DecisionRule(cosine, 0.5, -0.9, "a test")

    def embed(self, image: Tensor, face: Face) -> Tensor:
        return features(image, face).roll(100) * torch.linspace(0.2, 1, 512)

    def similarity(self, a: Tensor, b: Tensor) -> float:
        return self.rule.likeness(a, b)

    def same_person(self, a: Tensor, b: Tensor) -> bool:
        return not self.similarity(a, b) < self.rule.threshold

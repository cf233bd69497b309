"""The gallery: photographs of rendered people who do not exist, and all that is known of them. Nothing here renders.

``revpers_core/pocket/gallery`` holds the files; ``python -m revpers_core.lab.world gallery`` made them. No training has
seen these people.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..faces.face import Face
from ..faces.geometry import crop_face
from ..pocket import GALLERY
from . import images

FACTORS = ("smile", "open", "brow", "lid", "gaze_x", "gaze_y", "yaw", "pitch", "roll", "light_x", "light_y")
"""Of a photo: degrees for yaw, pitch and roll, open and lid from 0 to 1, the others from about -1 to 1."""


@dataclass(frozen=True)
class Photo:
    """pixels: (3, H, W) float32 in [0, 1], sRGB. face: where it is, in pixels. factors: by FACTORS' names. words: what
    one would say of it ("age": "old", "sex": "woman", "skin": "dark skin", "hair", "expression", ...)."""

    pixels: Tensor
    face: Face
    factors: Mapping[str, float]
    words: Mapping[str, str]

    def crop(self, size: int = 128) -> Tensor:
        """The aligned face (3, size, size), framed as FFHQ's are."""
        return crop_face(self.pixels, self.face, size).pixels


@dataclass(frozen=True)
class GroupPhoto:
    """Several people in one picture (3, H, W). faces: one each; words: of each."""

    pixels: Tensor
    faces: Sequence[Face]
    words: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Clip:
    """A short video of one person. path: an MP4 file of ``rate`` frames a second. faces, factors: of every frame."""

    path: Path
    rate: float
    side: int
    faces: Sequence[Face]
    factors: Sequence[Mapping[str, float]]
    words: Mapping[str, str]


def people() -> int:
    """How many people there are: numbers 0 up to this."""
    return len(_photos_each())


def photos(person: int) -> int:
    """How many photos there are of a person."""
    return _photos_each()[_person(person)]


def groups() -> int:
    """How many group photos there are."""
    return sum(name.startswith("group") for name in _truths())


def clips() -> int:
    """How many clips there are."""
    return sum(name.startswith("clip") for name in _truths())


def photo(person: int, number: int = 0) -> Photo:
    """A photo of a person; numbers beyond the last begin again. Raises ValueError for negative ones."""
    if person < 0 or number < 0:
        raise ValueError(f"people and photos are counted from 0, got person {person}, photo {number}")
    name = f"person-{_person(person):02d}-{number % photos(person)}.jpg"
    truth, pixels = _truths()[name], images.read(GALLERY / name)
    return Photo(pixels, _face(truth, pixels.shape), _factors(truth), truth["words"])


def aligned_face(person: int, number: int = 0, size: int = 128) -> Tensor:
    """The aligned face (3, size, size) in [0, 1] of a photo of somebody whom no training has seen."""
    return photo(person, number).crop(size)


def group_photo(number: int = 0) -> GroupPhoto:
    """A photo of five to eight people. Raises ValueError where there is none of that number."""
    name = _named("group", number, "jpg")
    truth, pixels = _truths()[name]["faces"], images.read(GALLERY / name)
    return GroupPhoto(
        pixels, [_face(face_truth, pixels.shape) for face_truth in truth], [face_truth["words"] for face_truth in truth]
    )


def clip(number: int = 0) -> Clip:
    """A clip with the truth of every frame. Raises ValueError where there is none of that number."""
    name = _named("clip", number, "mp4")
    truth = _truths()[name]
    side, frames = truth["side"], truth["frames"]
    faces = [_face(frame, (3, side, side)) for frame in frames]
    return Clip(GALLERY / name, truth["rate"], side, faces, [_factors(frame) for frame in frames], truth["words"])


@cache
def _truths() -> dict[str, Any]:
    return json.loads((GALLERY / "gallery.json").read_text(encoding="utf-8"))


@cache
def _photos_each() -> dict[int, int]:
    return dict(Counter(int(name.split("-")[1]) for name in _truths() if name.startswith("person")))


def _person(number: int) -> int:
    return number % people()


def _named(kind: str, number: int, ending: str) -> str:
    name = f"{kind}-{number}.{ending}"
    if name not in _truths():
        count = sum(file_name.startswith(kind) for file_name in _truths())
        raise ValueError(f"the gallery has no {kind} {number}: {count} are there")
    return name


def _face(truth: Mapping[str, Any], shape: Sequence[int]) -> Face:
    """From the unit square to pixels whose centres are whole numbers."""
    height, width = shape[-2:]
    size = torch.tensor([width, height], dtype=torch.float32)
    x0, y0, x1, y1 = (torch.tensor(truth["box"]) * size.repeat(2) - 0.5).tolist()
    return Face((x0, y0, x1, y1), torch.tensor(truth["points"]) * size - 0.5, 1.0)


def _factors(truth: Mapping[str, Any]) -> dict[str, float]:
    return dict(zip(FACTORS, truth["factors"], strict=True))

"""Which of the faces that were found are meant."""

from collections.abc import Callable, Sequence

from torch import Tensor

from ..method.identity import cosine
from ..method.settings import LIKENESS
from ..method.types import Identity, NoFaceError
from .face import Face

Embed = Callable[[Tensor, Face], Identity]
Keep = Callable[[Tensor, list[Face]], list[Face]]
"""A photo (3, H, W) and the faces found in it -> those of them that stay as they are."""


def numbered(faces: Sequence[Face], numbers: str) -> list[Face]:
    """Faces by the numbers of the overlay, such as "1, 3-5"; the largest is 1. Raises ValueError for numbers that are
    not there or none at all: somebody who was meant must not be missed."""
    wanted: set[int] = set()
    for piece in filter(None, (piece.strip() for piece in numbers.split(","))):
        first, dash, last = piece.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            low, high = 1, 0
        if low > high:
            raise ValueError(f"numbers must be like '1, 3-5', got {numbers!r}")
        for number in (low, high):
            if not 1 <= number <= len(faces):
                raise ValueError(f"there is no face number {number}: the image has {len(faces)}")
        wanted |= set(range(low, high + 1))
    if not wanted:
        raise ValueError(f"numbers must be like '1, 3-5', got {numbers!r}")
    return [face for i, face in enumerate(faces, 1) if i in wanted]


def largest(faces: Sequence[Face]) -> list[Face]:
    """The largest face alone; [] where there is none."""
    return [max(faces, key=lambda face: face.area)] if faces else []


def at_least(faces: Sequence[Face], side: float) -> list[Face]:
    """Faces whose box is at least ``side`` pixels on its shorter side."""
    return [face for face in faces if min(face.box[2] - face.box[0], face.box[3] - face.box[1]) >= side]


def reference_identities(
    photos: Sequence[Tensor], detections: Sequence[Sequence[Face]], embed: Embed
) -> list[Identity]:
    """Who is on reference photos, by the largest of the faces found in each. Raises NoFaceError where one shows nobody:
    who is meant must not be guessed."""
    for i, faces in enumerate(detections, 1):
        if not faces:
            raise NoFaceError(
                f"no face was found in reference photo {i} of {len(detections)}: use one that shows the person"
            )
    return [embed(photo, largest(faces)[0]) for photo, faces in zip(photos, detections, strict=True)]


def faces_to_keep(
    faces: Sequence[Face], image: Tensor, references: Sequence[Identity], embed: Embed, threshold: float
) -> list[Face]:
    """Faces of the people on the keep-list: cosine similarity of at least ``threshold`` to one of their references.

    One face a reference, the most alike, so that a look-alike is not left alone beside the person. A face that the
    recogniser cannot read is nobody's on the list. image: (3, H, W).
    """
    kept: list[Face] = []
    identified = [
        (face, identity) for face in faces if references and (identity := read_or_none(image, face, embed)) is not None
    ]
    for reference in references:
        likeness = [float(cosine(identity, reference)) for _, identity in identified]
        best = max(range(len(identified)), key=likeness.__getitem__, default=None)
        if best is not None and likeness[best] >= threshold and not any(identified[best][0] is face for face in kept):
            kept.append(identified[best][0])
    return kept


def read_or_none(image: Tensor, face: Face, embed: Embed) -> Identity | None:
    """Who a face in a photo is; None where the recogniser sees none."""
    try:
        return embed(image, face)
    except NoFaceError:
        return None


def keep_unless_numbered(numbers: str, keep: Keep, on_faces: Callable[[Tensor, list[Face]], None]) -> Keep:
    """``keep``, and whoever is not among the numbers, such as "1, 3-5"; empty numbers are everyone's. on_faces: told of
    every photo and the faces found in it."""

    def stay(photo: Tensor, faces: list[Face]) -> list[Face]:
        on_faces(photo, faces)
        chosen = numbered(faces, numbers) if numbers.strip() else faces
        to_keep = keep(photo, faces)
        return [
            face
            for face in faces
            if any(face is other for other in to_keep) or not any(face is other for other in chosen)
        ]

    return stay


def keep_people(photos: Sequence[Tensor], detections: Sequence[Sequence[Face]], embed: Embed, threshold: float) -> Keep:
    """``faces_to_keep`` for the people on reference photos, with the faces found in each."""
    LIKENESS.check("likeness", threshold)
    people = reference_identities(photos, detections, embed)
    return lambda photo, faces: faces_to_keep(faces, photo, people, embed, threshold)

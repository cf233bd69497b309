"""Held-out people of the face world: the gallery that ships, or as many as are rendered on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ..media import gallery
from .data import RENDER, Photos
from .world.factors import AGES, FACTORS, PHOTOS, SEXES, SKINS

SIDE = 128
"""Pixels of an aligned crop."""
FOLDER = Path.home() / ".cache/revpers/pocket/held-out"


@dataclass(frozen=True)
class GalleryPeople:
    """``count`` people of the gallery who have two photos or more, from the ``first``-th on, as aligned crops.

    Raises ValueError where there are fewer.
    """

    count: int
    first: int = 0

    def __post_init__(self):
        if self.first + self.count > len(_twice()):
            raise ValueError(
                f"the gallery has {len(_twice())} people with two photos or more, {self.first + self.count} are asked "
                "for: ask for fewer with --people"
            )

    @property
    def _people(self) -> list[int]:
        return _twice()[self.first : self.first + self.count]

    @property
    def photos_each(self) -> int:
        return min(gallery.photos(person) for person in self._people)

    def photo(self, number: int) -> Tensor:
        """(N, 3, 128, 128); numbers from ``photos_each`` on begin again."""
        return torch.stack([gallery.aligned_face(person, number % self.photos_each, SIDE) for person in self._people])

    def points(self, number: int) -> Tensor | None:
        """None: aligned crops are framed alike."""
        return None

    @property
    def photos(self) -> Tensor:
        return self.photo(0)

    @property
    def gallery(self) -> Tensor:
        return self.photo(1)

    @property
    def factors(self) -> Tensor:
        """(N, 11) of ``photos``, in FACTORS' order and units; a crop is upright whatever the roll."""
        factors = [gallery.photo(person).factors for person in self._people]
        return torch.tensor([[values[name] for name in FACTORS] for values in factors])

    @property
    def attributes(self) -> Tensor:
        """(N, 3): indices of age, sex and skin."""
        return torch.tensor([_attributes(person) for person in self._people])

    def strangers(self, count: int) -> GalleryPeople:
        """The next people, as many of them as there are."""
        left = len(_twice()) - self.first - self.count
        return replace(self, first=self.first + self.count, count=min(count, max(left, 1)))


@dataclass(frozen=True)
class GalleryAlbum:
    """Everyone in the gallery who has two photos or more, for the gates."""

    points: None = None

    @property
    def _crowd(self) -> GalleryPeople:
        return GalleryPeople(len(_twice()))

    @property
    def photos_each(self) -> int:
        return self._crowd.photos_each

    @property
    def images(self) -> Tensor:
        photos = [self._crowd.photo(k) for k in range(self.photos_each)]
        return torch.stack(photos, 1).flatten(0, 1)

    @property
    def attributes(self) -> Tensor:
        return self._crowd.attributes.repeat_interleave(self.photos_each, 0)


def _twice() -> list[int]:
    return [person for person in range(gallery.people()) if gallery.photos(person) > 1]


def _attributes(person: int) -> tuple[int, int, int]:
    words = gallery.photo(person).words
    return AGES.index(words["age"]), SEXES.index(words["sex"]), SKINS.index(words["skin"].removesuffix(" skin"))


@dataclass(frozen=True)
class RenderedPeople:
    """``count`` held-out people from the ``first``-th on, ``photos_each`` photographs of everyone.

    Raises ValueError where fewer are rendered, FileNotFoundError where none is; both say what to run.
    """

    count: int
    first: int = 0
    folder: Path = field(default=FOLDER)
    photos_each: int = PHOTOS

    def __post_init__(self):
        available = len(_held_out_photos(self.folder)) // PHOTOS
        if self.first + self.count > available:
            raise ValueError(
                f"{available} held-out people are rendered in {self.folder}, {self.first + self.count} are asked for: "
                f"run `{RENDER} held-out --count {self.first + self.count}`, or ask for fewer with --people"
            )

    def _rows(self, number: int) -> Tensor:
        return (torch.arange(self.count) + self.first) * PHOTOS + number % PHOTOS

    def photo(self, number: int) -> Tensor:
        """(N, 3, 128, 128): everyone in another scene for each number below ``photos_each``."""
        return _held_out_photos(self.folder)[self._rows(number)]

    def points(self, number: int) -> Tensor | None:
        """(N, 5, 2) of these faces, in the unit square."""
        return _held_out_photos(self.folder).annotations.points[self._rows(number)]

    @property
    def photos(self) -> Tensor:
        return self.photo(0)

    @property
    def gallery(self) -> Tensor:
        return self.photo(1)

    @property
    def factors(self) -> Tensor:
        """(N, 11) of ``photos``, in FACTORS' order and units."""
        return _held_out_photos(self.folder).annotations.factors[self._rows(0)]

    @property
    def attributes(self) -> Tensor:
        """(N, 3): indices of age, sex and skin."""
        return _held_out_photos(self.folder).annotations.attributes[self._rows(0)]

    def strangers(self, count: int) -> RenderedPeople:
        """The next people."""
        return replace(self, first=self.first + self.count, count=count)


@dataclass(frozen=True)
class RenderedAlbum:
    """All photographs of all held-out people that are rendered, for the gates."""

    folder: Path = field(default=FOLDER)
    photos_each: int = PHOTOS

    @property
    def images(self) -> Tensor:
        return _held_out_photos(self.folder)[torch.arange(len(_held_out_photos(self.folder)))]

    @property
    def attributes(self) -> Tensor:
        return _held_out_photos(self.folder).annotations.attributes

    @property
    def points(self) -> Tensor | None:
        return _held_out_photos(self.folder).annotations.points


@cache
def _held_out_photos(folder: Path) -> Photos:
    return Photos(folder, "held")

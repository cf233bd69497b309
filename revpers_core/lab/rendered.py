"""Held-out people of the face world, as ``python -m revpers_core.lab.world held-out`` has rendered them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .data import RENDER, Photos
from .world.factors import PHOTOS

FOLDER = Path.home() / ".cache/revpers/pocket/held-out"


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
        there = len(_held(self.folder)) // PHOTOS
        if self.first + self.count > there:
            raise ValueError(
                f"{there} held-out people are rendered in {self.folder}, {self.first + self.count} are asked for: run "
                f"`{RENDER} held-out --count {self.first + self.count}`, or ask for fewer with --people"
            )

    def _rows(self, number: int) -> Tensor:
        return (torch.arange(self.count) + self.first) * PHOTOS + number % PHOTOS

    def photo(self, number: int) -> Tensor:
        """(N, 3, 128, 128): everyone in another scene for each number below ``photos_each``."""
        return _held(self.folder)[self._rows(number)]

    def points(self, number: int) -> Tensor | None:
        """(N, 5, 2) of these faces, in the unit square."""
        return _held(self.folder).known.points[self._rows(number)]

    @property
    def photos(self) -> Tensor:
        return self.photo(0)

    @property
    def gallery(self) -> Tensor:
        return self.photo(1)

    @property
    def factors(self) -> Tensor:
        """(N, 11) of ``photos``, in FACTORS' order and units."""
        return _held(self.folder).known.factors[self._rows(0)]

    @property
    def attributes(self) -> Tensor:
        """(N, 3): indices of age, sex and skin."""
        return _held(self.folder).known.attributes[self._rows(0)]

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
        return _held(self.folder)[torch.arange(len(_held(self.folder)))]

    @property
    def attributes(self) -> Tensor:
        return _held(self.folder).known.attributes

    @property
    def points(self) -> Tensor | None:
        return _held(self.folder).known.points


@cache
def _held(folder: Path) -> Photos:
    return Photos(folder, "held")

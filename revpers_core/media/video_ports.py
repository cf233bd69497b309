"""What a clip needs of a host, what its user wants, and what comes of a frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from ..faces.face import Face
from ..faces.masks import FEATHER, Part
from ..method.settings import EVERY
from ..method.types import Identity
from .photo import PhotoPorts
from .strength import Target

Search = Callable[[Tensor], tuple[list[Face], list[Face]]]
"""A frame (3, H, W) -> the faces that are sure, and the faint ones, which may only carry on a track."""


@dataclass(frozen=True)
class VideoPorts:
    """What a clip needs of a host: the ports of a photo, whose ``invert_face`` takes several crops (B, 3, S, S) of one
    person under one noise, and a search that tells sure faces from faint ones."""

    photo: PhotoPorts
    search: Search


@dataclass(frozen=True)
class VideoOptions:
    """What the user wants of a clip; as of a photo, but for those to keep, who are known by their identities, and for
    ``where``, which tells of a frame's number where it may change, (1, H, W) or None for everywhere. every: of
    neighbouring frames every so many are sampled, the others blended from the results around them."""

    guidance: float
    keep: tuple[Identity, ...] = ()
    likeness: float = 0.4
    keep_parts: tuple[Part, ...] = ()
    match: bool = True
    aim: Target | None = None
    where: Callable[[int], Tensor | None] = lambda frame: None
    feather: float = FEATHER
    crop_factor: float = 1.0
    every: int = 1

    def __post_init__(self):
        if self.guidance >= 0:
            raise ValueError(f"guidance must be below 0 to lead away from the person, got {self.guidance:g}")
        EVERY.check("every", self.every)


class Frame(NamedTuple):
    """time: in seconds. image: (3, H, W) in [0, 1]."""

    time: float
    image: Tensor


class FrameResult(NamedTuple):
    """image: (3, H, W). mask: (1, H, W), where it may have changed. changed, blurred: people (their numbers, -1 for one
    whom only the second look found) who are somebody else there, and who are covered because that could not be done.
    stronger: how many faces needed stronger guidance."""

    image: Tensor
    mask: Tensor
    changed: tuple[int, ...] = ()
    blurred: tuple[int, ...] = ()
    stronger: int = 0


class OnFrame(Protocol):
    """Told where a run is: phase "find", "strength", "make" or "check"; frames done, of how many (0 where that is not
    known yet). What it raises ends the run: so a user cancels."""

    def __call__(self, phase: str, finished: int, total: int) -> None: ...


def no_progress(phase: str, finished: int, total: int) -> None:
    """For runs that nobody watches."""
    del phase, finished, total

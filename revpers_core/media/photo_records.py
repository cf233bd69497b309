"""What anonymizing a photo needs, what its user wants of it, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ..faces.face import Face
from ..faces.judges import Judge
from ..faces.masks import FEATHER, Part
from ..faces.select import Keep
from ..method.types import Identity
from .pseudonyms import Pseudonyms
from .strength import Target


class FaceSampler(Protocol):
    """A face that was inverted, ready to be sampled as somebody else as often as it takes."""

    def __call__(self, guidance: float, instead: Identity | None = None) -> Tensor:
        """The crops (B, 3, S, S). instead: who comes instead; nobody in particular unless given."""
        ...


def nobody_stays(photo: Tensor, faces: list[Face]) -> list[Face]:
    """The default: everyone becomes somebody else."""
    del photo, faces
    return []


@dataclass(frozen=True)
class PhotoPorts:
    """What anonymizing a photo needs of a host. ``invert_face(crop (B, 3, S, S), identity, index)`` inverts a face, or
    one person's in several frames; index tells its noise from the other faces'. size: the model's side in pixels.
    judges: recognisers that take no part otherwise."""

    detect: Callable[[Tensor], list[Face]]
    embed: Callable[[Tensor, Face], Identity]
    invert_face: Callable[[Tensor, Identity, int], FaceSampler]
    size: int
    judges: Sequence[Judge] = ()


@dataclass(frozen=True)
class PhotoOptions:
    """What the user wants of a photo.

    guidance: below 0. aim: look for the weakest guidance that does, from that one on; needs judges. keep: these faces
    stay as they are (by default nobody's). keep_parts: parts of a face that do. match: fit colours to the surround.
    where: (1, H, W), above 0 where the photo may change; None for everywhere. instead: who comes instead of whom;
    None for nobody in particular, as in the paper. place: names the photo in this run. feather: of
    the masks' rim, in radii. crop_factor: of the crops, times FFHQ's square.
    """

    guidance: float
    keep: Keep = nobody_stays
    keep_parts: tuple[Part, ...] = ()
    match: bool = True
    aim: Target | None = None
    where: Tensor | None = None
    instead: Pseudonyms | None = None
    place: str = ""
    feather: float = FEATHER
    crop_factor: float = 1.0


class PhotoResult(NamedTuple):
    """A finished photo.

    image: (3, H, W). mask: (1, H, W), where it may have changed. faces: a plain record each, without embeddings.
    kept: box and score of those who stay. reached: where each of the faces may have changed it, like mask."""

    image: Tensor
    mask: Tensor
    faces: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    reached: Sequence[Tensor] = ()

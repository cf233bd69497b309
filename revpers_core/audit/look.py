"""What judges see in originals and results: one record a face. Whatever cannot be compared counts against privacy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.geometry import cut, face_in_aligned
from ..faces.judges import Judge
from ..faces.paste import footprint
from ..faces.unite import same_face
from ..metrics.change import change
from ..metrics.landmarks import expression_distance, pose_distance
from ..metrics.seam import seam
from ..metrics.ssim import ssim
from ..types import Face

Detect = Callable[[Tensor], list[Face]]
SIDE = 256
"""Pixels of the crop whose mask tells a face from what is around it."""
SHAPE = 0.02
"""Relative difference of aspect up to which a result is taken for its original at another size."""


@dataclass(frozen=True)
class Pair:
    """name: how people call the picture. original, result: (3, H, W) in [0, 1], of one shape but for scale; the result
    is None where there is none."""

    name: str
    original: Tensor
    result: Tensor | None


class Seat(NamedTuple):
    """One face of an original. likeness: to what is there now, one a judge, NaN where it cannot be told. known: whether
    that judge takes it for the same person. pose (degrees) and expression (eye distances) from five points, None where
    no face is found there any more. before, after: crops for a picture, originals among them: keep them private.
    """

    image: str
    number: int
    face: Face
    likeness: tuple[float, ...]
    known: tuple[bool, ...]
    pose: float | None
    expression: float | None
    before: Tensor
    after: Tensor


class Surround(NamedTuple):
    """What happened around the faces of a picture: SSIM and mean |change| outside them, jump across their edge (1 is
    none); None where nothing is outside."""

    image: str
    ssim: float | None
    change: float | None
    seam: float | None


class Looked(NamedTuple):
    """seats: every face of every original. embedded: by judge, (sources, results) in the seats' order; it recognises
    people and leaves no report. missing: originals without a result of
    their shape. unseen: originals in which no face was found."""

    seats: list[Seat]
    embedded: list[tuple[list[Tensor], list[Tensor]]]
    surrounds: list[Surround]
    missing: list[str]
    unseen: list[str]


def look(pairs: Iterable[Pair], judges: Sequence[Judge], detect: Detect | None = None) -> Looked:
    """Every face of the originals as every judge sees it, before and after.

    detect: None where pictures are aligned crops with one face each. A judge is shown the face's place in the result,
    and every face that is found in the result as well: the highest likeness counts.
    """
    out = Looked([], [([], []) for _ in judges], [], [], [])
    for pair in pairs:
        result = None if pair.result is None else fitted(pair.result, pair.original)
        if result is None:
            out.missing.append(pair.name)
            continue
        faces = [face_in_aligned(pair.original)] if detect is None else detect(pair.original)
        if not faces:
            out.unseen.append(pair.name)
            continue
        there = [] if detect is None else detect(result)
        for number, face in enumerate(faces, 1):
            seat = _seat(pair, result, number, face, there, detect is None)
            likeness: list[float] = []
            for judge, (sources, results) in zip(judges, out.embedded, strict=True):
                source = judge.embed(pair.original, face)
                candidates = [judge.embed(result, one) for one in [face, *there]]
                best = max(candidates, key=lambda one: _finite(judge.similarity(source, one)))
                sources.append(source)
                results.append(best)
                likeness.append(judge.similarity(source, best))
            known = tuple(
                judge.same_person(sources[-1], results[-1])
                for judge, (sources, results) in zip(judges, out.embedded, strict=True)
            )
            out.seats.append(seat._replace(likeness=tuple(likeness), known=known))
        out.surrounds.append(around(pair.name, pair.original, result, faces))
    return out


def fitted(result: Tensor, original: Tensor) -> Tensor | None:
    """The result at the original's size; None where it is of another shape, and so no result of this picture."""
    if result.shape == original.shape:
        return result
    (h, w), (height, width) = result.shape[-2:], original.shape[-2:]
    if abs(w * height / (h * width) - 1) > SHAPE:
        return None
    sized = interpolate(result[None], (height, width), mode="bicubic", antialias=True, align_corners=False)
    return sized[0].clamp(0, 1)


def around(name: str, original: Tensor, result: Tensor, faces: Sequence[Face]) -> Surround:
    """How the picture fared outside its faces."""
    masks = [footprint(original, cut(original, face, SIDE)) for face in faces]
    covered = torch.stack(masks).amax(0)
    outside = (covered == 0).to(original)[None]
    return Surround(
        name,
        _number(float(ssim(original[None], result[None], outside))) if min(original.shape[-2:]) > 10 else None,
        _number(float(change(result[None], original[None], outside))),
        seam(result, original, covered) if 0 < float((covered > 0).double().mean()) < 1 else None,
    )


def _seat(pair: Pair, result: Tensor, number: int, face: Face, there: Sequence[Face], aligned: bool) -> Seat:
    now = next((one for one in there if same_face(one, face)), None)
    pose = expression = None
    if now is not None and not aligned:
        before, after = face.points[None], now.points[None]
        pose, expression = float(pose_distance(before, after)), float(expression_distance(before, after))
    crops = (cut(image, face, SIDE).pixels for image in (pair.original, result))
    return Seat(pair.name, number, face, (), (), pose, expression, *crops)


def _finite(likeness: float) -> float:
    """NaN counts as the highest likeness."""
    return likeness if likeness == likeness else float("inf")


def _number(value: float) -> float | None:
    return value if value == value else None

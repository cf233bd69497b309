"""A whole photo: everyone in it is found, made into somebody else, put back, and looked at again. Fails closed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .anonymize import likeness
from .faces.geometry import Crop, cut
from .faces.judges import Judge
from .faces.masks import Part, face_mask, parts_mask
from .faces.paste import footprint, paste
from .faces.select import Keep
from .faces.unite import same_face
from .strength import Aim, Look, StillRecognisedError, found, refused, seen_by
from .types import Face, Identity, NoFaceError

Again = Callable[[float], Tensor]
"""guidance -> the crop (1, 3, S, S) of somebody else; the inversion behind it is made once."""


def nobody_stays(photo: Tensor, faces: list[Face]) -> list[Face]:
    """The usual wish: everyone becomes somebody else."""
    del photo, faces
    return []


@dataclass(frozen=True)
class Tools:
    """What the path needs. ``begin(crop (1, 3, S, S), identity, index)`` takes a face apart; index tells its noise from
    the other faces'. size: the model's side in pixels. judges: recognisers that take no part otherwise."""

    detect: Callable[[Tensor], list[Face]]
    embed: Callable[[Tensor, Face], Identity]
    begin: Callable[[Tensor, Identity, int], Again]
    size: int
    judges: Sequence[Judge] = ()


@dataclass(frozen=True)
class Wishes:
    """What the user wants of a photo.

    guidance: below 0. aim: look for the weakest guidance that does, from that one on; needs judges. keep: these faces
    stay as they are (by default nobody's). keep_parts: parts of a face that do. match: fit colours to the surround.
    """

    guidance: float
    keep: Keep = nobody_stays
    keep_parts: tuple[Part, ...] = ()
    match: bool = False
    aim: Aim | None = None


class Done(NamedTuple):
    """image: (3, H, W). mask: (1, H, W), where it may have changed. faces: a plain record each, without embeddings.
    kept: box and score of those who stay."""

    image: Tensor
    mask: Tensor
    faces: list[dict[str, Any]]
    kept: list[dict[str, Any]]


def anonymize_photo(photo: Tensor, tools: Tools, wishes: Wishes) -> Done:
    """Everyone in a photo (3, H, W) in [0, 1] but those to keep.

    Raises NoFaceError where nobody is found and StillRecognisedError where a judge still knows someone or a face is
    left over after two rounds: a photo with a face that was missed is never handed back.
    """
    if wishes.guidance >= 0:
        raise ValueError(f"guidance must be below 0 to lead away from the person, got {wishes.guidance:g}")
    if wishes.aim and not tools.judges:
        raise ValueError("a target needs a judge that says when a face is strange enough: give one")
    faces = tools.detect(photo)
    if not faces:
        raise NoFaceError("no face was found in the image: nothing is handed back")
    kept = wishes.keep(photo, faces)
    todo = [face for face in faces if not any(face is one for one in kept)]
    done = Done(photo, photo.new_zeros(1, *photo.shape[-2:]), [], [_told({"face": face}) for face in kept])
    for _ in range(2):
        for face in todo:
            done = _without(face, photo, done, tools, wishes)
        handled = [*kept, *(one["face"] for one in done.faces)]
        todo = [face for face in tools.detect(done.image) if not any(same_face(face, one) for one in handled)]
        if not todo:
            return done._replace(faces=[_told(one) for one in done.faces])
    raise StillRecognisedError(
        f"{len(todo)} faces still turn up after the second look: lower min_score or crop by hand"
    )


def anonymize_or(otherwise: str, photo: Tensor, tools: Tools, wishes: Wishes) -> Done:
    """The same; for a photo in which nobody is found, ``otherwise``: "raise", "blur" it whole, or let it "pass"."""
    try:
        return anonymize_photo(photo, tools, wishes)
    except NoFaceError:
        if otherwise == "raise":
            raise
        if otherwise == "pass":
            logging.warning("no face was found in an image: it passes as it is, as asked")
            return Done(photo, photo.new_zeros(1, *photo.shape[-2:]), [], [])
        return Done(blurred(photo), photo.new_ones(1, *photo.shape[-2:]), [], [])


def blurred(photo: Tensor, cells: int = 8) -> Tensor:
    """The photo (3, H, W) averaged over ``cells`` cells on its shorter side, smoothed: nothing to recognise."""
    height, width = photo.shape[-2:]
    scale = cells / min(height, width)
    small = interpolate(photo[None], (max(1, round(height * scale)), max(1, round(width * scale))), mode="area")
    return interpolate(small, (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _without(face: Face, photo: Tensor, done: Done, tools: Tools, wishes: Wishes) -> Done:
    """The picture without this face."""
    crop = cut(photo, face, tools.size)
    who = tools.embed(photo, face)
    again = tools.begin(crop.pixels[None], who, len(done.faces))
    where = _where(crop, wishes)
    source = [judge.embed(photo, face) for judge in tools.judges]

    def alike(image: Tensor) -> float | None:
        return likeness(who, image, lambda one: tools.embed(one, face))

    def make(guidance: float) -> Tensor:
        return paste(done.image, crop, again(guidance)[0], where, match=wishes.match)

    def look(image: Tensor) -> Look:
        """Pose stays, so the face's points serve both pictures."""
        now = [judge.embed(image, face) for judge in tools.judges]
        return seen_by(tools.judges, source, now, wishes.aim, alike(image))

    result = found(make, look, wishes.guidance, wishes.aim)
    if result.made is None:
        raise refused(len(done.faces) + 1, result.tries, wishes.aim)
    record = {
        "face": face,
        "guidance": result.guidance,
        "similarity_after": alike(result.made) or 0.0,
        "verdict": verdict(tools.judges),
    }
    mask = torch.maximum(done.mask, footprint(result.made, crop, where))
    return done._replace(image=result.made, mask=mask, faces=[*done.faces, record])


def _where(crop: Crop, wishes: Wishes) -> Tensor:
    mask = face_mask(crop)
    return mask * (1 - parts_mask(crop, wishes.keep_parts)) if wishes.keep_parts else mask


def verdict(judges: Sequence[Judge]) -> str:
    """What may be said of a face that none of the judges recognises: those of rendered faces vouch for nobody."""
    count = sum(not judge.rule.rendered for judge in judges)
    if count:
        return f"not re-identified by {count} of {count} judges"
    return "unverified: the judge knows rendered faces only" if judges else "unverified"


def summary(done: Done) -> str:
    """One sentence for people: how many became somebody else, and who has looked at them since."""
    if not done.faces and not done.kept:
        blurred_whole = bool(done.mask.any())
        return f"no face was found: the picture is {'blurred whole' if blurred_whole else 'as it was'}"
    left = f", {len(done.kept)} left alone as asked" if done.kept else ""
    said = "; ".join(sorted({str(one["verdict"]) for one in done.faces}))
    return f"{_faces(len(done.faces))} somebody else now{left}{': ' if said else ''}{said}"


def _faces(count: int) -> str:
    return f"{count} face is" if count == 1 else f"{count} faces are"


def _told(record: dict[str, Any]) -> dict[str, Any]:
    face: Face = record["face"]
    return {"box": list(face.box), "score": face.score, **{k: v for k, v in record.items() if k != "face"}}

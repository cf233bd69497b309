"""A whole photo: everyone in it is found, made into somebody else, put back, and looked at again. Fails closed."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.face import Face
from ..faces.geometry import crop_face, shares
from ..faces.judges import Judge
from ..faces.masks import change_mask
from ..faces.merge import same_face, touching
from ..faces.paste import footprint, paste, within
from ..faces.select import read_or_none
from ..method.anonymize import source_similarity
from ..method.identity import cosine
from ..method.pixels import as_image
from ..method.types import Identity, NoFaceError
from .photo_records import FaceSampler, PhotoOptions, PhotoPorts, PhotoResult, nobody_stays
from .pseudonyms import Pseudonyms, StandIn
from .strength import STRONGER, Judgement, StillRecognisedError, Target, judge_result, refusal, search_guidance
from .verdict import independent, verdict

__all__ = [
    "FaceSampler",
    "PhotoOptions",
    "PhotoPorts",
    "PhotoResult",
    "anonymize_or",
    "anonymize_photo",
    "blurred",
    "nobody_stays",
    "summary",
]
RECAST = 4
"""Stand-ins that are tried for a face."""
ROUNDS = 2
"""Whoever the look at the finished picture still finds is done again in the second, and is an error after it."""


class _FaceState(NamedTuple):
    """Somebody who was there: who that was to the recogniser that steers the run and to each judge, the guidance of the
    face that is there now, and its likeness; who comes instead, who else is in the picture, and where it changed."""

    face: Face
    who: Identity
    source: Sequence[Tensor]
    guidance: float
    after: float | None = None
    stand_in: StandIn | None = None
    others: tuple[Identity, ...] = ()
    reached: Tensor | None = None


class _PhotoState(NamedTuple):
    """The picture so far, its mask, who was in it, and how many faces were taken apart for it."""

    image: Tensor
    mask: Tensor
    seats: tuple[_FaceState, ...] = ()
    begun: int = 0


def anonymize_photo(photo: Tensor, tools: PhotoPorts, wishes: PhotoOptions) -> PhotoResult:
    """Everyone in a photo (3, H, W) in [0, 1] but those to keep.

    Raises NoFaceError where nobody is found, ValueError for a face that the recogniser cannot read or the wishes leave
    as it is, and StillRecognisedError where a judge still knows someone in the finished picture or a face is left over
    after two rounds: a photo with a face that was missed is never handed back.
    """
    if wishes.guidance >= 0:
        raise ValueError(f"guidance must be below 0 to lead away from the person, got {wishes.guidance:g}")
    if wishes.aim and not tools.judges:
        raise ValueError("a target needs a judge that says when a face is strange enough: give one")
    photo = as_image(photo, "photo")
    faces = tools.detect(photo)
    if not faces:
        raise NoFaceError("no face was found in the image: nothing is handed back")
    try:
        return _everyone(photo, faces, tools, wishes)
    except NoFaceError as error:  # somebody is there: the photo must not pass for one without a face
        raise ValueError(f"a face was found, but {error}") from error


def _everyone(photo: Tensor, faces: list[Face], tools: PhotoPorts, wishes: PhotoOptions) -> PhotoResult:
    kept = wishes.keep(photo, faces)
    missed = [face for face in faces if not any(face is one for one in kept)]
    known: list[tuple[_FaceState, tuple[str, ...]]] = []
    work = _PhotoState(photo, photo.new_zeros(1, *photo.shape[-2:]))
    for _ in range(ROUNDS):
        for seat, _ in known:
            rest = tuple(one for one in work.seats if one is not seat)
            stronger = replace(wishes, guidance=seat.guidance * STRONGER, aim=None)
            work = _without(seat, work._replace(seats=rest), tools, stronger)
        for seat in _cast([_seated(photo, face, tools, wishes) for face in missed], photo, kept, work, tools, wishes):
            work = _without(seat, work, tools, wishes)
        there = tools.detect(work.image)
        handled = [*kept, *(seat.face for seat in work.seats)]
        missed = [face for face in there if not any(same_face(face, one) for one in handled)]
        seen = [(seat, _known(work.image, seat, there, tools)) for seat in work.seats]
        known = [(seat, names) for seat, names in seen if names]
        if not missed and not known:
            stay = [{"box": list(face.box), "score": face.score} for face in kept]
            told = [_told(seat, tools.judges, wishes.instead) for seat in work.seats]
            reached = [seat.reached for seat in work.seats if seat.reached is not None]
            return PhotoResult(work.image, work.mask, told, stay, reached)
    raise StillRecognisedError(_left(missed, [(seat.face, names) for seat, names in known]))


def anonymize_or(otherwise: str, photo: Tensor, tools: PhotoPorts, wishes: PhotoOptions) -> PhotoResult:
    """The same; for a photo in which nobody is found, ``otherwise``: "raise", "blur" it whole, or let it "pass"."""
    photo = as_image(photo, "photo")
    try:
        return anonymize_photo(photo, tools, wishes)
    except NoFaceError:
        if otherwise == "raise":
            raise
        if otherwise == "pass":
            logging.warning("no face was found in an image: it passes as it is, as asked")
            return PhotoResult(photo, photo.new_zeros(1, *photo.shape[-2:]), [], [])
        return PhotoResult(blurred(photo), photo.new_ones(1, *photo.shape[-2:]), [], [])


def blurred(photo: Tensor, cells: int = 8) -> Tensor:
    """The photo (3, H, W) averaged over ``cells`` cells on its shorter side, smoothed: nothing to recognise."""
    height, width = photo.shape[-2:]
    scale = cells / min(height, width)
    small = interpolate(photo[None], (max(1, round(height * scale)), max(1, round(width * scale))), mode="area")
    return interpolate(small, (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _seated(photo: Tensor, face: Face, tools: PhotoPorts, wishes: PhotoOptions) -> _FaceState:
    """Who is there, before anything changes."""
    try:
        who = tools.embed(photo, face)
    except NoFaceError as error:
        raise ValueError(
            f"a face was found at {_at(face)}, but the recogniser cannot tell whose: raise min_score if it is none, "
            "else give a clearer photo"
        ) from error
    return _FaceState(face, who, [judge.embed(photo, face) for judge in tools.judges], wishes.guidance)


def _cast(
    seats: list[_FaceState],
    photo: Tensor,
    kept: Sequence[Face],
    work: _PhotoState,
    tools: PhotoPorts,
    wishes: PhotoOptions,
) -> list[_FaceState]:
    """Who comes instead of each of them: nobody whom the picture shows, and no two the same."""
    if wishes.instead is None or not seats:
        return seats
    stay = tuple(who for face in kept if (who := read_or_none(photo, face, tools.embed)) is not None)
    there = tuple(seat.who for seat in work.seats)
    taken = [seat.stand_in for seat in work.seats if seat.stand_in]
    sources = [seat.who for seat in seats]
    chosen = wishes.instead.cast(sources, wishes.place, (*stay, *there), taken)
    rest = [(*stay, *there, *sources[:i], *sources[i + 1 :]) for i in range(len(seats))]
    return [seat._replace(stand_in=one, others=o) for seat, one, o in zip(seats, chosen, rest, strict=True)]


def _without(seat: _FaceState, work: _PhotoState, tools: PhotoPorts, wishes: PhotoOptions) -> _PhotoState:
    """The picture without this face. The crop is cut from the picture so far: where two faces overlap, nothing of the
    first one's original comes back with the second. A stand-in that makes the face like somebody else in the picture is
    refused, and the next is tried."""
    crop = crop_face(work.image, seat.face, tools.size)
    where = change_mask(crop, wishes.keep_parts, wishes.where)
    who = replace(seat.who, points=shares([crop]))
    again = tools.invert_face(crop.pixels[None], who, work.begun)

    def make(guidance: float, instead: Identity | None) -> Tensor:
        sampled = again(guidance) if instead is None else again(guidance, instead)
        made = paste(work.image, crop, sampled[0], where, match=wishes.match)
        return within(made, work.image, wishes.where)

    def look(image: Tensor) -> Judgement:
        """Pose stays, so the face's points serve both pictures."""
        return _look(image, seat, seat.face, tools, wishes.aim)

    for _ in range(RECAST):
        instead = wishes.instead.told(seat.stand_in, seat.who) if wishes.instead and seat.stand_in else None
        result = search_guidance(partial(make, instead=instead), look, wishes.guidance, wishes.aim)
        if result.made is None:
            raise refusal(len(work.seats) + 1, result.tries, wishes.aim)
        if (
            not wishes.instead
            or not seat.stand_in
            or not _like_another(result.made, seat, tools, wishes.instead.same_to(seat.who))
        ):
            break
        taken = [one.stand_in.identity for one in work.seats if one.stand_in]
        seat = seat._replace(stand_in=wishes.instead.next(seat.stand_in, [seat.who, *seat.others, *taken]))
    else:
        raise ValueError(
            f"the face at {_at(seat.face)} came out like somebody else in the picture under {RECAST} stand-ins in a "
            "row: use stronger guidance, or another key or seed"
        )
    reached = within(footprint(work.image, crop, where), torch.zeros_like(work.mask), wishes.where)
    if seat.reached is not None:
        reached = torch.maximum(reached, seat.reached)
    now = seat._replace(guidance=result.guidance, after=_alike(result.made, seat, seat.face, tools), reached=reached)
    return _PhotoState(result.made, torch.maximum(work.mask, reached), (*work.seats, now), work.begun + 1)


def _like_another(image: Tensor, seat: _FaceState, tools: PhotoPorts, same: float) -> bool:
    """Whether the face is now taken for somebody else in the picture whom it was not like before."""
    now = read_or_none(image, seat.face, tools.embed)
    return now is not None and any(
        float(cosine(now, one)) >= max(same, float(cosine(seat.who, one))) for one in seat.others
    )


def _alike(image: Tensor, seat: _FaceState, place: Face, tools: PhotoPorts) -> float | None:
    return source_similarity(seat.who, image, lambda one: tools.embed(one, place))


def _look(image: Tensor, seat: _FaceState, place: Face, tools: PhotoPorts, aim: Target | None = None) -> Judgement:
    now = [judge.embed(image, place) for judge in tools.judges]
    return judge_result(tools.judges, seat.source, now, aim, _alike(image, seat, place, tools))


def _known(image: Tensor, seat: _FaceState, there: Sequence[Face], tools: PhotoPorts) -> tuple[str, ...]:
    """Who still takes somebody in the finished picture for that one: at the old place, or at a face found around it."""
    places = [seat.face, *(face for face in there if touching(face, seat.face))]
    names = (name for place in places for name in _look(image, seat, place, tools).by)
    return tuple(dict.fromkeys(names))


def _told(seat: _FaceState, judges: Sequence[Judge], instead: Pseudonyms | None) -> dict[str, Any]:
    return {
        **(instead.record(seat.stand_in) if instead else {}),
        "box": list(seat.face.box),
        "score": seat.face.score,
        "guidance": seat.guidance,
        "similarity_after": seat.after,
        "verdict": verdict(judges, independent(judges, seat.source, seat.who)),
    }


def _left(missed: Sequence[Face], known: Sequence[tuple[Face, tuple[str, ...]]]) -> str:
    """Why the finished picture is not handed back."""
    said = [
        f"the face at {_at(face)} is still recognised by {', '.join(by)}: use stronger guidance" for face, by in known
    ]
    if missed:
        places = ", ".join(map(_at, missed))
        said.append(f"{len(missed)} faces still turn up after the second look, at {places}: crop these by hand")
    return "; ".join(said)


def _at(face: Face) -> str:
    x0, y0, x1, y1 = face.box
    return f"({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})"


def summary(done: PhotoResult) -> str:
    """One sentence for people: how many became somebody else, and who has looked at them since."""
    if not done.faces and not done.kept:
        blurred_whole = bool(done.mask.any())
        return f"no face was found: the picture is {'blurred whole' if blurred_whole else 'as it was'}"
    left = f", {len(done.kept)} left alone as asked" if done.kept else ""
    said = "; ".join(sorted({str(one["verdict"]) for one in done.faces}))
    return f"{_faces(len(done.faces))} somebody else now{left}{': ' if said else ''}{said}"


def _faces(count: int) -> str:
    return f"{count} face is" if count == 1 else f"{count} faces are"

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
from .verdict import independent, verdict, who_checked

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
    identity: Identity
    source: Sequence[Tensor]
    guidance: float
    after: float | None = None
    stand_in: StandIn | None = None
    others: tuple[Identity, ...] = ()
    reached: Tensor | None = None


class _PhotoState(NamedTuple):
    """The picture so far, its mask, who was in it, and how many faces were inverted for it."""

    image: Tensor
    mask: Tensor
    people: tuple[_FaceState, ...] = ()
    inverted: int = 0


def anonymize_photo(photo: Tensor, ports: PhotoPorts, options: PhotoOptions) -> PhotoResult:
    """Everyone in a photo (3, H, W) in [0, 1] but those to keep.

    Raises NoFaceError where nobody is found, ValueError for a face that the recogniser cannot read or the options leave
    as it is, and StillRecognisedError where a judge still knows someone in the finished picture or a face is left over
    after two rounds: a photo with a face that was missed is never handed back.
    """
    if options.guidance >= 0:
        raise ValueError(f"guidance must be below 0 to lead away from the person, got {options.guidance:g}")
    if options.aim and not ports.judges:
        raise ValueError("a target needs a judge that says when a face is strange enough: give one")
    photo = as_image(photo, "photo")
    faces = ports.detect(photo)
    if not faces:
        raise NoFaceError("no face was found in the image: nothing is handed back")
    try:
        return _anonymize_everyone(photo, faces, ports, options)
    except NoFaceError as error:  # somebody is there: the photo must not pass for one without a face
        raise ValueError(f"a face was found, but {error}") from error


def _anonymize_everyone(photo: Tensor, faces: list[Face], ports: PhotoPorts, options: PhotoOptions) -> PhotoResult:
    kept_faces = options.keep(photo, faces)
    missed = [face for face in faces if not any(face is kept_face for kept_face in kept_faces)]
    recognised: list[tuple[_FaceState, tuple[str, ...]]] = []
    state = _PhotoState(photo, photo.new_zeros(1, *photo.shape[-2:]))
    for _ in range(ROUNDS):
        for person, _ in recognised:
            rest = tuple(other for other in state.people if other is not person)
            stronger = replace(options, guidance=person.guidance * STRONGER, aim=None)
            state = _anonymize_face(person, state._replace(people=rest), ports, stronger)
        for person in _cast_stand_ins(
            [_face_state(photo, face, ports, options) for face in missed], photo, kept_faces, state, ports, options
        ):
            state = _anonymize_face(person, state, ports, options)
        found_faces = ports.detect(state.image)
        handled = [*kept_faces, *(person.face for person in state.people)]
        missed = [face for face in found_faces if not any(same_face(face, handled_face) for handled_face in handled)]
        looks = [(person, _recognised_by(state.image, person, found_faces, ports)) for person in state.people]
        recognised = [(person, names) for person, names in looks if names]
        if not missed and not recognised:
            stay = [{"box": list(face.box), "score": face.score} for face in kept_faces]
            records = [_record(person, ports.judges, options.instead) for person in state.people]
            reached = [person.reached for person in state.people if person.reached is not None]
            return PhotoResult(state.image, state.mask, records, stay, reached)
    raise StillRecognisedError(_leftovers(missed, [(person.face, names) for person, names in recognised]))


def anonymize_or(no_face: str, photo: Tensor, ports: PhotoPorts, options: PhotoOptions) -> PhotoResult:
    """As ``anonymize_photo``; where nobody is found, ``no_face`` decides: "raise", "blur" all of it, or "pass"."""
    photo = as_image(photo, "photo")
    try:
        return anonymize_photo(photo, ports, options)
    except NoFaceError:
        if no_face == "raise":
            raise
        if no_face == "pass":
            logging.warning("no face was found in an image: it passes as it is, as asked")
            return PhotoResult(photo, photo.new_zeros(1, *photo.shape[-2:]), [], [])
        return PhotoResult(blurred(photo), photo.new_ones(1, *photo.shape[-2:]), [], [])


def blurred(photo: Tensor, cells: int = 8) -> Tensor:
    """The photo (3, H, W) averaged over ``cells`` cells on its shorter side, smoothed: nothing to recognise."""
    height, width = photo.shape[-2:]
    scale = cells / min(height, width)
    small = interpolate(photo[None], (max(1, round(height * scale)), max(1, round(width * scale))), mode="area")
    return interpolate(small, (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _face_state(photo: Tensor, face: Face, ports: PhotoPorts, options: PhotoOptions) -> _FaceState:
    """Who is there, before anything changes."""
    try:
        identity = ports.embed(photo, face)
    except NoFaceError as error:
        raise ValueError(
            f"a face was found at {_place(face)}, but the recogniser cannot tell whose: raise min_score if it is none, "
            "else give a clearer photo"
        ) from error
    return _FaceState(face, identity, [judge.embed(photo, face) for judge in ports.judges], options.guidance)


def _cast_stand_ins(
    people: list[_FaceState],
    photo: Tensor,
    kept_faces: Sequence[Face],
    state: _PhotoState,
    ports: PhotoPorts,
    options: PhotoOptions,
) -> list[_FaceState]:
    """Who comes instead of each of them: nobody whom the picture shows, and no two the same."""
    if options.instead is None or not people:
        return people
    stay = tuple(identity for face in kept_faces if (identity := read_or_none(photo, face, ports.embed)) is not None)
    already = tuple(person.identity for person in state.people)
    stand_ins = [person.stand_in for person in state.people if person.stand_in]
    sources = [person.identity for person in people]
    assigned = options.instead.cast(sources, options.place, (*stay, *already), stand_ins)
    rest = [(*stay, *already, *sources[:i], *sources[i + 1 :]) for i in range(len(people))]
    return [
        person._replace(stand_in=stand_in, others=o) for person, stand_in, o in zip(people, assigned, rest, strict=True)
    ]


def _anonymize_face(person: _FaceState, state: _PhotoState, ports: PhotoPorts, options: PhotoOptions) -> _PhotoState:
    """The picture without this face. The crop is cut from the picture so far: where two faces overlap, nothing of the
    first one's original comes back with the second. A stand-in that makes the face like somebody else in the picture is
    refused, and the next is tried."""
    crop = crop_face(state.image, person.face, ports.size, options.crop_factor)
    mask = change_mask(crop, options.keep_parts, options.where, options.feather)
    identity = replace(person.identity, points=shares([crop]))
    sampler = ports.invert_face(crop.pixels[None], identity, state.inverted)

    def make(guidance: float, instead: Identity | None) -> Tensor:
        sampled = sampler(guidance) if instead is None else sampler(guidance, instead)
        anonymized = paste(state.image, crop, sampled[0], mask, match=options.match, keep=options.keep_parts)
        return within(anonymized, state.image, options.where)

    def judge_image(image: Tensor) -> Judgement:
        """Pose stays, so the face's points serve both pictures."""
        return _judge(image, person, person.face, ports, options.aim)

    for _ in range(RECAST):
        instead = (
            options.instead.as_condition(person.stand_in, person.identity)
            if options.instead and person.stand_in
            else None
        )
        result = search_guidance(partial(make, instead=instead), judge_image, options.guidance, options.aim)
        if result.result is None:
            raise refusal(len(state.people) + 1, result.tries, options.aim)
        if (
            not options.instead
            or not person.stand_in
            or not _like_another(result.result, person, ports, options.instead.same_to(person.identity))
        ):
            break
        others = [other.stand_in.identity for other in state.people if other.stand_in]
        person = person._replace(
            stand_in=options.instead.next(person.stand_in, [person.identity, *person.others, *others])
        )
    else:
        raise ValueError(
            f"the face at {_place(person.face)} came out like somebody else in the picture under {RECAST} stand-ins in "
            "a row: use stronger guidance, or another key or seed"
        )
    reached = within(footprint(state.image, crop, mask), torch.zeros_like(state.mask), options.where)
    if person.reached is not None:
        reached = torch.maximum(reached, person.reached)
    finished = person._replace(
        guidance=result.guidance, after=_source_similarity(result.result, person, person.face, ports), reached=reached
    )
    return _PhotoState(result.result, torch.maximum(state.mask, reached), (*state.people, finished), state.inverted + 1)


def _like_another(image: Tensor, person: _FaceState, ports: PhotoPorts, same: float) -> bool:
    """Whether the face is now taken for somebody else in the picture whom it was not like before."""
    identity = read_or_none(image, person.face, ports.embed)
    return identity is not None and any(
        float(cosine(identity, other)) >= max(same, float(cosine(person.identity, other))) for other in person.others
    )


def _source_similarity(image: Tensor, person: _FaceState, place: Face, ports: PhotoPorts) -> float | None:
    return source_similarity(person.identity, image, lambda crop: ports.embed(crop, place))


def _judge(image: Tensor, person: _FaceState, place: Face, ports: PhotoPorts, aim: Target | None = None) -> Judgement:
    embeddings = [judge.embed(image, place) for judge in ports.judges]
    return judge_result(ports.judges, person.source, embeddings, aim, _source_similarity(image, person, place, ports))


def _recognised_by(
    image: Tensor, person: _FaceState, found_faces: Sequence[Face], ports: PhotoPorts
) -> tuple[str, ...]:
    """Who still takes somebody in the finished picture for that one: at the old place, or at a face found around it."""
    places = [person.face, *(face for face in found_faces if touching(face, person.face))]
    names = (name for place in places for name in _judge(image, person, place, ports).by)
    return tuple(dict.fromkeys(names))


def _record(person: _FaceState, judges: Sequence[Judge], instead: Pseudonyms | None) -> dict[str, Any]:
    return {
        **(instead.record(person.stand_in) if instead else {}),
        "box": list(person.face.box),
        "score": person.face.score,
        "guidance": person.guidance,
        "similarity_after": person.after,
        "verdict": verdict(judges, independent(judges, person.source, person.identity)),
    }


def _leftovers(missed: Sequence[Face], recognised: Sequence[tuple[Face, tuple[str, ...]]]) -> str:
    """Why the finished picture is not handed back."""
    sentences = [
        f"the face at {_place(face)} is still recognised by {', '.join(by)}: use stronger guidance"
        for face, by in recognised
    ]
    if missed:
        places = ", ".join(map(_place, missed))
        sentences.append(f"{len(missed)} faces still turn up after the second look, at {places}: crop these by hand")
    return "; ".join(sentences)


def _place(face: Face) -> str:
    x0, y0, x1, y1 = face.box
    return f"({(x0 + x1) / 2:.0f}, {(y0 + y1) / 2:.0f})"


def summary(result: PhotoResult) -> str:
    """One sentence for people: how many became somebody else, and who has looked at them since."""
    if not result.faces and not result.kept:
        blurred_whole = bool(result.mask.any())
        return f"no face was found: the picture is {'blurred whole' if blurred_whole else 'as it was'}"
    kept_note = f", {len(result.kept)} left alone as asked" if result.kept else ""
    count = len(result.faces)
    checked = f"; {who_checked(str(face['verdict']) for face in result.faces)}" if count else ""
    return f"{count} {'face' if count == 1 else 'faces'} changed{kept_note}{checked}"

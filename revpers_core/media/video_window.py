"""Some neighbouring frames of a clip, worked on together: each person in them becomes the same stranger."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ..faces.face import Face
from ..faces.geometry import Crop, crop_face
from ..faces.masks import change_mask
from ..faces.merge import same_face
from ..faces.paste import footprint, paste, within
from ..method.anonymize import source_similarity
from ..method.identity import cosine
from ..method.types import Identity, NoFaceError
from .between import filled_in, sampled_rows
from .photo import FaceSampler, PhotoPorts, blurred
from .strength import STRONGER, Judgement, Outcome, Target, judge_result, refusal, search_guidance
from .tracking import ALIKE
from .tracks import UNSURE_WIDER, Certainty, ClipTracks, Place, wider
from .video_ports import Frame, FrameResult, VideoOptions, VideoPorts


class _State:
    """A frame while it is worked on."""

    def __init__(self, frame: Frame, number: int):
        self.number, self.original, self.image = number, frame.image, frame.image
        self.mask = frame.image.new_zeros(1, *frame.image.shape[-2:])
        self.handled: list[Face] = []
        self.changed: list[int] = []
        self.blurred: list[int] = []
        self.stronger = 0

    def result(self) -> FrameResult:
        return FrameResult(self.image, self.mask, tuple(self.changed), tuple(self.blurred), self.stronger)


class _Cut(NamedTuple):
    """A face cut from a frame; where: its mask."""

    state: _State
    track: int
    face: Face
    crop: Crop
    where: Tensor


@dataclass(frozen=True)
class Window:
    """What is the same for all frames. strengths: the guidance of those people who have one of their own."""

    tracks: ClipTracks
    ports: VideoPorts
    options: VideoOptions
    strengths: dict[int, float] = field(default_factory=dict[int, float])

    def anonymize(self, frames: Sequence[Frame], first: int) -> list[FrameResult]:
        """Some neighbouring frames. What nobody is sure of is covered first; then one person after the other, each cut
        from the pictures so far: where two overlap, nothing of the first one's original comes back with the second."""
        states = [_State(frame, first + k) for k, frame in enumerate(frames)]
        places = [(state, place) for state in states for place in self.tracks.places(state.number)]
        for state, place in places:
            state.handled.append(place.face)
            if place.certainty is Certainty.UNSURE and place.person not in self.tracks.kept:
                self._cover(state, place.face, place.person)
        changing = [
            (state, place)
            for state, place in places
            if place.certainty is not Certainty.UNSURE and not self.tracks.is_kept(place)
        ]
        for person in sorted({place.person for _, place in changing}):
            self._replace_person(person, [(state, place) for state, place in changing if place.person == person])
        for state in states:
            self._look_again(state)
        return [state.result() for state in states]

    def _replace_person(self, person: int, places: Sequence[tuple[_State, Place]]) -> None:
        """Somebody else in place of a person, in every frame of the window at once."""
        identity = self.tracks.people[person].identity
        if identity is None:
            for state, place in places:
                self._cover(state, place.face, person)
            return
        cuts = [self._cut(state, place.track, place.face, person) for state, place in places]
        self._replace(person, identity, person, [cut for cut in cuts if cut is not None])

    def _replace(self, index: int, identity: Identity, person: int, cuts: Sequence[_Cut]) -> None:
        """index: tells the noise."""
        if not cuts:
            return
        rows = sampled_rows([(cut.track, cut.state.number) for cut in cuts], self.options.every)
        crops = torch.stack([cuts[row].crop.pixels for row in rows])
        sampler = filled_in(self.ports.photo.invert_face(crops, identity, index), rows)
        guidance = self.strengths.get(person, self.options.guidance)
        still_known = self._put_back(cuts, sampler, guidance, identity, person)
        if still_known:
            for cut in still_known:
                cut.state.stronger += 1
            for cut in self._put_back(
                still_known, _rows(sampler, cuts, still_known), guidance * STRONGER, identity, person
            ):
                self._cover(cut.state, cut.face, person)

    def _cut(self, state: _State, track: int, face: Face, person: int) -> _Cut | None:
        where = self.options.where(state.number)
        try:
            crop = crop_face(state.image, face, self.ports.photo.size, self.options.crop_factor)
        except ValueError:  # points in one place: no crop can be fitted
            self._cover(state, face, person)
            return None
        return _Cut(state, track, face, crop, change_mask(crop, self.options.keep_parts, where, self.options.feather))

    def _put_back(
        self, cuts: Sequence[_Cut], sampler: FaceSampler, guidance: float, identity: Identity, person: int
    ) -> list[_Cut]:
        """Paste the new faces; those that are still known are left out and handed back."""
        still_known: list[_Cut] = []
        for cut, pixels in zip(cuts, sampler(guidance), strict=True):
            state, where = cut.state, self.options.where(cut.state.number)
            pasted = paste(
                state.image, cut.crop, pixels, cut.where, match=self.options.match, keep=self.options.keep_parts
            )
            pasted = within(pasted, state.image, where)
            if self._judged(state.original, pasted, cut.face, identity).outcome is Outcome.KNOWN:
                still_known.append(cut)
                continue
            reached = within(footprint(state.image, cut.crop, cut.where), torch.zeros_like(state.mask), where)
            state.image, state.mask = pasted, torch.maximum(state.mask, reached)
            state.changed.append(person)
        return still_known

    def _judged(
        self, before: Tensor, after: Tensor, face: Face, identity: Identity, aim: Target | None = None
    ) -> Judgement:
        ports = self.ports.photo
        own = read_identity(before, face, ports) or identity
        steered = source_similarity(own, after, lambda image: ports.embed(image, face))
        source = [judge.embed(before, face) for judge in ports.judges]
        return judge_result(ports.judges, source, [judge.embed(after, face) for judge in ports.judges], aim, steered)

    def _look_again(self, state: _State) -> None:
        """Whoever is found in the finished frame and is nobody's known place becomes somebody else too; who is found
        even then is covered."""
        for last in (False, True):
            missed = [face for face in self.ports.photo.detect(state.image) if not _is_handled(face, state)]
            for face in missed:
                state.handled.append(face)
                unknown = None if last else read_identity(state.image, face, self.ports.photo)
                if unknown is None:
                    self._cover(state, face, -1)
                else:
                    number, identity = self._identity_like(unknown)
                    cut = self._cut(state, -1, face, -1)
                    self._replace(number, identity, -1, [] if cut is None else [cut])
            if not missed:
                return

    def _identity_like(self, identity: Identity) -> tuple[int, Identity]:
        """The noise and the identity of a face that no track has: those of whom it is like, else its own."""
        alike = [
            (float(cosine(identity, person.identity)), number)
            for number, person in enumerate(self.tracks.people)
            if person.identity is not None
        ]
        best = max(alike, default=(-1.0, 0))
        return (best[1], identity) if best[0] >= ALIKE else (len(self.tracks.people), identity)

    def _cover(self, state: _State, face: Face, person: int) -> None:
        """Blur a place so that nobody can be recognised there."""
        where = self.options.where(state.number)
        image, mask = covered(state.image, face)
        state.image = within(image, state.image, where)
        state.mask = torch.maximum(state.mask, within(mask, torch.zeros_like(mask), where))
        state.blurred.append(person)

    def search_strength(self, image: Tensor, place: Place) -> float:
        """The weakest guidance at which every judge takes somebody for a stranger in this frame."""
        identity, face = self.tracks.people[place.person].identity, place.face
        if identity is None:
            return self.options.guidance
        crop = crop_face(image, face, self.ports.photo.size, self.options.crop_factor)
        where = change_mask(crop, self.options.keep_parts, None, self.options.feather)
        sampler = self.ports.photo.invert_face(crop.pixels[None], identity, place.person)
        result = search_guidance(
            lambda guidance: paste(
                image, crop, sampler(guidance)[0], where, match=self.options.match, keep=self.options.keep_parts
            ),
            lambda image_out: self._judged(image, image_out, face, identity, self.options.aim),
            self.options.guidance,
            self.options.aim,
        )
        if result.result is None:
            raise refusal(place.person + 1, result.tries, self.options.aim)
        return result.guidance


def covered(image: Tensor, face: Face) -> tuple[Tensor, Tensor]:
    """The image (3, H, W) with a face's place blurred, and the mask (1, H, W) of it: the box and a half of it around,
    averaged over a few cells, with nothing left to recognise."""
    height, width = image.shape[-2:]
    x0, y0, x1, y1 = (round(v) for v in wider(face, UNSURE_WIDER).box)
    left, right = max(0, x0), min(width, max(x1, x0 + 1) + 1)
    top, bottom = max(0, y0), min(height, max(y1, y0 + 1) + 1)
    out, mask = image.clone(), image.new_zeros(1, height, width)
    if left < right and top < bottom:
        out[:, top:bottom, left:right] = blurred(image[:, top:bottom, left:right], 5)
        mask[:, top:bottom, left:right] = 1
    return out, mask


def read_identity(image: Tensor, face: Face, ports: PhotoPorts) -> Identity | None:
    try:
        return ports.embed(image, face)
    except (NoFaceError, ValueError):  # a face whose points fit no template is not readable either
        return None


def _is_handled(face: Face, state: _State) -> bool:
    return any(same_face(face, handled_face) for handled_face in state.handled)


def _rows(sampler: FaceSampler, cuts: Sequence[_Cut], some: Sequence[_Cut]) -> FaceSampler:
    """The sampler of some of the crops. All are sampled: they belong to one inversion."""
    numbers = [k for k, cut in enumerate(cuts) if any(cut is other for other in some)]
    return lambda guidance, instead=None: sampler(guidance, instead)[numbers]

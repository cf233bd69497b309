"""Tracks through a clip: gaps filled both ways, points smoothed, and the people whose tracks they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from ..faces.face import Face
from ..faces.merge import area, intersection, iou
from ..method.types import Identity
from .tracking import ALIKE, WIDTH, Path, Tracker

BRIDGE = 0.25
"""Seconds without a detection across which a face's place is known from before and after."""
LEAD = 0.2
"""Seconds before a track's first face and after its last in which somebody may be there unseen; 2 frames at least."""
TICK = 1e-6
"""Seconds that are no difference."""
WIDER, UNSURE_WIDER = 1.25, 1.5
"""How much larger the box of an interpolated place is, and that of one that is not sure."""
SMOOTH = 0.05
"""Standard deviation of the smoothing, in seconds."""
STRAY = 0.06
"""How far smoothing may move a point, in sides of the box: the mask must stay on the face."""
SLACK = 0.15
"""How much less alike to the photo of somebody to keep a single frame may be than the track as a whole."""
HIDDEN = 0.5
"""Part of an unseen place inside another face's box from which on that face hides it."""

Floats = NDArray[np.float32]


class Certainty(IntEnum):
    """How a place is known: a face was found there; between two that were; or somebody may be there."""

    SEEN = 0
    BRIDGED = 1
    UNSURE = 2


class Place(NamedTuple):
    """Where somebody is in a frame. person: their number in the clip. likeness: to the people to keep, NaN where there
    are none."""

    track: int
    person: int
    face: Face
    certainty: Certainty
    likeness: float


@dataclass(frozen=True)
class Track:
    """One face's way through neighbouring frames.

    start: the first frame. values: (n, 16) float32, box, points, score and likeness of every frame from there on.
    certainty: (n,). total: (512,) sum of the identities in its frames, None where none could be read. seen: frames in
    which it was found.
    """

    start: int
    values: Floats
    certainty: NDArray[np.int8]
    total: Tensor | None
    sightings: int

    @property
    def stop(self) -> int:
        """One after the last frame."""
        return self.start + len(self.values)

    @property
    def identity(self) -> Identity | None:
        """Who it is in the mean over its frames, of unit length."""
        return None if self.total is None else Identity(normalize(self.total, dim=0)[None])

    def face(self, frame: int) -> Face:
        row = self.values[frame - self.start]
        x0, y0, x1, y1 = row[:4].tolist()
        return Face((x0, y0, x1, y1), torch.from_numpy(row[4:14].reshape(5, 2).copy()), float(row[14]))


class Person(NamedTuple):
    """Somebody in a clip. tracks: their numbers. identity: the mean, None where it could not be read. sightings: how
    many frames show them."""

    tracks: tuple[int, ...]
    identity: Identity | None
    sightings: int


@dataclass(frozen=True)
class ClipTracks:
    """Everyone in a clip. frames: how many it has. kept: numbers of the people who stay as they are, and from which
    likeness on."""

    frames: int
    tracks: tuple[Track, ...]
    people: tuple[Person, ...]
    kept: frozenset[int] = frozenset()
    least: float = -1.0

    def places(self, frame: int) -> list[Place]:
        """Where everybody is, without those who are hidden behind somebody else."""
        places = [self._place(number, frame) for number in self._around(frame)]
        certain = [place for place in places if place.certainty is Certainty.SEEN]
        return [place for place in places if place.certainty is Certainty.SEEN or not _hidden(place, certain)]

    def is_kept(self, place: Place) -> bool:
        """Whether somebody stays as they are there: a person to keep, and in this frame too nobody else."""
        return place.person in self.kept and not place.likeness < self.least

    @property
    def face_frames(self) -> int:
        """Faces to be made, over all frames."""
        return sum(
            int((track.certainty != Certainty.UNSURE).sum())
            for number, track in enumerate(self.tracks)
            if self._owners[number] not in self.kept
        )

    def _around(self, frame: int) -> list[int]:
        starts, stops = self._spans
        return np.flatnonzero((starts <= frame) & (frame < stops)).tolist()

    @cached_property
    def _spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        starts, stops = [track.start for track in self.tracks], [track.stop for track in self.tracks]
        return np.asarray(starts, dtype=np.int64), np.asarray(stops, dtype=np.int64)

    @cached_property
    def _owners(self) -> dict[int, int]:
        return {track: number for number, person in enumerate(self.people) for track in person.tracks}

    def _place(self, number: int, frame: int) -> Place:
        track = self.tracks[number]
        k = frame - track.start
        certainty = Certainty(int(track.certainty[k]))
        face = track.face(frame)
        if certainty is not Certainty.SEEN:
            face = wider(face, WIDER if certainty is Certainty.BRIDGED else UNSURE_WIDER)
        return Place(number, self._owners[number], face, certainty, float(track.values[k, 15]))


def clip_tracks(tracker: Tracker, references: Sequence[Identity] = (), likeness: float = 0.4) -> ClipTracks:
    """What a tracker knows once it has been told every frame. references: people to keep, from a cosine similarity
    of ``likeness`` on."""
    times = np.asarray(tracker.times)
    tracks = tuple(filled(path, times, tracker.cuts) for path in tracker.paths)
    people = people_of(tracks)
    kept_people = frozenset(
        number for reference in references for number in _alike_people(people, tracks, reference, likeness)
    )
    return ClipTracks(len(times), tracks, people, kept_people, likeness - SLACK)


def filled(path: Path, times: NDArray[np.float64], cuts: Sequence[int]) -> Track:
    """The track of a path: a place for every frame from a little before the first face to a little after the last."""
    frames = np.asarray(path.frames)
    rows = np.asarray(path.values, dtype=np.float32).reshape(-1, WIDTH)
    first, last = int(frames[0]), int(frames[-1])
    scene = max((cut for cut in cuts if cut <= first), default=0)
    following = min((cut for cut in cuts if cut > last), default=len(times))
    start = max(scene, min(first - 2, int(np.searchsorted(times, times[first] - LEAD - TICK))))
    stop = min(following, max(last + 3, int(np.searchsorted(times, times[last] + LEAD + TICK))))

    span = np.arange(start, stop)
    certainty = np.full(len(span), Certainty.UNSURE, dtype=np.int8)
    certainty[frames - start] = Certainty.SEEN
    for a, b, before, after in zip(frames, frames[1:], rows, rows[1:], strict=False):
        if times[b] - times[a] <= BRIDGE + TICK and _overlap(before, after) > 0:
            inner = certainty[a + 1 - start : b - start]
            inner[:] = Certainty.BRIDGED
    smooth = smoothed(times[frames], rows)
    values = np.stack([_interpolated(times[span], times[frames], column) for column in smooth.T], 1)
    return Track(start, values.astype(np.float32), certainty, path.total, len(frames))


def smoothed(times: NDArray[np.float64], rows: Floats) -> Floats:
    """Boxes and points (n, 16) smoothed over time without a lag: a line through the neighbours, nearer and surer ones
    first. None moves farther than ``STRAY``."""
    out = rows.copy()
    for i, time in enumerate(times):
        low, high = np.searchsorted(times, [time - 3 * SMOOTH, time + 3 * SMOOTH])
        near, offset = rows[low:high], times[low:high] - time
        weight = np.exp(-0.5 * (offset / SMOOTH) ** 2) * near[:, 14]
        total, mean = weight.sum(), (weight * offset).sum() / max(weight.sum(), 1e-12)
        spread = (weight * (offset - mean) ** 2).sum()
        level = (weight[:, None] * near[:, :14]).sum(0) / max(total, 1e-12)
        slope = (weight[:, None] * (offset - mean)[:, None] * near[:, :14]).sum(0) / spread if spread > 1e-12 else 0.0
        out[i, :14] = _kept_near(rows[i], level - mean * slope)
    return out


def wider(face: Face, factor: float) -> Face:
    """The face with a box that is ``factor`` times as large around the same middle."""
    x0, y0, x1, y1 = face.box
    x, y, w, h = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) * factor / 2, (y1 - y0) * factor / 2
    return Face((x - w, y - h, x + w, y + h), face.points, face.score)


def people_of(tracks: Sequence[Track]) -> tuple[Person, ...]:
    """Whose tracks they are, longest first: tracks of no common frame whose means are alike are one person's. Where
    nothing tells, somebody of their own: two people must not pass for one."""
    groups: list[list[int]] = []
    for number in sorted(range(len(tracks)), key=lambda k: -tracks[k].sightings):
        track = tracks[number]
        fits = [
            (alike, k)
            for k, group in enumerate(groups)
            if (alike := _alike(_total([tracks[member] for member in group]), track.total)) >= ALIKE
            and not any(_together(tracks[member], track) for member in group)
        ]
        if fits:
            groups[max(fits)[1]].append(number)
        else:
            groups.append([number])
    return tuple(_person(tuple(sorted(group)), [tracks[k] for k in group]) for group in groups)


def _person(numbers: tuple[int, ...], tracks: Sequence[Track]) -> Person:
    total = _total(tracks)
    identity = None if total is None else Identity(normalize(total, dim=0)[None])
    return Person(numbers, identity, sum(track.sightings for track in tracks))


def _total(tracks: Sequence[Track]) -> Tensor | None:
    totals = [track.total for track in tracks if track.total is not None]
    return torch.stack(totals).sum(0) if totals else None


def _alike(a: Tensor | None, b: Tensor | None) -> float:
    return -1.0 if a is None or b is None else float(cosine_similarity(a, b, dim=0))


def _alike_people(people: Sequence[Person], tracks: Sequence[Track], reference: Identity, likeness: float) -> list[int]:
    """Numbers of who may be the person of the reference, the most alike first: of two who are there together only one
    can be, so that a look-alike is not left alone beside the person."""
    candidates = [
        (float(cosine_similarity(person.identity.embedding, reference.embedding)[0]), number)
        for number, person in enumerate(people)
        if person.identity is not None
    ]
    kept: list[int] = []
    for alike, number in sorted(candidates, reverse=True):
        own_tracks = [tracks[k] for k in people[number].tracks]
        kept_tracks = [tracks[k] for other in kept for k in people[other].tracks]
        if alike >= likeness and not any(_together(a, b) for a in own_tracks for b in kept_tracks):
            kept.append(number)
    return kept


def _together(track: Track, other: Track) -> bool:
    """Whether both were found in some frame: then they are two people."""
    low, high = max(track.start, other.start), min(track.stop, other.stop)
    a, b = (track.certainty[low - track.start : high - track.start] for track in (track, other))
    return low < high and bool(((a == Certainty.SEEN) & (b == Certainty.SEEN)).any())


def _hidden(place: Place, certain: Sequence[Place]) -> bool:
    box = torch.tensor([place.face.box])
    others = [torch.tensor(place_seen.face.box) for place_seen in certain if place_seen.track != place.track]
    return any(float(intersection(other, box)[0] / area(box)[0]) > HIDDEN for other in others)


def _overlap(before: Floats, after: Floats) -> float:
    return float(iou(torch.from_numpy(before[:4].copy()), torch.from_numpy(after[None, :4].copy()))[0])


def _interpolated(at: NDArray[np.float64], times: NDArray[np.float64], values: Floats) -> NDArray[np.float64]:
    measured = ~np.isnan(values)
    return np.interp(at, times[measured], values[measured]) if measured.any() else np.full(len(at), np.nan)


def _kept_near(row: Floats, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """``wanted`` (14,) moved back to within ``STRAY`` of where the detector saw box corners and points."""
    limit = STRAY * float((row[2] - row[0]) * (row[3] - row[1])) ** 0.5
    move = (target - row[:14]).reshape(7, 2)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    return row[:14] + (move * np.minimum(1.0, limit / np.maximum(length, 1e-9))).reshape(14)

"""Who is who from frame to frame: faces joined to tracks while a clip streams by, in little memory.

Two rounds a frame, as in ByteTrack (arXiv:2110.06864): sure detections first, by overlap and by who they are; then the
faint ones, by overlap alone, which may only carry a track on. Our own, since the well-kept trackers bring OpenCV and
SciPy and know nothing of identities.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

from ..faces.face import Face
from ..faces.merge import iou

OVERLAP = 0.3
"""Intersection over union with the expected box from which on a detection may belong to a track."""
APART, ALIKE = 0.15, 0.5
"""Cosine similarities: below the first a face is another person's, from the second on the same person's wherever it is
near."""
REACH = 1.5
"""Sides of the box that a face may have moved where it is recognised."""
PATIENCE = 1.0
"""Seconds that a track waits for its face to be found again."""
RECENT = 0.5
"""Seconds of faint detections that are kept, to lead a new track back to where it began."""
CUT, CUT_RATIO = 0.1, 3.0
"""A new scene: the mean change of a pixel of small pictures in [0, 1], and how many times the usual one it must be."""
WIDTH = 16
"""Numbers kept of a face: box, points, score, likeness to the people to keep."""


class Sighting(NamedTuple):
    """A face that was found in a frame. embedding: (512,) of unit length, None where the recogniser cannot read it.
    likeness: to the most alike of the people to keep, NaN where that is not known."""

    face: Face
    embedding: Tensor | None = None
    likeness: float = float("nan")


class Path:
    """The frames in which one face was found, and who it is."""

    def __init__(self, frame: int, sighting: Sighting):
        self.frames, self.values = array("i"), array("f")
        self._total: Tensor | None = None
        self._last: Tensor | None = None
        self.add(frame, sighting)

    def add(self, frame: int, sighting: Sighting) -> None:
        self.frames.append(frame)
        self.values.extend(_row(sighting))
        if sighting.embedding is not None:
            self._total = sighting.embedding if self._total is None else self._total + sighting.embedding
            self._last = sighting.embedding

    def add_before(self, frame: int, sighting: Sighting) -> None:
        """An earlier frame, in which the face was faint."""
        self.frames.insert(0, frame)
        self.values = array("f", _row(sighting)) + self.values

    @property
    def total(self) -> Tensor | None:
        """Sum (512,) of who it was in every frame; None where no frame said."""
        return self._total

    def alike(self, embedding: Tensor | None) -> float | None:
        """Cosine similarity to the mean or to the last face, whichever is more: heads turn."""
        if embedding is None or self._total is None or self._last is None:
            return None
        return float(cosine_similarity(torch.stack([self._total, self._last]), embedding[None]).max())

    def first_box(self) -> Tensor:
        return torch.tensor(self.values[:4])

    def expected(self, frame: int) -> Tensor:
        """The box (4,) at a later frame if the last movement went on, for three frames at most."""
        box = torch.tensor(self.values[-WIDTH:][:4])
        if len(self.frames) < 2:
            return box
        before = torch.tensor(self.values[-2 * WIDTH : -WIDTH][:4])
        step = (box - before) / (self.frames[-1] - self.frames[-2])
        return box + step * min(3, frame - self.frames[-1])


def _row(sighting: Sighting) -> list[float]:
    face = sighting.face
    return [*face.box, *face.points.flatten().tolist(), face.score, sighting.likeness]


class Tracker:
    """Told every frame in turn; knows the paths of all faces in the end."""

    def __init__(self):
        self.times, self.cuts, self.paths = array("d"), array("i"), list[Path]()
        self._open: list[Path] = []
        self._faint: deque[tuple[int, list[Sighting]]] = deque()
        self._cut = CutFinder()

    def add(self, time: float, image: Tensor, sure: Sequence[Sighting], faint: Sequence[Sighting] = ()) -> None:
        """The next frame (3, H, W) at ``time`` in seconds, which rises. A sure face always belongs to a track."""
        frame = len(self.times)
        self.times.append(time)
        if self._cut.begins_scene(image):
            self.cuts.append(frame)
            self._open.clear()
            self._faint.clear()
        self._open = [path for path in self._open if time - self.times[path.frames[-1]] <= PATIENCE]
        free = self._continue(frame, sure)
        left = self._continue_faint(frame, faint)
        for sighting in free:
            path = Path(frame, sighting)
            self._lead_back(path)
            self.paths.append(path)
            self._open.append(path)
        self._faint.append((frame, left))
        while time - self.times[self._faint[0][0]] > RECENT:
            self._faint.popleft()

    def _continue(self, frame: int, sure: Sequence[Sighting]) -> list[Sighting]:
        pairs = [
            (score, i, k)
            for i, path in enumerate(self._open)
            for k, sighting in enumerate(sure)
            if (score := link(path, frame, sighting)) is not None
        ]
        used = set[int]()
        for i, k in _best_first(pairs):
            self._open[i].add(frame, sure[k])
            used.add(k)
        return [sighting for k, sighting in enumerate(sure) if k not in used]

    def _continue_faint(self, frame: int, faint: Sequence[Sighting]) -> list[Sighting]:
        waiting = [path for path in self._open if path.frames[-1] != frame]
        pairs = [
            (overlap, i, k)
            for i, path in enumerate(waiting)
            for k, sighting in enumerate(faint)
            if (overlap := overlap_of(path.expected(frame), sighting.face)) > OVERLAP
        ]
        used = set[int]()
        for i, k in _best_first(pairs):
            waiting[i].add(frame, faint[k]._replace(embedding=None))
            used.add(k)
        return [sighting for k, sighting in enumerate(faint) if k not in used]

    def _lead_back(self, path: Path) -> None:
        """Faint faces of the last frames that led to where a track begins."""
        for frame, sightings in reversed(self._faint):
            overlaps = [overlap_of(path.first_box(), sighting.face) for sighting in sightings]
            best = max(range(len(sightings)), key=overlaps.__getitem__, default=None)
            if best is not None and overlaps[best] > OVERLAP:
                path.add_before(frame, sightings.pop(best))


class CutFinder:
    """Tells where another scene begins: a change of the picture that is large, and large beside those before it."""

    def __init__(self):
        self._last: Tensor | None = None
        self._changes: deque[float] = deque(maxlen=12)

    def begins_scene(self, image: Tensor) -> bool:
        small = interpolate(image[None].float(), (18, 32), mode="area")[0]
        if self._last is None:
            self._last = small
            return False
        change = float((small - self._last).abs().mean())
        usual = sorted(self._changes)[len(self._changes) // 2] if self._changes else 0.0
        self._last = small
        cut = change > max(CUT, CUT_RATIO * usual)
        if cut:
            self._changes.clear()
        else:
            self._changes.append(change)
        return cut


def link(path: Path, frame: int, sighting: Sighting) -> float | None:
    """How well a face goes on with a track, the more the better; None where it cannot be the same."""
    expected, face = path.expected(frame), sighting.face
    overlap, alike = overlap_of(expected, face), path.alike(sighting.embedding)
    if alike is None:
        return overlap if overlap > OVERLAP else None
    if overlap > OVERLAP and alike > APART:
        return overlap + alike
    return alike if alike >= ALIKE and _distance(expected, face) < REACH else None


def overlap_of(box: Tensor, face: Face) -> float:
    """Intersection over union of a box (4,) and a face's."""
    return float(iou(box, torch.tensor([face.box]))[0])


def _distance(box: Tensor, face: Face) -> float:
    """Between the middles, in sides of the face's box."""
    face_box = torch.tensor(face.box)
    gap = (box[:2] + box[2:] - face_box[:2] - face_box[2:]).norm() / 2
    return float(gap) / face.area**0.5


def _best_first(pairs: Sequence[tuple[float, int, int]]) -> Iterator[tuple[int, int]]:
    """Pairs (i, k) in falling order of their scores, every i and every k once."""
    rows, columns = set[int](), set[int]()
    for _, i, k in sorted(pairs, reverse=True):
        if i not in rows and k not in columns:
            rows.add(i)
            columns.add(k)
            yield i, k

"""A clip of pictures in two passes: who is where, then everyone into one steady stranger, no frame left uncovered.

The first pass reads every frame and keeps a few numbers a face; the second works on some neighbouring frames at a time
and gives each of them back. Neither holds the clip. One noise and one identity a person, since that is what keeps the
new face the same from frame to frame (docs/video.md).
"""

from collections.abc import Iterable, Iterator

from torch import Tensor

from ..faces.face import Face
from ..method.identity import cosine
from ..method.types import NoFaceError
from .photo import PhotoPorts
from .tracking import Sighting, Tracker
from .tracks import Certainty, ClipTracks, clip_tracks
from .video_ports import Frame, FrameResult, VideoOptions, VideoPorts
from .video_window import Window, read_identity

AT_ONCE = 8
"""Frames that are worked on together, fewer where they are large: a person's faces in them share a network's calls."""
PIXELS = 1 << 24
"""Of the frames that are worked on together."""


def find_tracks(frames: Iterable[Frame], ports: VideoPorts, options: VideoOptions) -> ClipTracks:
    """The first pass: everyone in the clip. Raises NoFaceError where no frame shows a face."""
    tracker = Tracker()
    for time, image in frames:
        sure, faint = ports.search(image)
        sightings = [_sighting(image, face, ports.photo, options) for face in sure]
        carrying = [_sighting(image, face, ports.photo, options) if options.keep else Sighting(face) for face in faint]
        tracker.add(time, image, sightings, carrying)
    if not tracker.paths:
        raise NoFaceError(f"no face was found in any of the {len(tracker.times)} frames: nothing is handed back")
    return clip_tracks(tracker, options.keep, options.likeness)


def _sighting(image: Tensor, face: Face, ports: PhotoPorts, options: VideoOptions) -> Sighting:
    identity = read_identity(image, face, ports)
    if identity is None:
        return Sighting(face, None, -1.0 if options.keep else float("nan"))
    likeness = max((float(cosine(identity, reference)) for reference in options.keep), default=float("nan"))
    return Sighting(face, identity.embedding[0], likeness)


def frames_at_once(size: tuple[int, int], every: int = 1) -> int:
    """How many frames of (H, W) are worked on together, where ``every`` so many are sampled."""
    wanted = AT_ONCE if every == 1 else AT_ONCE * every + 1  # it begins and ends with a sampled one
    return max(1, min(wanted, PIXELS // (size[0] * size[1])))


def find_strengths(
    frames: Iterable[Frame], tracks: ClipTracks, ports: VideoPorts, options: VideoOptions
) -> dict[int, float]:
    """Under an aim, the guidance for each person: the weakest that does on their best frame.

    Raises StillRecognisedError where none does, ValueError without a judge.
    """
    if options.aim is None:
        return {}
    if not ports.photo.judges:
        raise ValueError("a target needs a judge that says when a face is strange enough: give one")
    anchors = dict(_anchor(tracks, number) for number in range(len(tracks.people)) if number not in tracks.kept)
    strengths: dict[int, float] = {}
    for number, (_, image) in enumerate(frames):
        for place in tracks.places(number) if number in anchors.values() else []:
            if anchors.get(place.person) == number and place.person not in strengths:
                worker = Window(tracks, ports, options)
                strengths[place.person] = worker.search_strength(image, place)
    return strengths


def _anchor(tracks: ClipTracks, person: int) -> tuple[int, int]:
    """The person and the frame in which they are seen best."""
    best = (-1.0, 0)
    for number in tracks.people[person].tracks:
        track = tracks.tracks[number]
        box = track.values[:, 2:4] - track.values[:, 0:2]
        worth = box.prod(1) * track.values[:, 14] * (track.certainty == Certainty.SEEN)
        best = max(best, (float(worth.max()), track.start + int(worth.argmax())))
    return person, best[1]


def anonymize_frames(
    frames: Iterable[Frame],
    first: int,
    tracks: ClipTracks,
    ports: VideoPorts,
    options: VideoOptions,
    strengths: dict[int, float] | None = None,
) -> Iterator[FrameResult]:
    """The second pass over frames from number ``first`` on: one result a frame, in order.

    Where ``first`` is a multiple of ``frames_at_once`` a part of a clip comes out as it does in a run over the whole.
    """
    worker = Window(tracks, ports, options, strengths or {})
    waiting: list[Frame] = []
    size = 1
    for frame in frames:
        size = frames_at_once((frame.image.shape[-2], frame.image.shape[-1]), options.every)
        waiting.append(frame)
        if len(waiting) == size:
            yield from worker.anonymize(waiting, first)
            first += len(waiting)
            waiting = []
    if waiting:
        yield from worker.anonymize(waiting, first)

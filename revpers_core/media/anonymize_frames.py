"""Frames that are there as pictures, such as an IMAGE batch: both passes, and the look at the mean, in memory."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ..method.types import NoFaceError
from .clip_check import Pair, check_means
from .clip_report import clip_record, tally
from .photo import blurred
from .tracks import ClipTracks
from .video import anonymize_frames, find_strengths, find_tracks
from .video_ports import Frame, FrameResult, OnFrame, VideoOptions, VideoPorts, no_progress

RATE = 25.0
"""Frames a second, where nothing says it."""


class FramesResult(NamedTuple):
    """frames: one each, in order. record: what was seen, as ``clip_report.clip_record`` has it."""

    frames: list[FrameResult]
    record: dict[str, Any]


def anonymize_images(
    images: Sequence[Tensor], ports: VideoPorts, options: VideoOptions, no_face: str = "raise",
    on_frame: OnFrame = no_progress,
) -> FramesResult:  # fmt: skip
    """Everyone in the frames (3, H, W) of one clip made the same stranger in each.

    Raises NoFaceError where none shows a face, unless ``no_face`` is "blur" or "pass", and StillRecognisedError where a
    judge knows somebody in the mean over frames.
    """
    times = [k / RATE for k in range(len(images))]

    def frames(phase: str) -> Iterator[Frame]:
        for number, (time, image) in enumerate(zip(times, images, strict=True), 1):
            on_frame(phase, number, len(images))
            yield Frame(time, image)

    try:
        tracks = find_tracks(frames("find"), ports, options)
    except NoFaceError:
        if no_face == "raise":
            raise
        tracks = ClipTracks(len(images), (), ())
    if not tracks.people and no_face == "blur":
        covered = [FrameResult(blurred(image), image.new_ones(1, *image.shape[-2:])) for image in images]
        return FramesResult(covered, clip_record(tracks, times, [], {}, {}, options.guidance) | {"no_face": no_face})
    strengths = find_strengths(frames("strength"), tracks, ports, options)
    results = list(anonymize_frames(frames("make"), 0, tracks, ports, options, strengths))

    def pairs() -> Iterator[Pair]:
        for before, after in zip(images, results, strict=True):
            yield lambda before=before, after=after: (before, after.image)

    looks = check_means(pairs(), tracks, ports.photo)
    counts = tally([(result.changed, result.blurred, result.stronger) for result in results], 0)
    return FramesResult(results, clip_record(tracks, times, [counts], strengths, looks, options.guidance))

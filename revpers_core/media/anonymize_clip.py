"""What the command and the node do with a clip: from file to file, or to a plain sentence why not."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..faces.geometry import crop_face
from ..method.types import Identity, NoFaceError
from .between import faces_sampled
from .clip import ClipFormat, ClipFrame, Span, picture, probe, read, scan
from .clip_check import check_frames, check_means, check_sound, pairs_of
from .clip_parts import Parts
from .clip_report import Cost, clip_record, tally
from .clip_writer import Codec, Encoding, PartWriter, check_output, join, repainted
from .marks import NO_MARK, Mark, check_clip, mark_clip
from .photo import blurred
from .tracks import ClipTracks
from .video import anonymize_frames, find_strengths, find_tracks, frames_at_once
from .video_ports import Frame, FrameResult, OnFrame, VideoOptions, VideoPorts, no_progress

WINDOWS = 12
"""Lots of frames that are worked on together in a part: what a kill loses at most."""


@dataclass(frozen=True)
class ClipJob:
    """A clip to be anonymized. ports: made by ``ports(seed)``, since a run that goes on needs its old seed. settings:
    all that decides the result, as plain JSON. evaluations: of the network a face. no_face: "raise", "blur" or "pass"
    for a clip without one. mark: drawn over every frame in the end. disclosure: in the file's metadata. resumable:
    keep finished parts of a run that fails."""

    source: Path
    output: Path
    ports: Callable[[int], VideoPorts]
    options: VideoOptions
    settings: dict[str, Any]
    evaluations: int
    seed: int | None = None
    span: Span = field(default_factory=Span)
    encoding: Encoding = field(default_factory=Encoding)
    no_face: str = "raise"
    mark: Callable[[Tensor], Tensor] | None = None
    disclosure: Mark = NO_MARK
    resumable: bool = True
    on_cost: Callable[[Cost], None] = field(default=lambda cost: logging.info(f"clip: {cost}"))
    on_frame: OnFrame = field(default=no_progress)


class _Found(NamedTuple):
    """What the first pass leaves: who is where, the frames' stamps, and what it will take."""

    tracks: ClipTracks
    stamps: list[int]
    cost: Cost


def anonymize_clip(job: ClipJob) -> dict[str, Any]:
    """One clip, from file to file; returns its record. The output appears whole or not at all.

    Raises NoFaceError where no frame shows a face (unless told otherwise), StillRecognisedError where a judge knows
    somebody in the mean over frames, ValueError for clips that cannot be kept as they are.
    """
    start, form = time.perf_counter(), probe(job.source)
    if job.output.resolve() == job.source.resolve():
        raise ValueError("the output would overwrite the clip: name another file")
    check_output(form, job.encoding, job.output)
    check_clip(job.output, job.disclosure)
    parts = Parts.open(job.output, job.source, job.settings, job.seed)
    try:
        record = _run(job, form, parts)
    except BaseException:
        if not job.resumable or parts.record(0) is None:
            parts.remove()
        raise
    parts.remove()
    return {**record, "seconds": round(time.perf_counter() - start, 2)}


def tell_cost(job: ClipJob) -> Cost:
    """What a run would take; nothing is written."""
    return _first_pass(job, probe(job.source), job.ports(job.seed or 0)).cost


def _run(job: ClipJob, form: ClipFormat, parts: Parts) -> dict[str, Any]:
    ports = job.ports(parts.seed)
    tracked = _first_pass(job, form, ports)
    job.on_cost(tracked.cost)
    job.output.unlink(missing_ok=True)  # an earlier call's result would pass for this one's
    strengths = find_strengths(_frames(job, form, tracked.stamps, "strength"), tracked.tracks, ports, job.options)
    records = _second_pass(job, form, ports, tracked, strengths, parts)
    joined = parts.folder / f"joined{job.output.suffix.lower()}"
    paths = [parts.path(k) for k in range(len(records))]
    advance = _checking(job, len(tracked.stamps))
    join(paths, job.source, form.matrix, job.span, job.encoding.sound, joined, advance)
    check_frames(job.source, form, tracked.stamps, job.span, joined, advance)
    sound = check_sound(job.source, job.span, joined) if job.encoding.sound else 0
    looks = check_means(pairs_of(job.source, form, tracked.stamps, joined, advance), tracked.tracks, ports.photo)
    mark_clip(joined, job.disclosure)
    joined.replace(job.output)
    times = [float(stamp * form.time_base) for stamp in tracked.stamps]
    report = clip_record(tracked.tracks, times, records, strengths, looks, job.options.guidance)
    found_nobody = {} if tracked.tracks.people else {"no_face": job.no_face}
    files = {"clip": str(job.source), "output": str(job.output)}
    extras = {"left_out": list(form.dropped), "sound_packets": sound, "cost": tracked.cost._asdict()}
    return {**files, **report, **found_nobody, **extras, "settings": job.settings}


def _checking(job: ClipJob, frames: int) -> Callable[[], None]:
    """Tells of every frame that is joined, counted and looked at in the end: of a long clip that takes a while."""
    looks = count(1)
    return lambda: job.on_frame("check", min(next(looks), 3 * frames), 3 * frames)


def _first_pass(job: ClipJob, form: ClipFormat, ports: VideoPorts) -> _Found:
    stamps: list[int] = []
    first: list[tuple[Tensor, Identity]] = []

    def frames() -> Iterator[Frame]:
        for frame in scan(job.source, form, job.span):
            stamps.append(frame.stamp)
            job.on_frame("find", len(stamps), form.frames)
            yield Frame(frame.time, picture(frame.frame, form))

    def search(image: Tensor):
        sure, faint = ports.search(image)
        if sure and not first:
            try:
                crop = crop_face(image, sure[0], ports.photo.size).pixels
                first.append((crop, ports.photo.embed(image, sure[0])))
            except ValueError:  # a face that cannot be read costs nothing
                pass
        return sure, faint

    try:
        tracks = find_tracks(frames(), replace(ports, search=search), job.options)
    except NoFaceError:
        if not stamps:
            raise ValueError("no frame of the clip lies in that span") from None
        if job.no_face == "raise":
            raise
        tracks = ClipTracks(len(stamps), (), ())
    seconds = _timed(ports, *first[0], job.options.guidance) if first else None
    every = job.options.every
    sampled = faces_sampled(tracks, every, frames_at_once((form.height, form.width), every))
    return _Found(tracks, stamps, Cost(len(stamps), tracks.face_frames, job.evaluations, seconds, sampled))


def _timed(ports: VideoPorts, crop: Tensor, identity: Identity, guidance: float) -> float:
    """Seconds that one face takes."""
    start = time.perf_counter()
    ports.photo.invert_face(crop[None], identity, 0)(guidance)
    return time.perf_counter() - start


def _frames(job: ClipJob, form: ClipFormat, stamps: Sequence[int], phase: str) -> Iterator[Frame]:
    for number, frame in enumerate(read(job.source, form, stamps), 1):
        job.on_frame(phase, number, len(stamps))
        yield Frame(frame.time, picture(frame.frame, form))


def _second_pass(
    job: ClipJob, form: ClipFormat, ports: VideoPorts, tracked: _Found, strengths: dict[int, float], parts: Parts
) -> list[dict[str, Any]]:
    """A record a part; parts that are there already are not made again."""
    every = job.options.every
    size = max(1, WINDOWS // every) * frames_at_once((form.height, form.width), every)
    codec, records = job.encoding.codec_for(job.output), list[dict[str, Any]]()
    for number, first in enumerate(range(0, len(tracked.stamps), size)):
        record = parts.record(number)
        if record is None:
            stamps = tracked.stamps[first : first + size]
            temporary = parts.folder / "unfinished.nut"
            sources: list[ClipFrame] = []

            def frames(stamps: Sequence[int] = stamps, sources: list[ClipFrame] = sources) -> Iterator[Frame]:
                for frame in read(job.source, form, stamps):
                    sources.append(frame)
                    yield Frame(frame.time, picture(frame.frame, form))

            results = _results(job, frames(), first, tracked, ports, strengths)
            record = _write(job, form, temporary, codec, results, sources, (first, len(tracked.stamps)))
            parts.finish(number, temporary, record)
        job.on_frame("make", min(first + size, len(tracked.stamps)), len(tracked.stamps))
        records.append(record)
    return records


def _results(
    job: ClipJob, frames: Iterable[Frame], first: int, tracked: _Found, ports: VideoPorts, strengths: dict[int, float]
) -> Iterator[FrameResult]:
    if not tracked.tracks.tracks and job.no_face == "blur":
        for _, image in frames:
            yield FrameResult(blurred(image), image.new_ones(1, *image.shape[-2:]))
        return
    yield from anonymize_frames(frames, first, tracked.tracks, ports, job.options, strengths)


def _write(
    job: ClipJob, form: ClipFormat, path: Path, codec: Codec, results: Iterator[FrameResult],
    sources: list[ClipFrame], where: tuple[int, int],
) -> dict[str, Any]:  # fmt: skip
    """Encode a part; returns what was seen in it. sources: the frames that were read for it, taken as they are used."""
    counts: list[tuple[Sequence[int], Sequence[int], int]] = []
    writer = PartWriter(path, form, job.encoding, codec)
    try:
        for result in results:
            image, mask = _marked(job, result)
            source = sources.pop(0)
            writer.add(repainted(source, image, mask, form), source.duration)
            counts.append((result.changed, result.blurred, result.stronger))
            job.on_frame("make", where[0] + len(counts), where[1])
    finally:
        writer.close()
    return tally(counts, where[0])


def _marked(job: ClipJob, result: FrameResult) -> tuple[Tensor, Tensor]:
    if job.mark is None:
        return result.image, result.mask
    image = job.mark(result.image)
    return image, torch.maximum(result.mask, (image != result.image).any(0, keepdim=True).to(result.mask))

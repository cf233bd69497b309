"""The finished clip beside its source: as many frames at the same moments, the same sound, and nobody in the mean.

Each frame alone may pass for a stranger while the mean over frames does not: who averages the faces of a clip sees what
they have in common. So the judges are asked about the mean too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from ..faces.judges import Judge
from ..method.identity import cosine
from ..method.types import Identity, NoFaceError
from .clip import ClipFormat, Span, opened, picture, probe, read, scan
from .clip_writer import origin_of, sound_packets
from .photo import PhotoPorts
from .strength import StillRecognisedError
from .tracks import Certainty, ClipTracks
from .verdict import independent, verdict

Pair = Callable[[], tuple[Tensor, Tensor]]
LOOKS = 24
"""Frames of a person that the mean is taken of."""


class MeanCheck(NamedTuple):
    """What is seen of a person in the mean over frames. similarity: of the means, to the recogniser that steered."""

    similarity: float | None
    verdict: str


def check_frames(
    source: Path, form: ClipFormat, stamps: Sequence[int], span: Span, result: Path, advance: Callable[[], None]
) -> None:
    """Raises RuntimeError where the result has other frames, moments or size than the source. advance: told of every
    frame."""
    result_form = probe(result)
    with opened(source) as container:
        origin = origin_of(container, span)
    written: list[Fraction] = []
    for frame in scan(result, result_form, Span()):
        written.append(frame.stamp * result_form.time_base)
        advance()
    expected = [stamp * form.time_base - origin for stamp in stamps]
    shift = (
        written[0] - expected[0] if written and expected else 0
    )  # containers that know no time below 0 move all tracks
    off = max((abs(float(a - b - shift)) for a, b in zip(written, expected, strict=False)), default=0.0)
    if len(written) != len(expected) or off > max(0.001, float(form.time_base)):
        raise RuntimeError(
            f"{len(written)} frames were written for {len(expected)}, up to {off:.4f} s off: this is a bug"
        )
    if (result_form.width, result_form.height, result_form.turn) != (form.width, form.height, form.turn):
        raise RuntimeError(
            f"{result_form.width} x {result_form.height} was written for {form.width} x {form.height}: this is a bug"
        )


def check_sound(source: Path, span: Span, result: Path) -> int:
    """How many packets of sound both hold. Raises RuntimeError where they differ in a single bit."""
    with opened(source) as before, opened(result) as after:
        tracks = [track for track in before.streams.audio if track.codec_context]
        expected = _digests(before, span, tracks)
        if expected != _digests(after, Span(), list(after.streams.audio)):
            raise RuntimeError("the sound was not carried over bit for bit: this is a bug")
        return sum(count for count, _ in expected)


def check_means(pairs: Iterable[Pair], tracks: ClipTracks, ports: PhotoPorts) -> dict[int, MeanCheck]:
    """What judges make of each person's mean over frames. Raises StillRecognisedError where one knows it. pairs: source
    and result, one a frame, made where they are looked at."""
    frames_by_person = _frames_to_check(tracks)
    sums: dict[int, list[Tensor]] = {}
    counts: dict[int, int] = {}
    for number, pair in enumerate(pairs):
        places = [place for place in tracks.places(number) if number in frames_by_person.get(place.person, ())]
        images = pair() if places else ()
        for place in places:
            embeddings = [_embedded(image, place.face, ports) for image in images]
            if any(embedding is None for embedding in embeddings):
                continue
            added = [vector for embedding in embeddings if embedding is not None for vector in embedding]
            counts[place.person] = counts.get(place.person, 0) + 1
            before = sums.get(place.person)
            sums[place.person] = added if before is None else [a + b for a, b in zip(before, added, strict=True)]
    means = {person: [vector / counts[person] for vector in total] for person, total in sorted(sums.items())}
    return {person: _judged(person, mean, ports.judges) for person, mean in means.items()}


def pairs_of(
    source: Path, form: ClipFormat, stamps: Sequence[int], result: Path, advance: Callable[[], None]
) -> Iterator[Pair]:
    """The pictures of a clip beside those of its result. advance: told of every frame."""
    result_form = probe(result)
    for a, b in zip(read(source, form, stamps), scan(result, result_form, Span()), strict=True):
        advance()
        yield lambda a=a, b=b: (picture(a.frame, form), picture(b.frame, result_form))


def _frames_to_check(tracks: ClipTracks) -> dict[int, set[int]]:
    """Frames in which each person who changed was found, evenly spread."""
    by_person: dict[int, set[int]] = {}
    for number, person in enumerate(tracks.people):
        if number in tracks.kept:
            continue
        frames = [
            track.start + int(k)
            for track in (tracks.tracks[track_number] for track_number in person.tracks)
            for k in np.flatnonzero(track.certainty == Certainty.SEEN)
        ]
        by_person[number] = {frames[int(k)] for k in np.linspace(0, len(frames) - 1, min(LOOKS, len(frames)))}
    return by_person


def _embedded(image: Tensor, face: Any, ports: PhotoPorts) -> list[Tensor] | None:
    """The steering recogniser's embedding and each judge's; None where the first sees no face."""
    try:
        steering = ports.embed(image, face).embedding[0]
    except NoFaceError:
        return None
    return [steering, *(judge.embed(image, face) for judge in ports.judges)]


def _judged(person: int, means: Sequence[Tensor], judges: Sequence[Judge]) -> MeanCheck:
    half = len(judges) + 1
    (steering, *source), (new, *after) = means[:half], means[half:]
    recognised = [judge.name for judge, a, b in zip(judges, source, after, strict=True) if judge.same_person(a, b)]
    if recognised:
        raise StillRecognisedError(
            f"person {person + 1} is still recognised by {', '.join(recognised)} in the mean over frames: use stronger "
            "guidance"
        )
    identities = [Identity(normalize(vector, dim=0)[None]) for vector in (steering, new)]
    apart = independent(judges, source, identities[0])
    return MeanCheck(round(float(cosine(*identities)), 4), verdict(judges, apart))


def _digests(container: Any, span: Span, tracks: Sequence[Any]) -> list[tuple[int, str]]:
    """Number and hash of each track's packets."""
    counts, hashes = [0] * len(tracks), [sha256() for _ in tracks]
    order = {track.index: k for k, track in enumerate(tracks)}
    for packet in sound_packets(container, span, tracks):
        k, data = order[packet.stream.index], bytes(packet)
        counts[k] += 1
        hashes[k].update(len(data).to_bytes(8, "big") + data)
    return [(count, digest.hexdigest()) for count, digest in zip(counts, hashes, strict=True)]

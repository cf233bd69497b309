"""Clips written: frames repainted where they changed and encoded, parts joined, sound carried over bit for bit.

Nothing of the source's container goes along: no metadata, chapters, data tracks or attachments.
"""

import heapq
import io
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from .clip import (
    ClipFormat,
    ClipFrame,
    Span,
    beginning,
    image_planes,
    matrix_and_range,
    opened,
    pyav,
    rgb,
    video_stream,
)
from .thread_priority import same_priority

Codec = Literal["h264", "h265", "av1", "vp9", "ffv1"]
ENCODERS = {"h264": "libx264", "h265": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9", "ffv1": "ffv1"}
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
QUALITY = 16
"""Constant rate factor unless told: hardly to be told from the source."""
LOSSLESS: dict[str, dict[str, str]] = {
    "h264": {"qp": "0"},
    "h265": {"x265-params": "lossless=1:bframes=0:log-level=error"},
    "av1": {"svtav1-params": "lossless=1"},
    "vp9": {"lossless": "1"},
    "ffv1": {},
}
PART_FORMAT = "nut"
"""Container of a part: it keeps any time base and any stamps exactly."""


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded. codec: None for what goes into the container, H.264 or (WebM) VP9. quality: a constant
    rate factor, lower is better; bit_rate: bits a second instead. sound: whether it is carried over."""

    codec: Codec | None = None
    quality: int | None = None
    bit_rate: int | None = None
    lossless: bool = False
    sound: bool = True

    def __post_init__(self):
        if sum((self.quality is not None, self.bit_rate is not None, self.lossless)) > 1:
            raise ValueError("quality, bit rate and lossless exclude each other: give one of them")
        if self.quality is not None and not 0 <= self.quality <= 63:
            raise ValueError(f"quality is a rate factor from 0 (best) to 63, got {self.quality}")
        if self.bit_rate is not None and self.bit_rate < 1000:
            raise ValueError(f"the bit rate is in bits a second, 1000 or more, got {self.bit_rate}")

    def codec_for(self, output: Path) -> Codec:
        return self.codec or ("vp9" if output.suffix.lower() == ".webm" else "h264")

    def options(self, codec: Codec) -> dict[str, str]:
        """The encoder's. No B-frames: then parts join without a doubt, whatever the stamps."""
        plain = {"h264": {"bf": "0"}, "h265": {"x265-params": "bframes=0:log-level=error"}}.get(codec, {})
        if self.lossless or codec == "ffv1":
            return plain | LOSSLESS[codec]
        return plain if self.bit_rate else plain | {"crf": str(QUALITY if self.quality is None else self.quality)}


def check_output(form: ClipFormat, encoding: Encoding, output: Path) -> None:
    """Raises ValueError where the clip could not be written so, before anything runs."""
    av = pyav()
    name = CONTAINERS.get(output.suffix.lower())
    if name is None:
        raise ValueError(f"{output.name}: name a clip that ends in {', '.join(CONTAINERS)}")
    codec = encoding.codec_for(output)
    can = {video_format.name for video_format in av.codec.Codec(ENCODERS[codec], "w").video_formats or []}
    if form.pixels.replace("yuvj", "yuv") not in can:
        raise ValueError(f"{codec} cannot keep {form.pixels} (10 bits, or colour at full size): choose another codec")
    _check_size(form, encoding, codec)
    with av.open(io.BytesIO(), "w", format=name) as container:
        holds = container.supported_codecs
    if ENCODERS[codec] not in holds:
        raise ValueError(f"a {output.suffix} clip cannot hold {codec}: choose another codec, or name it .mkv")
    for sound in form.sound if encoding.sound else ():
        if sound not in holds:
            raise ValueError(
                f"a {output.suffix} clip cannot hold its sound ({sound}) as it is: name the output .mkv, or leave the "
                "sound out"
            )
    if form.matrix and not hasattr(av.video.stream.VideoStream, "set_display_matrix"):
        raise ValueError("it is turned by its container, which this PyAV cannot write: pip install -U av")


def _check_size(form: ClipFormat, encoding: Encoding, codec: Codec) -> None:
    """Raises ValueError where the encoder does not take pictures of that size: many take no odd ones."""
    context = pyav().CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height, context.pix_fmt = form.width, form.height, form.pixels.replace("yuvj", "yuv")
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = encoding.options(codec)  # they keep x265 silent
    try:
        with same_priority():
            context.open()
    except pyav().FFmpegError as error:
        raise ValueError(
            f"{codec} cannot keep {form.width} x {form.height} pixels of the kind {form.pixels}: an odd size needs the "
            "codec vp9 or ffv1, in an .mkv"
        ) from error


def repainted(source: ClipFrame, image: Tensor, mask: Tensor, form: ClipFormat) -> Any:
    """PyAV's frame with what changed: image (3, H, W) and mask (1, H, W), upright. Where the mask is 0 the source's
    numbers stay, bit for bit; elsewhere they move by the difference of the two pictures, so that what converting
    colours rounds away is not lost."""
    new = blank(source.frame, form)
    if bool(mask.any()):
        name, top, kind = ("rgb48le", 65535, np.uint16) if form.deep else ("rgb24", 255, np.uint8)
        turned = torch.rot90(image, -form.turn, (1, 2)).permute(1, 2, 0)
        pixels = (turned.clamp(0, 1) * top).round().numpy().astype(kind)
        where = torch.rot90(mask, -form.turn, (1, 2)) > 0
        before, after = (
            _planes_of(image_pixels, name, form) for image_pixels in (rgb(source.frame, form, name), pixels)
        )
        limit = 1023 if form.deep else 255
        for target, a, b in zip(image_planes(new), before, after, strict=True):
            changed = adaptive_max_pool2d(where.float(), tuple(target.shape))[0].numpy() > 0
            moved = target.astype(np.int32) + b.astype(np.int32) - a.astype(np.int32)
            target[changed] = moved.clip(0, limit)[changed].astype(target.dtype)
    return new


def blank(frame: Any, form: ClipFormat) -> Any:
    """A frame of our own with the same planes, stamp and colours: the decoder still needs its own."""
    new = pyav().VideoFrame(form.width, form.height, form.pixels.replace("yuvj", "yuv"))
    for target, plane in zip(image_planes(new), image_planes(frame), strict=True):
        target[:] = plane
    new.pts, new.time_base = frame.pts if frame.pts is not None else frame.dts, form.time_base
    new.colorspace, new.color_range = form.colour.matrix, _said_range(form)
    return new


def _said_range(form: ClipFormat) -> int:
    return 2 if form.pixels.startswith("yuvj") else form.colour.range


def _planes_of(pixels: NDArray[Any], name: str, form: ClipFormat) -> list[NDArray[Any]]:
    matrix, full = matrix_and_range(form)
    frame = pyav().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
    kind = form.pixels.replace("yuvj", "yuv")
    converted = frame.reformat(format=kind, dst_colorspace=matrix, dst_color_range=full, src_color_range=2)
    return [plane.copy() for plane in image_planes(converted)]


class PartWriter:
    """A part of a clip, encoded; it begins with a key frame, so that parts can be joined. Close it, or the file is
    broken."""

    def __init__(self, path: Path, form: ClipFormat, encoding: Encoding, codec: Codec):
        self._av = pyav()
        self._container = self._av.open(str(path), "w", format=PART_FORMAT)
        stream = self._container.add_stream(ENCODERS[codec], rate=form.rate, options=encoding.options(codec))
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = form.width, form.height, form.pixels.replace("yuvj", "yuv")
        stream.time_base = context.time_base = form.time_base
        context.sample_aspect_ratio = form.aspect
        context.color_primaries, context.color_trc = form.colour.primaries, form.colour.transfer
        context.colorspace, context.color_range = form.colour.matrix, _said_range(form)
        context.max_b_frames = 0
        if encoding.bit_rate:
            context.bit_rate = encoding.bit_rate
        self._stream = stream
        self._first = True
        self._durations: dict[int, int] = {}

    def add(self, frame: Any, duration: int) -> None:
        self._durations[frame.pts] = duration
        if self._first:
            frame.pict_type = self._av.video.frame.PictureType.I
            self._first = False
        with same_priority():
            packets = self._stream.encode(frame)
        self._mux(packets)

    def close(self) -> None:
        self._mux(self._stream.encode(None))
        self._container.close()

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0) or packet.duration
            self._container.mux(packet)

    def abandon(self) -> None:
        self._container.close()


def join(
    parts: Sequence[Path], source: Path, matrix: Sequence[int] | None, span: Span, sound: bool, output: Path,
    advance: Callable[[], None],
) -> None:  # fmt: skip
    """One clip of parts that follow each other, with the source's sound. matrix: turns it, where the parts do not say
    so. Where the span begins later than the clip, stamps are counted from there. advance: told of every frame."""
    with opened(source) as original, opened(parts[0]) as first:
        name = CONTAINERS[output.suffix.lower()]
        options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if name in ("mp4", "mov") else {})
        with pyav().open(str(output), "w", format=name, options=options) as container:
            template = video_stream(first)
            picture = container.add_stream_from_template(template, opaque=True)
            picture.time_base = template.time_base
            if matrix:
                picture.set_display_matrix(matrix)
            tracks = [track for track in original.streams.audio if track.codec_context] if sound else []
            copies = {track.index: container.add_stream_from_template(track, opaque=True) for track in tracks}
            video = ((packet, picture) for part in parts for packet in _packets(part))
            audio = ((packet, copies[packet.stream.index]) for packet in sound_packets(original, span, tracks))
            origin = origin_of(original, span)
            for packet, target in heapq.merge(video, audio, key=lambda pair: pair[0].dts * pair[0].time_base):
                if target is picture:
                    advance()
                _move(packet, origin)
                packet.stream = target
                container.mux(packet)


def origin_of(container: Any, span: Span) -> Fraction:
    """Seconds of the source's stamps at which the result's begin."""
    return beginning(container) + Fraction(span.start) if span.start else Fraction(0)


def sound_packets(container: Any, span: Span, tracks: Sequence[Any]) -> Iterator[Any]:
    """The packets of the sound in a span, as they lie in the file."""
    begin = beginning(container)
    for packet in container.demux(tracks) if tracks else ():
        if packet.dts is None:
            continue
        time = float((packet.dts if packet.pts is None else packet.pts) * packet.time_base - begin)
        if (span.start is None or time >= span.start) and (span.end is None or time < span.end):
            yield packet


@contextmanager
def replacing(output: Path) -> Generator[Path]:
    """A path beside the output that takes its place at the end, and is gone where anything fails."""
    temporary = output.with_name(f".revpers-{secrets.token_hex(8)}{output.suffix}")
    try:
        yield temporary
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def _packets(part: Path) -> Iterator[Any]:
    with opened(part) as container:
        for packet in container.demux(video_stream(container)):
            if packet.dts is not None:
                yield packet


def _move(packet: Any, origin: Fraction) -> None:
    shift = round(origin / packet.time_base)
    packet.dts -= shift
    if packet.pts is not None:
        packet.pts -= shift


def clean_copy(source: Path, output: Path, advance: Callable[[], None]) -> None:
    """The same pictures and sound in a container that says nothing of where they come from. advance: told of every
    frame; what it raises ends the copy, and no file is left."""
    with replacing(output) as temporary:
        join([source], source, None, Span(), True, temporary, advance)

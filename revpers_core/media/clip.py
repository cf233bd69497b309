"""Clips on disk, read frame by frame: what is in them, where each frame stands in time, and how it is to be seen."""

import struct
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions (ITU-T H.273) under which pixels are not what the networks know."""
PLANAR = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "p010le": "yuv420p10le", "p210le": "yuv422p10le",
    "yuyv422": "yuv422p", "uyvy422": "yuv422p", "rgb24": "yuv444p", "bgr24": "yuv444p", "gbrp": "yuv444p",
    "bgr0": "yuv444p", "rgb0": "yuv444p", "0rgb": "yuv444p", "0bgr": "yuv444p", "pal8": "yuv444p",
    "gray": "yuv420p", "gray10le": "yuv420p10le", "yuv411p": "yuv444p", "yuv440p": "yuv444p", "yuv410p": "yuv444p",
}  # fmt: skip
"""Pixel formats that are worked on in another that holds as much."""
PLAIN = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


class Colour(NamedTuple):
    """How numbers are colours (ITU-T H.273). range: 1 limited, 2 full, 0 not said."""

    primaries: int
    transfer: int
    matrix: int
    range: int


@dataclass(frozen=True)
class ClipFormat:
    """What a clip's frames are. width, height: as coded; turn: quarters counter-clockwise to how they are seen;
    matrix: the container's own 3 x 3 for that, None where it has none. pixels: one of ``PLAIN``. time_base: seconds of
    a stamp. rate: frames a second, on average. sound: codecs of the sound tracks. dropped: other tracks' kinds."""

    width: int
    height: int
    turn: int
    matrix: tuple[int, ...] | None
    pixels: str
    colour: Colour
    aspect: Fraction
    time_base: Fraction
    rate: Fraction
    codec: str
    frames: int
    sound: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def deep(self) -> bool:
        """Whether it has 10 bits a colour."""
        return self.pixels.endswith("10le")


class ClipFrame(NamedTuple):
    """frame: PyAV's, in ``ClipFormat.pixels``. stamp, duration: in the clip's time base. time: in seconds from the
    clip's beginning."""

    frame: Any
    stamp: int
    duration: int
    time: float


@dataclass(frozen=True)
class Span:
    """The part of a clip that is wanted. start, end: seconds from its beginning, None for all of it. fps_limit: frames
    a second at most."""

    start: float | None = None
    end: float | None = None
    fps_limit: float | None = None

    def __post_init__(self):
        if (self.start or 0) < 0 or (self.end is not None and self.end <= (self.start or 0)):
            raise ValueError(f"the span must be 0 <= start < end, got {self.start} to {self.end} seconds")
        if self.fps_limit is not None and not self.fps_limit > 0:
            raise ValueError(f"the limit of frames a second must be above 0, got {self.fps_limit}")


def pyav() -> Any:
    """PyAV, which reads and writes clips. Raises ImportError with what to install."""
    try:
        av: Any = import_module("av")
    except ImportError as error:
        raise ImportError(f"clips need PyAV ({error}): pip install revpers[video]") from error
    return av


@contextmanager
def opened(path: Path) -> Generator[Any]:
    """PyAV's container. Raises ValueError where the file is no clip."""
    av = pyav()
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise ValueError(f"this clip cannot be opened, its beginning or its index is broken ({error})") from error
    with container:
        yield container


def probe(path: Path) -> ClipFormat:
    """What a clip is. Raises ValueError, saying why, for one that cannot be kept as it is: HDR, interlaced, with
    transparency, of more than 10 bits, without a picture."""
    with opened(path) as container:
        stream = video_stream(container)
        first = next(_decoded(container, stream), None)
        if first is None:
            raise ValueError("the clip holds no frame that can be decoded")
        context = stream.codec_context
        numbers = (first.color_primaries, first.color_trc, first.colorspace, first.color_range)
        colour = Colour._make(int(number or 0) for number in numbers)
        if colour.transfer in HDR:
            raise ValueError(
                f"it is HDR ({HDR[colour.transfer]}), which the networks do not know: convert it to SDR (BT.709) first"
            )
        if first.interlaced_frame:
            raise ValueError("it is interlaced: two moments in one frame. Deinterlace it first (ffmpeg -vf bwdif)")
        others = [track.type for track in container.streams if track.type not in ("video", "audio")]
        extra_video = ["video"] * (len(container.streams.video) - 1)
        rate = stream.average_rate or stream.base_rate or Fraction(25)
        return ClipFormat(
            first.width, first.height, round(first.rotation / 90) % 4, _matrix(first), _plain(first.format.name),
            colour, Fraction(context.sample_aspect_ratio or 1), Fraction(stream.time_base), Fraction(rate),
            context.name, int(stream.frames or 0),
            tuple(track.codec_context.name if track.codec_context else "unknown" for track in container.streams.audio),
            tuple(others + extra_video),
        )  # fmt: skip


def scan(path: Path, form: ClipFormat, span: Span) -> Iterator[ClipFrame]:
    """Every frame of a span, in order. Raises ValueError where the clip breaks off or its stamps do not rise."""
    due = None
    for frame in _frames(path, form, None):
        if span.start is not None and frame.time < span.start - 1e-6:
            continue
        if span.end is not None and frame.time >= span.end - 1e-6:
            return
        if span.fps_limit is not None:
            if due is not None and frame.time < due - 1e-6:
                continue
            due = (frame.time if due is None else max(due, frame.time - 1 / span.fps_limit)) + 1 / span.fps_limit
        yield frame


def read(path: Path, form: ClipFormat, stamps: Sequence[int]) -> Iterator[ClipFrame]:
    """The frames with these stamps again. Raises ValueError where one is missing: the file has changed meanwhile."""
    remaining = iter(stamps)
    stamp = next(remaining, None)
    if stamp is None:
        return
    for frame in _frames(path, form, stamp):
        if frame.stamp < stamp:
            continue
        if frame.stamp > stamp:
            break
        yield frame
        stamp = next(remaining, None)
        if stamp is None:
            return
    raise ValueError(f"the frame at {float(stamp * form.time_base):.3f} s was not found again: has the clip changed?")


def picture(frame: Any, form: ClipFormat) -> Tensor:
    """How a frame is seen: (3, H, W) float32 in [0, 1], upright."""
    name, top = ("rgb48le", 65535) if form.deep else ("rgb24", 255)
    pixels = torch.from_numpy(rgb(frame, form, name)).permute(2, 0, 1).float().div_(top)
    return torch.rot90(pixels, form.turn, (1, 2)).contiguous()


def rgb(frame: Any, form: ClipFormat, name: str) -> NDArray[Any]:
    """(H, W, 3) full-range RGB of a frame as coded. name: of the pixel format, rgb24 or rgb48le."""
    matrix, full = matrix_and_range(form)
    converted = frame.reformat(format=name, src_colorspace=matrix, src_color_range=full, dst_color_range=2)
    return converted.to_ndarray()


def matrix_and_range(form: ClipFormat) -> tuple[int, int]:
    """The colour matrix and range, where the clip does not say as players guess: by its size, and limited."""
    matrix = form.colour.matrix if form.colour.matrix in (1, 5, 6, 7, 9) else (1 if form.height >= 720 else 5)
    full = 2 if form.colour.range == 2 or form.pixels.startswith("yuvj") else 1
    return {6: 5}.get(matrix, matrix), full


def _frames(path: Path, form: ClipFormat, from_stamp: int | None) -> Iterator[ClipFrame]:
    """From the first frame on, or from one at or before a stamp."""
    with opened(path) as container:
        stream = video_stream(container)
        begin = beginning(container)
        if from_stamp is not None and _reaches(container, stream, from_stamp):
            container.seek(from_stamp, stream=stream, backward=True, any_frame=False)
        last: int | None = None
        for number, frame in enumerate(_decoded(container, stream)):
            stamp = frame.pts if frame.pts is not None else frame.dts
            if stamp is None:
                raise ValueError(
                    "its frames have no time stamps: put them into an MP4 first (ffmpeg -r RATE -i IN -c copy)"
                )
            if last is not None and stamp <= last:
                raise ValueError(f"the time stamps of its frames {number} and {number + 1} do not rise: remux it first")
            last = stamp
            if (frame.width, frame.height) != (form.width, form.height):
                raise ValueError(
                    f"frame {number + 1} is {frame.width} x {frame.height} pixels, not {form.width} x {form.height}: "
                    "the size changes in mid-clip; cut it there"
                )
            if frame.format.name != form.pixels:
                plain = frame.reformat(format=form.pixels)
                plain.pts, plain.time_base = frame.pts, frame.time_base
                frame = plain
            yield ClipFrame(frame, stamp, int(frame.duration or 0), float(stamp * form.time_base - begin))


def beginning(container: Any) -> Fraction:
    """The moment of the first picture, in seconds of the container's stamps: seconds of a span are counted from it."""
    stream = video_stream(container)
    return (stream.start_time or 0) * Fraction(stream.time_base)


def _reaches(container: Any, stream: Any, stamp: int) -> bool:
    """Whether seeking leads to a frame at or before the stamp, as it should; the container is back at its beginning."""
    container.seek(stamp, stream=stream, backward=True, any_frame=False)
    first = next(_decoded(container, stream), None)
    good = first is not None and first.pts is not None and first.pts <= stamp
    container.seek(container.start_time or 0)
    return good


def video_stream(container: Any) -> Any:
    """The first track of moving pictures, which a cover is not."""
    for stream in container.streams.video:
        if stream.codec_context is not None and "attached_pic" not in str(stream.disposition):
            stream.thread_type = "AUTO"
            return stream
    raise ValueError("the file holds no moving picture")


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    av = pyav()
    time = 0.0
    try:
        for frame in container.decode(stream):
            time = frame.time or time
            yield frame
    except av.error.FFmpegError as error:
        raise ValueError(
            f"the clip breaks off after {time:.2f} s ({error}): repair it, or leave out the rest by an end"
        ) from error


def _plain(name: str) -> str:
    plain = PLANAR.get(name, name)
    if plain.replace("yuvj", "yuv") not in PLAIN:
        raise ValueError(
            f"its pixels are of the kind {name}, of which not all would be kept (transparency, or more than 10 bits): "
            "convert it to yuv420p or yuv420p10le first"
        )
    return plain


def _matrix(frame: Any) -> tuple[int, ...] | None:
    """The container's display matrix, 16.16 and 2.30 fixed point as libavutil keeps it."""
    for side_data in frame.side_data:
        if str(side_data.type).endswith("DISPLAYMATRIX"):
            return struct.unpack("<9i", bytes(side_data)[:36])
    return None


def image_planes(frame: Any) -> list[NDArray[Any]]:
    """A planar frame's planes, each (h, w), as views of its memory."""
    deep = frame.format.name.endswith("10le")
    return [
        np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]

"""Clips as people have them: odd sizes, several sounds, spans that lie outside, an output that is the input."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import Scene, still
from test_clip import RATE, job, moments, pictures, sound_of

from revpers_core.media.anonymize_clip import anonymize_clip
from revpers_core.media.clip import Span
from revpers_core.media.clip_writer import Encoding

av = pytest.importorskip("av")


@pytest.fixture
def scene() -> Scene:
    return Scene({1: lambda k: (10 + k, 20), 2: still(120, 30)}, 12)


def write(
    path: Path, scene: Scene, codec: str = "libx264", size: tuple[int, int] | None = None, tracks: int = 1,
    pixels: str = "yuv420p", late: float = 0.0,
) -> Path:  # fmt: skip
    """A clip of 12 frames. size: (height, width) that is cut out. tracks: of sound, each of another tone, which begins
    ``late`` seconds before the picture."""
    with av.open(str(path), "w") as container:
        first = scene.image(0)
        height, width = size or tuple(first.shape[-2:])
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        sounds = [container.add_stream("aac", rate=48000, layout="mono") for _ in range(tracks)]
        for k in range(scene.count):
            array = (scene.image(k)[:, :height, :width].permute(1, 2, 0) * 255).round().byte().numpy()
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(1000 * (k / RATE + late)), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for number, track in enumerate(sounds):
            tone = (np.sin(np.arange(48000 * scene.count // RATE) / (20 + 9 * number)) / 2).astype(np.float32)[None]
            for start in range(0, tone.shape[1], 1024):
                part = np.ascontiguousarray(tone[:, start : start + 1024])
                samples = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 48000, start, Fraction(1, 48000)
                container.mux(track.encode(samples))
            container.mux(track.encode(None))
    return path


def sounds_of(path: Path) -> list[list[bytes]]:
    with av.open(str(path)) as container:
        tracks: dict[int, list[bytes]] = {one.index: [] for one in container.streams.audio}
        for packet in container.demux(container.streams.audio):
            if packet.dts is not None:
                tracks[packet.stream.index].append(bytes(packet))
        return list(tracks.values())


def starts_of(path: Path) -> float:
    """Seconds from the first sound to the first picture; a container that knows no time below 0 moves both."""
    with av.open(str(path)) as container:
        first: dict[str, float] = {}
        for packet in container.demux():
            if packet.dts is not None:
                first.setdefault(packet.stream.type, float(packet.pts * packet.time_base))
        return first["video"] - first["audio"]


@pytest.mark.parametrize(
    ("size", "codec", "pixels", "output", "kept"),
    [
        ((117, 195), "libvpx-vp9", "yuv420p", "b.mp4", False),
        ((120, 197), "libvpx-vp9", "yuv420p", "b.webm", True),
        ((117, 200), "ffv1", "yuv422p", "b.mkv", True),
        ((119, 197), "libx264", "yuv444p", "b.mkv", True),
    ],
)
def test_odd_sizes_are_kept_or_refused_in_words(scene, tmp_path, size, codec, pixels, output, kept):
    source = write(tmp_path / "a.mkv", scene, codec, size, 0, pixels)
    asked = replace(job(scene, source, tmp_path / output), encoding=Encoding())
    if not kept:
        with pytest.raises(ValueError, match="an odd size needs the codec vp9 or ffv1"):
            anonymize_clip(asked)
        assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mkv"]
        asked = replace(asked, output=tmp_path / "b.mkv", encoding=Encoding(codec="vp9"))
    anonymize_clip(asked)
    result = pictures(asked.output)
    assert len(result) == scene.count and tuple(result[0].shape[-2:]) == size


def test_every_track_of_sound_goes_along(scene, tmp_path):
    source = write(tmp_path / "a.mp4", scene, tracks=3)
    anonymize_clip(replace(job(scene, source, tmp_path / "b.mkv"), encoding=Encoding()))
    assert sounds_of(tmp_path / "b.mkv") == sounds_of(source) and len(sounds_of(source)) == 3


@pytest.mark.parametrize("output", ["b.mp4", "b.mkv"])
def test_a_picture_that_begins_after_the_sound_still_does(scene, tmp_path, output):
    source = write(tmp_path / "a.mp4", scene, late=0.2)
    anonymize_clip(replace(job(scene, source, tmp_path / output), encoding=Encoding()))
    assert starts_of(tmp_path / output) == pytest.approx(starts_of(source), abs=0.002)
    assert moments(tmp_path / output)[0] > 0.19 and sound_of(tmp_path / output) == sound_of(source)


@pytest.mark.parametrize(("span", "frames"), [(Span(None, 99.0), 12), (Span(0.24, 99.0), 6), (Span(0.0, 0.2), 5)])
def test_a_span_that_reaches_beyond_the_clip(scene, tmp_path, span, frames):
    source = write(tmp_path / "a.mp4", scene)
    record = anonymize_clip(replace(job(scene, source, tmp_path / "b.mp4"), span=span, encoding=Encoding()))
    assert record["frames"] == frames == len(pictures(tmp_path / "b.mp4"))


def test_a_span_outside_the_clip_is_an_error(scene, tmp_path):
    source = write(tmp_path / "a.mp4", scene)
    with pytest.raises(ValueError, match="no frame of the clip lies in that span"):
        anonymize_clip(replace(job(scene, source, tmp_path / "b.mp4"), span=Span(5.0, 9.0), encoding=Encoding()))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp4"]


@pytest.mark.parametrize("link", [None, os.symlink])
def test_an_output_that_is_the_input_is_refused(scene, tmp_path, link):
    source = write(tmp_path / "a.mp4", scene)
    before, output = source.read_bytes(), source
    if link:
        output = tmp_path / "b.mp4"
        link(source, output)
    with pytest.raises(ValueError, match="would overwrite the clip"):
        anonymize_clip(replace(job(scene, source, output), encoding=Encoding()))
    assert source.read_bytes() == before and output.exists()


def test_another_name_of_the_source_is_replaced_and_the_source_stays(scene, tmp_path):
    source, output = write(tmp_path / "a.mp4", scene), tmp_path / "b.mp4"
    before = source.read_bytes()
    os.link(source, output)
    anonymize_clip(replace(job(scene, source, output), encoding=Encoding()))
    assert source.read_bytes() == before != output.read_bytes()


def test_a_folder_that_is_not_there_is_made_and_one_in_the_way_is_an_error(scene, tmp_path):
    source, there = write(tmp_path / "a.mp4", scene), tmp_path / "there.mp4"
    anonymize_clip(replace(job(scene, source, tmp_path / "none" / "b.mp4"), encoding=Encoding()))
    assert (tmp_path / "none" / "b.mp4").is_file()
    there.mkdir()
    with pytest.raises(OSError, match=r"there\.mp4"):
        anonymize_clip(replace(job(scene, source, there), encoding=Encoding()))
    assert there.is_dir()


def test_a_file_with_sound_only(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        samples = av.AudioFrame.from_ndarray(torch.zeros(1, 1024).numpy(), format="fltp", layout="mono")
        samples.sample_rate = 48000
        container.mux(track.encode(samples))
        container.mux(track.encode(None))
    with pytest.raises(ValueError, match="no moving picture"):
        anonymize_clip(job(Scene({}, 1), path, tmp_path / "b.mp4"))

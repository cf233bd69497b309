"""Clips from file to file, with stand-ins for the networks and real containers: frames, moments, sound, faults."""

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import WISHES, Judge, Scene, as_is, face_at, features, number_of, still, stranger

from revpers_core.faces.judges import cosine
from revpers_core.media.anonymize_clip import ClipJob, anonymize_clip, tell_cost
from revpers_core.media.clip import Span, image_planes, picture, probe, read, scan
from revpers_core.media.clip_report import Cost, spans, summary
from revpers_core.media.clip_writer import Encoding, clean_copy
from revpers_core.media.strength import StillRecognisedError
from revpers_core.media.thread_priority import TASKS
from revpers_core.method.types import NoFaceError

av = pytest.importorskip("av")
RATE = 25
LOSSLESS = Encoding(lossless=True)


def write_clip(
    path: Path, images: Sequence[torch.Tensor], stamps: Sequence[int] | None = None, *, sound: str = "aac",
    matrix: Sequence[int] | None = None, pixels: str = "yuv444p", base: int = 1000, **colours: int,
) -> Path:  # fmt: skip
    """A lossless clip of these images. stamps: in milliseconds. sound: a codec of a tone as long as the clip, or ""."""
    stamps = [k * 1000 // RATE for k in range(len(images))] if stamps is None else stamps
    height, width = images[0].shape[-2:]
    options = {"bf": "2"} if path.suffix != ".webm" else {}
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": "my home", "location": "+48.2-016.3/"})
        stream = container.add_stream("libx264", rate=RATE, options={"qp": "0", **options})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, base)
        for name, value in colours.items():
            setattr(stream.codec_context, name, value)
        if matrix:
            stream.set_display_matrix(matrix)
        track = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for stamp, image in zip(stamps, images, strict=True):
            array = (image.permute(1, 2, 0) * 255).round().byte().numpy()
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = stamp, Fraction(1, base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            kind = "s16" if sound == "pcm_s16le" else "fltp"
            tone = np.sin(np.arange(48000 * (stamps[-1] + 40) // 1000) / 20)[None] * 0.5
            for part in range(0, tone.shape[1], 1024):
                piece = tone[:, part : part + 1024]
                piece = (piece * 30000).astype(np.int16) if kind == "s16" else piece.astype(np.float32)
                samples = av.AudioFrame.from_ndarray(piece, format=kind, layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 48000, part, Fraction(1, 48000)
                container.mux(track.encode(samples))
            container.mux(track.encode(None))
    return path


def job(scene: Scene, source: Path, output: Path, **changes) -> ClipJob:
    ports = changes.pop("ports", scene.ports())
    fields = {"settings": {"guidance": -10}, "evaluations": 40, "encoding": LOSSLESS, **changes}
    return ClipJob(source, output, lambda seed: ports, changes.pop("options", WISHES), **fields)


@pytest.fixture
def scene() -> Scene:
    return Scene({1: lambda k: (10 + k, 20), 2: still(120, 30)}, 30)


def clip_of(scene: Scene, path: Path, **how) -> Path:
    return write_clip(path, [scene.image(k) for k in range(scene.count)], **how)


def pictures(path: Path) -> list[torch.Tensor]:
    form = probe(path)
    return [picture(one.frame, form) for one in scan(path, form, Span())]


def moments(path: Path) -> list[float]:
    form = probe(path)
    return [round(float(one.stamp * form.time_base), 6) for one in scan(path, form, Span())]


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        return [bytes(one) for one in container.demux(tracks) if one.dts is not None] if tracks else []


def alike(scene: Scene, path: Path, person: int) -> list[float]:
    return [
        cosine(features(image, face_at(*place)), features(scene.image(number_of(image)), face_at(*place)))
        for image in pictures(path)
        if (place := scene.people[person](number_of(image)))
    ]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_every_frame_changes_and_all_else_is_as_it_was(scene, tmp_path):
    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    record = anonymize_clip(job(scene, source, output))
    assert record["frames"] == 30 and [one["made"] for one in record["people"]] == [30, 30]
    assert max(alike(scene, output, 1) + alike(scene, output, 2)) < 0.5
    assert [number_of(image) for image in pictures(output)] == list(range(30))
    assert moments(output) == moments(source)
    assert sound_of(output) == sound_of(source) and len(sound_of(source)) == record["sound_packets"] > 50
    before, after = ([image_planes(one.frame) for one in scan(path, probe(path), Span())] for path in (source, output))
    for a, b in zip(before, after, strict=True):  # nobody's head is above row 12
        assert all((x[:12] == y[:12]).all() for x, y in zip(a, b, strict=True))
    with av.open(str(output)) as container:
        said = str([container.metadata, *(one.metadata for one in container.streams)])
    assert "home" not in said and "48.2" not in said and "Lavf" not in said
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_moments_of_a_variable_rate_stay(scene, tmp_path, suffix):
    stamps = torch.randint(15, 70, (30,), generator=torch.Generator().manual_seed(0)).cumsum(0).tolist()
    source = clip_of(scene, tmp_path / "a.mkv", stamps=stamps, sound="pcm_s16le" if suffix == ".mov" else "aac")
    output = tmp_path / f"b{suffix}"
    anonymize_clip(job(scene, source, output))
    shift = moments(output)[0] - moments(source)[0]
    assert [round(b - a - shift, 6) for a, b in zip(moments(source), moments(output), strict=True)] == [0] * 30
    assert sound_of(output) == sound_of(source)


def test_a_portrait_clip_that_is_turned_by_its_container_stays_so(scene, tmp_path):
    """A phone's: coded on its side; a quarter clockwise makes it upright."""
    matrix = (0, 65536, 0, -65536, 0, 0, 120 * 65536, 0, 1 << 30)
    source, output = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_clip(source, [torch.rot90(scene.image(k), 1, (1, 2)) for k in range(12)], matrix=matrix)
    scene.count = 12
    assert torch.allclose(pictures(source)[0], scene.image(0), atol=4 / 255)
    record = anonymize_clip(job(scene, source, output))
    form = probe(output)
    assert (form.width, form.height, form.turn) == (120, 200, 3) and form.matrix == probe(source).matrix
    assert record["frames"] == 12 and max(alike(scene, output, 1) + alike(scene, output, 2)) < 0.5


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "vp9", "ffv1"])
def test_every_codec_holds_every_frame(tmp_path, codec):
    scene = Scene({1: still(10, 20)}, 10)
    source, output = clip_of(scene, tmp_path / "a.mp4", pixels="yuv420p", sound=""), tmp_path / "b.mkv"
    anonymize_clip(job(scene, source, output, encoding=Encoding(codec, quality=12)))
    assert moments(output) == moments(source) and max(alike(scene, output, 1)) < 0.6


@pytest.mark.skipif(not TASKS.is_dir(), reason="only Linux lets an encoder raise its priority")
def test_no_thread_is_left_in_real_time(tmp_path):
    """SVT-AV1 raises the caller's, where it may (root)."""
    scene = Scene({1: still(10, 20)}, 4)
    source = clip_of(scene, tmp_path / "a.mp4", pixels="yuv420p", sound="")
    before = os.sched_getscheduler(0)
    anonymize_clip(job(scene, source, tmp_path / "b.mkv", encoding=Encoding("av1")))
    assert {os.sched_getscheduler(int(task.name)) for task in TASKS.iterdir()} == {before}


def test_ten_bits_are_kept(tmp_path):
    scene = Scene({1: still(10, 20)}, 6)
    source, output = clip_of(scene, tmp_path / "a.mkv", pixels="yuv420p10le"), tmp_path / "b.mkv"
    anonymize_clip(job(scene, source, output))
    assert probe(output).pixels == "yuv420p10le" and max(alike(scene, output, 1)) < 0.6
    a, b = (image_planes(next(scan(path, probe(path), Span())).frame)[0] for path in (source, output))
    assert (a[:12] == b[:12]).all() and a.max() > 255


def test_colours_are_said_as_before(tmp_path):
    scene = Scene({1: still(10, 20)}, 4)
    said = {"color_range": 2, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
    source, output = clip_of(scene, tmp_path / "a.mp4", **said), tmp_path / "b.mp4"
    anonymize_clip(job(scene, source, output))
    assert probe(output).colour == probe(source).colour == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"pixels": "yuv420p10le", "color_trc": 16, "colorspace": 9}, r"HDR \(PQ\)"),
        ({"pixels": "yuv420p10le", "color_trc": 18, "colorspace": 9}, r"HDR \(HLG\)"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(scene, tmp_path, how, message):
    source = clip_of(scene, tmp_path / "a.mkv", **how)
    with pytest.raises(ValueError, match=message):
        anonymize_clip(job(scene, source, tmp_path / "b.mkv"))
    assert not (tmp_path / "b.mkv").exists()


@pytest.mark.parametrize(
    ("sound", "output", "encoding", "message"),
    [
        ("aac", "b.avi", LOSSLESS, "name a clip that ends in .mp4"),
        ("pcm_s16le", "b.webm", Encoding(), "cannot hold its sound"),
        ("aac", "b.webm", Encoding("h264"), "cannot hold h264"),
        ("", "b.mkv", Encoding("av1"), "av1 cannot keep yuv444p"),
        ("", "a.mkv", LOSSLESS, "would overwrite"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_runs(scene, tmp_path, sound, output, encoding, message):
    source = clip_of(scene, tmp_path / "a.mkv", sound=sound)
    with pytest.raises(ValueError, match=message):
        anonymize_clip(job(scene, source, tmp_path / output, encoding=encoding, on_cost=pytest.fail))


def test_a_clip_without_sound_and_one_whose_sound_is_left_out(scene, tmp_path):
    silent, loud = clip_of(scene, tmp_path / "a.mp4", sound=""), clip_of(scene, tmp_path / "c.mp4")
    assert anonymize_clip(job(scene, silent, tmp_path / "b.mp4"))["sound_packets"] == 0
    anonymize_clip(job(scene, loud, tmp_path / "d.mp4", encoding=replace(LOSSLESS, sound=False)))
    assert sound_of(tmp_path / "b.mp4") == sound_of(tmp_path / "d.mp4") == []


def test_a_clip_of_one_frame(tmp_path):
    scene = Scene({1: still(10, 20)}, 1)
    source, output = clip_of(scene, tmp_path / "a.mp4", sound=""), tmp_path / "b.mp4"
    assert anonymize_clip(job(scene, source, output))["frames"] == 1
    assert max(alike(scene, output, 1)) < 0.5


@pytest.mark.parametrize("no_face", ["raise", "blur", "pass"])
def test_a_clip_without_a_face(tmp_path, no_face):
    scene = Scene({}, 5)
    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    if no_face == "raise":
        with pytest.raises(NoFaceError, match="in any of the 5 frames"):
            anonymize_clip(job(scene, source, output))
        assert not output.exists() and leftovers(tmp_path) == []
        return
    record = anonymize_clip(job(scene, source, output, no_face=no_face))
    same = [torch.allclose(a, b) for a, b in zip(pictures(source), pictures(output), strict=True)]
    assert same == [no_face == "pass"] * 5
    assert summary(record) == "no face was found: the clip is " + (
        "as it was" if no_face == "pass" else "blurred whole"
    )


def test_a_broken_tail_is_an_error_or_all_that_is_there(scene, tmp_path):
    whole, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])  # an MP4's index is at its end
    with pytest.raises(ValueError, match="its index is broken"):
        anonymize_clip(job(scene, cut, output))
    assert not output.exists()
    streamed = clip_of(scene, tmp_path / "a.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(streamed.read_bytes()[: streamed.stat().st_size * 2 // 3])
    try:
        record = anonymize_clip(job(scene, cut, tmp_path / "c.mkv"))
    except ValueError as error:
        assert "breaks off after" in str(error) and not (tmp_path / "c.mkv").exists()
    else:
        assert 0 < record["frames"] < 30 and len(pictures(tmp_path / "c.mkv")) == record["frames"]
        assert max(alike(scene, tmp_path / "c.mkv", 1)) < 0.5
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(ValueError, match="cannot be opened"):
        anonymize_clip(job(scene, noise, output))
    with pytest.raises(ValueError, match="no such file"):
        anonymize_clip(job(scene, tmp_path / "none.mp4", output))


def test_a_span_at_a_lower_rate(tmp_path):
    scene = Scene({1: still(10, 20)}, 50)
    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    record = anonymize_clip(job(scene, source, output, span=Span(0.4, 1.6, 12.5)))
    assert [number_of(image) for image in pictures(output)] == list(range(10, 40, 2))
    assert record["frames"] == 15 and moments(output) == [round(k * 0.08, 6) for k in range(15)]
    with av.open(str(source)) as container:
        there = [one for one in container.demux(container.streams.audio) if one.dts is not None]
        meant = [bytes(one) for one in there if 0.4 <= float(one.pts * one.time_base) < 1.6]
    assert sound_of(output) == meant and len(meant) > 40
    with pytest.raises(ValueError, match="no frame of the clip lies"):
        anonymize_clip(job(scene, source, output, span=Span(60)))


class Killed(BaseException):
    """As a kill is none that anything catches."""


def test_a_killed_run_goes_on_and_comes_out_as_one_that_was_not(tmp_path, monkeypatch):
    scene = Scene({1: lambda k: (10 + k, 20), 2: lambda k: (140, 40) if 20 < k < 60 else None}, 80)
    monkeypatch.setattr("revpers_core.media.anonymize_clip.WINDOWS", 3)
    source = clip_of(scene, tmp_path / "a.mp4")
    seeds, calls = [], []

    def ports(seed):
        seeds.append(seed)

        def invert_face(crops, identity, index):
            calls.append(index)
            if limit and len(calls) > limit:
                raise Killed
            return stranger(crops, identity, index + seed % 1000)

        return scene.ports(invert_face=invert_face)

    def again(output, **changes):
        return anonymize_clip(replace(job(scene, source, output), ports=ports, **changes))

    limit = 11
    with pytest.raises(Killed):
        again(tmp_path / "b.mp4")
    folder = tmp_path / ".b.mp4.revpers"
    assert not (tmp_path / "b.mp4").exists() and folder.stat().st_mode & 0o777 == 0o700
    done = len(list(folder.glob("*.nut"))) - (folder / "unfinished.nut").exists()
    assert done == 2
    limit, before = 0, len(calls)
    again(tmp_path / "b.mp4")
    resumed = len(calls) - before
    assert seeds[0] == seeds[1] and leftovers(tmp_path) == []
    before = len(calls)
    again(tmp_path / "c.mp4", seed=seeds[0])
    assert len(calls) - before > resumed
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "c.mp4").read_bytes()

    limit = 11 + len(calls)
    with pytest.raises(Killed):
        again(tmp_path / "b.mp4")
    limit = 0
    again(tmp_path / "b.mp4", settings={"guidance": -12})
    assert len(set(seeds)) == 3 and leftovers(tmp_path) == []  # other settings begin anew
    limit = 1 + len(calls)
    with pytest.raises(Killed):
        again(tmp_path / "d.mp4", resumable=False)
    assert leftovers(tmp_path) == [] and not (tmp_path / "d.mp4").exists()


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("phase", ["find", "make", "check"])
def test_a_run_can_be_cancelled_at_any_frame_and_leaves_no_file(scene, tmp_path, phase):
    """In the end too, while the clip is joined, counted and looked at."""
    source, seen = clip_of(scene, tmp_path / "a.mp4"), list[int]()

    def on_frame(name, done, total):
        assert 0 < done <= total
        if name == phase:
            seen.append(done)
            if len(seen) == last:
                raise Cancelled

    for last in (2, scene.count, 3 * scene.count if phase == "check" else 3):
        seen.clear()
        with pytest.raises(Cancelled):
            anonymize_clip(job(scene, source, tmp_path / "b.mp4", on_frame=on_frame, resumable=False))
        assert len(seen) == last and [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_a_cancelled_copy_leaves_no_file(scene, tmp_path):
    source = clip_of(scene, tmp_path / "a.mp4")
    frames = iter(range(20))
    with pytest.raises(StopIteration):
        clean_copy(source, tmp_path / "b.mp4", lambda: next(frames))
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_a_face_that_never_changes_is_blurred_in_every_frame(scene, tmp_path):
    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    record = anonymize_clip(job(scene, source, output, ports=scene.ports(invert_face=as_is)))
    assert record["blurred_frames"] == 30 and record["blurred"] == [[0.0, 1.16]]
    assert "in 30 of 30 frames a place is blurred" in summary(record)
    assert max(alike(scene, output, 1) + alike(scene, output, 2)) < 0.6


def test_who_is_known_in_the_mean_over_frames_gets_no_file(tmp_path):
    """Each frame alone is a stranger to the judge; what they have in common is the person."""
    scene = Scene({1: still(10, 20)}, 24)

    def spread(crops, identity, index):
        noise = torch.rand(len(crops), 3, 16, 16, generator=torch.Generator().manual_seed(3))
        noise = torch.nn.functional.interpolate(noise, crops.shape[-2:])
        return lambda guidance, instead=None: 0.4 * crops + 0.6 * noise

    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    wary = Judge()
    wary.rule = replace(wary.rule, threshold=0.62)
    with pytest.raises(StillRecognisedError, match="person 1 is still recognised by pixels in the mean over frames"):
        anonymize_clip(job(scene, source, output, ports=scene.ports(invert_face=spread, judges=[wary])))
    assert not output.exists()
    record = anonymize_clip(job(scene, source, output, ports=scene.ports(judges=[wary]), settings={"guidance": -20}))
    assert record["people"][0]["verdict"] == "not re-identified by 1 of 1 judges"


def test_the_cost_is_told_before_anything_is_made(scene, tmp_path):
    source, calls = clip_of(scene, tmp_path / "a.mp4"), []
    asked = job(scene, source, tmp_path / "b.mp4", on_cost=calls.append)
    cost = tell_cost(asked)
    assert cost[:3] == (30, 60, 40) and cost.seconds > 0 and not (tmp_path / "b.mp4").exists()
    anonymize_clip(asked)
    assert calls[0][:3] == cost[:3]
    said = str(Cost(300, 312, 64, 6.4))
    assert said == (
        "312 faces in 300 frames, 64 network evaluations each: about 33 min at 6.4 s a face; by preset: paper 400 "
        "(40.0 s), balanced 64 (6.4 s), fast 40 (4.0 s), instant 24 (2.4 s)"
    )
    assert "seconds" not in str(Cost(3, 3, 64, None))
    assert str(Cost(300, 312, 64, 6.4, 160)).startswith(
        "312 faces in 300 frames, 160 of them sampled, 64 network evaluations each: about 17 min"
    )


def test_a_clean_copy_says_nothing(scene, tmp_path):
    source, output = clip_of(scene, tmp_path / "a.mp4"), tmp_path / "b.mp4"
    clean_copy(source, output, lambda: None)
    assert moments(output) == moments(source) and sound_of(output) == sound_of(source)
    assert b"my home" in source.read_bytes() and b"my home" not in output.read_bytes()


def test_a_clean_copy_of_a_turned_hdr_clip_keeps_both(scene, tmp_path):
    matrix = (0, 65536, 0, -65536, 0, 0, 120 * 65536, 0, 1 << 30)
    source, output = tmp_path / "a.mp4", tmp_path / "b.mp4"
    images = [torch.rot90(scene.image(k), 1, (1, 2)) for k in range(3)]
    write_clip(source, images, matrix=matrix, pixels="yuv420p10le", color_trc=16)
    clean_copy(source, output, lambda: None)
    with av.open(str(source)) as a, av.open(str(output)) as b:
        for before, after in zip(a.decode(video=0), b.decode(video=0), strict=True):
            assert before.rotation == after.rotation == -90 and after.color_trc == 16
            assert all((x == y).all() for x, y in zip(image_planes(before), image_planes(after), strict=True))


def test_a_clip_that_changes_between_the_looks_is_an_error(scene, tmp_path):
    source = clip_of(scene, tmp_path / "a.mkv")
    form = probe(source)
    stamps = [one.stamp for one in scan(source, form, Span())]
    assert [one.stamp for one in read(source, form, stamps[20:25])] == stamps[20:25]
    with pytest.raises(ValueError, match="has the clip changed"):
        list(read(source, form, [*stamps[:3], stamps[3] + 1]))


def test_runs_of_frames():
    assert spans([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)] and spans([]) == []


def test_bad_choices():
    for bad in ({"quality": 70}, {"bit_rate": 3}, {"lossless": True, "quality": 3}):
        with pytest.raises(ValueError):
            Encoding(**bad)
    for bad in ({"start": -1}, {"start": 3, "end": 2}, {"fps_limit": 0}):
        with pytest.raises(ValueError):
            Span(**bad)

# ruff: noqa: F401, F811
"""Clips and frames through the boxes, in the real host: counts, sound, span, cancel, a clean file."""

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_photo_boxes import everyone, run, scene, the_detector_is_told

av = pytest.importorskip("av")
FRAMES, RATE = 5, 10


@pytest.fixture(autouse=True)
def faint_faces_are_none(scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [scene.core("nodes.video"), scene.core("nodes.anonymize")]
    for module in boxes:
        monkeypatch.setattr(module, "sure_and_faint", lambda image, detectors, search: (detectors[0](image), []))


@pytest.fixture
def clip(scene: SimpleNamespace, tmp_path: Path) -> Path:
    """The photo five times, with a tone and a place in its metadata."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "my home"
        stream = container.add_stream("libx264", rate=RATE, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *scene.photo.shape[1:3], "yuv444p"
        track = container.add_stream("aac", rate=48000, layout="mono")
        for _ in range(FRAMES):
            pixels = (scene.photo[0].numpy() * 255).round().astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        tone = (np.sin(np.arange(48000 * FRAMES // RATE) / 20) / 2).astype(np.float32)[None]
        for start in range(0, tone.shape[1], 1024):
            part = np.ascontiguousarray(tone[:, start : start + 1024])
            samples = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 48000, start, Fraction(1, 48000)
            container.mux(track.encode(samples))
        container.mux(track.encode(None))
    return path


def of_file(path: Path) -> Any:
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path))


def anonymized(scene: SimpleNamespace, video: Any, **changes: Any) -> Any:
    """(VIDEO, report, verdict) in a few steps."""
    _, attribute = run(scene, "AttributePrompt", clip=scene.clip, age="any", sex="any", look="", text="")
    inputs: dict[str, Any] = {
        "video": video, "model": scene.model, "clip": scene.clip, "vae": scene.vae, "adapter": scene.adapter,
        "face_model": scene.face_model, "detector": scene.detector, "attribute": attribute, "strength": 0.5,
        "size": 128, "steps": 4, "skip": 0.6, "seed": 1, "no_face": "raise", "quality": 0,
    }  # fmt: skip
    return run(scene, "RevPersAnonymizeVideo", **{**inputs, **changes})


def sound(path: str) -> list[bytes]:
    with av.open(path) as container:
        return [bytes(one) for one in container.demux(container.streams.audio) if one.dts is not None]


def temporary() -> list[str]:
    import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    return sorted(one.name for one in folder.glob("*revpers_*")) if folder.is_dir() else []


def test_everyone_in_a_clip_changes_and_the_sound_stays(scene: Any, clip: Path) -> None:
    video, report, verdict = anonymized(scene, of_file(clip))
    record = json.loads(report)
    assert record["frames"] == FRAMES and [one["made"] for one in record["people"]] == [FRAMES] * 2
    assert (
        verdict == "2 people changed; nobody has checked (connect Load Judge)"
        and "seed" not in report
        and "a.mp4" not in report
    )
    assert record["cost"]["face_frames"] == 2 * FRAMES and record["cost"]["evaluations"] == 16
    images = video.get_components().images
    assert images.shape == (FRAMES, *scene.photo.shape[1:])
    for face in scene.faces:
        x, y = face.points[2].int().tolist()
        assert (images - scene.photo)[:, y - 15 : y + 15, x - 15 : x + 15].abs().amax((1, 2, 3)).min() > 0.1
    assert (images - scene.photo)[:, :10].abs().max() < 0.03
    assert sound(video.get_stream_source()) == sound(str(clip)) != []


def test_the_cost_is_said_in_the_log_and_on_the_box_before_anything_is_made(
    scene: Any, clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[tuple[str, str]] = []
    host = scene.core("revpers_core.hosts.comfy_video")
    monkeypatch.setattr(host, "say", lambda node, text: shown.append((text, caplog.text)))
    with caplog.at_level("INFO"):
        anonymized(scene, of_file(clip))
    ((text, log),) = shown
    assert text.startswith("10 faces in 5 frames, 16 network evaluations each: about ")
    assert "by preset: paper 400 (" in text and "instant" in text and f"clip: {text}" in log
    assert log.count("inversion of") == 1 and caplog.text.count("inversion of") > 1, "one face is timed before"


def test_a_copy_stops_when_it_is_cancelled_and_leaves_no_file(scene: Any, clip: Path) -> None:
    import comfy.model_management as management
    import folder_paths

    folder = Path(folder_paths.get_output_directory())
    before = sorted(folder.rglob("*"))
    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        scene.nodes["RevPersSaveVideo"].execute(of_file(clip), "cancelled")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.upstream
def test_only_the_span_of_a_trimmed_clip(scene: Any, clip: Path) -> None:
    trimmed = of_file(clip).as_trimmed(start_time=0.1, duration=0.2)
    video, report, _ = anonymized(scene, trimmed)
    assert json.loads(report)["frames"] == 2 == len(video.get_components().images)


def test_a_clip_that_is_made_of_images(scene: Any) -> None:
    from comfy_api.latest import InputImpl, Types

    parts = Types.VideoComponents(images=scene.photo.repeat(3, 1, 1, 1), audio=None, frame_rate=Fraction(10))
    before = temporary()
    video, report, _ = anonymized(scene, InputImpl.VideoFromComponents(parts))
    assert json.loads(report)["frames"] == 3 == len(video.get_components().images)
    assert len(temporary()) == len(before) + 1, "only the result is left there"


def test_a_saved_clip_says_nothing(scene: Any, clip: Path) -> None:
    import folder_paths

    shown = scene.nodes["RevPersSaveVideo"].execute(of_file(clip), "anonymous_test").ui.as_dict()
    (file,) = shown["images"]
    path = Path(folder_paths.get_output_directory()) / file["subfolder"] / file["filename"]
    assert b"my home" in clip.read_bytes() and b"my home" not in path.read_bytes()
    assert sound(str(path)) == sound(str(clip)) and path.suffix == ".mp4"
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_nobody_and_cancel_leave_no_file(scene: Any, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.model_management as management
    import comfy.utils

    before = temporary()
    with pytest.raises(ValueError, match=r"no face was found in any of the 5 frames"):
        anonymized(scene, of_file(clip), detector=(lambda image: [],))
    ticks: list[int] = []

    def hook(value: int, total: int, preview: Any = None, **_: Any) -> None:
        ticks.append(value)
        if len(ticks) == 12:
            management.interrupt_current_processing()
        management.throw_exception_if_processing_interrupted()

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    with pytest.raises(management.InterruptProcessingException):
        anonymized(scene, of_file(clip))
    assert len(ticks) == 12 and ticks == sorted(ticks)
    assert temporary() == before


def test_images_that_are_frames(scene: Any) -> None:
    """Lost for one frame, found by its neighbours."""
    seen = [0]

    def detector(image: torch.Tensor) -> list[Any]:
        seen[0] += 1
        return scene.faces[:1] if seen[0] == 3 else list(scene.faces)

    frames = scene.photo.repeat(FRAMES, 1, 1, 1)
    image, mask, report = everyone(scene, image=frames, detector=(detector,), steps=4, frames=True)
    record = json.loads(report)
    assert [one["made"] for one in record["people"]] == [FRAMES] * 2 and [
        one["frames"] for one in record["people"]
    ] == [
        5,
        4,
    ]
    assert torch.equal(image[mask == 0], frames[mask == 0])
    x, y = scene.faces[1].points[2].int().tolist()
    assert (image - frames)[:, y - 15 : y + 15, x - 15 : x + 15].abs().amax((1, 2, 3)).min() > 0.1


def test_a_clips_stranger_is_of_the_seed_or_of_the_key_and_nobody_in_old_workflows(scene: Any, clip: Path) -> None:
    def frames(**more: Any) -> torch.Tensor:
        return anonymized(scene, of_file(clip), **more)[0].get_components().images

    key = {"who": "the same stranger by key", "person": 0, "key": "a long secret sentence", "length": 1.0}
    with torch.inference_mode():
        keyed = scene.nodes["RevPersPseudonym"].execute(**key).args[0]
    nobody, (one, other) = frames(), [frames(who="a stranger by seed", person=seed) for seed in (1, 2)]
    assert torch.equal(nobody, frames(who="nobody", person=1))
    assert torch.equal(one, frames(who="a stranger by seed", person=1))
    assert (one - nobody).abs().max() > 0.05 < (one - other).abs().max()
    assert (frames(instead=keyed) - one).abs().max() > 0.05
    assert torch.equal(frames(instead=keyed, who="nobody"), frames(instead=keyed))


def test_an_odd_size_is_kept(scene: Any, tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE, options={"lossless": "1"})
        pixels = (scene.photo[0, :-1, :-1].numpy() * 255).round().astype(np.uint8)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    video, _, _ = anonymized(scene, of_file(path), quality=16)
    assert video.get_components().images.shape == (2, *pixels.shape)

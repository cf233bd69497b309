# ruff: noqa: F401, F811
"""What is seen while a run goes on: one bar, previews in true colours, the time in the log, and cancel at once."""

from typing import Any

import pytest
import torch
from test_photo_boxes import everyone, scene, the_detector_is_told
from torch.nn.functional import avg_pool2d


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, Any]]:
    """(value, total, preview) of everything that ComfyUI's bar is told."""
    import comfy.utils

    calls: list[tuple[int, int, Any]] = []
    hook = lambda value, total, preview=None, **_: calls.append((value, total, preview))  # noqa: E731
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    return calls


def test_one_bar_over_photos_and_faces(scene: Any, ticks: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):  # the same photo twice would be inverted once
        everyone(scene, image=torch.cat([scene.photo, 0.97 * scene.photo]), steps=8)
    values, totals = [value for value, _, _ in ticks], {total for _, total, _ in ticks}
    assert totals == {1000} and values[0] == 0 and values[-1] == 1000
    assert values == sorted(values) and len(set(values)) == 1 + 2 * 2 * 2 * 8
    assert values[32] == 500, "a photo is half of two"
    assert caplog.text.count("inversion of 1 face, 8 steps") == caplog.text.count("sampling of 1 face, 8 steps") == 4


def test_a_face_done_again_holds_the_bar(scene: Any, ticks: list[Any]) -> None:
    from test_photo_boxes import judge

    everyone(scene, judge=(judge([0.9, 0.0, 0.0]),), steps=8)
    values = [value for value, _, _ in ticks]
    assert values == sorted(values) and values[-1] == 1000 and values.count(max(v for v in values if v < 520)) == 9


def test_previews_have_the_pictures_colours(scene: Any, ticks: list[Any]) -> None:
    from torchvision.transforms.functional import to_tensor

    alone = (lambda image: scene.faces[:1],)
    with pytest.raises(ValueError, match="still recognised by the recogniser that steered the run"):
        everyone(scene, detector=alone, strength=0.01)
    shown = to_tensor(ticks[-1][2][1])
    cut = scene.core("revpers_core.faces.geometry").crop_face
    truth = avg_pool2d(cut(scene.photo[0].permute(2, 0, 1), scene.faces[0], 128).pixels, 8)
    assert (shown - truth).abs().mean() < 0.12


def test_cancel_is_heard_at_the_next_step_and_at_the_next_look(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.model_management as management
    import comfy.utils

    steps: list[int] = []

    def hook(value: int, total: int, preview: Any = None, **_: Any) -> None:
        steps.append(value)
        if len(steps) == 5:
            raise management.InterruptProcessingException

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    with pytest.raises(management.InterruptProcessingException):
        everyone(scene)
    assert len(steps) == 5
    looks: list[int] = []
    watched = scene.core("revpers_core.hosts.comfy_progress").interruptible([lambda image: looks.append(1)])
    management.interrupt_current_processing(True)
    with pytest.raises(management.InterruptProcessingException):
        watched[0](scene.photo)
    assert not looks


def test_steps_move_a_clips_bar_by_their_share_of_all_faces(scene: Any, ticks: list[Any]) -> None:
    """Two of eight faces inverted and sampled are a quarter of what is to be made; more than was expected holds it."""
    progress = scene.core("revpers_core.hosts.comfy_video").ClipProgress(scene.model)
    two = torch.zeros(2, 4, 16, 16)
    progress.on_step(0, two, two, 4)
    assert ticks[-1][0] == 0, "nobody knows yet how many faces there are"
    progress.expect(8)
    for step in range(8):
        progress.on_step(step % 4, two, two, 4)
    assert ticks[-1][0] == 200 + 750 // 4 + 1
    for step in range(100):
        progress.on_step(step % 4, two, two, 4)
    assert 900 < ticks[-1][0] < 950

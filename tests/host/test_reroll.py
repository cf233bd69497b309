# ruff: noqa: F401, F811
"""A re-roll of the person, strength or words only samples: the box keeps the last run's inversions, and no longer."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_photo_boxes import everyone, run, scene, the_detector_is_told

STRANGER = {"who": "a stranger by seed"}


@pytest.fixture
def evaluations(scene: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pictures that went through the network since the last look; in each test the box is a new one."""
    scene.adapter.inversions._kept.clear()
    count = 0

    def counted(module: Any, inputs: Any) -> None:
        nonlocal count
        count += len(inputs[0])

    def since() -> int:
        nonlocal count
        count, before = 0, count
        return before

    handle = scene.model.model.diffusion_model.register_forward_pre_hook(counted)
    yield since
    handle.remove()


def fresh(scene: SimpleNamespace, **changes: Any) -> torch.Tensor:
    """What a box that has kept nothing gives."""
    scene.adapter.inversions._kept.clear()
    return everyone(scene, **changes)[0]


@pytest.mark.parametrize("change", [{"person": 2}, {"strength": 0.7}, {"who": "nobody"}])
def test_another_person_or_strength_samples_only(scene: SimpleNamespace, evaluations: Any, change: Any) -> None:
    everyone(scene, **STRANGER, person=1)
    whole = evaluations()
    again = everyone(scene, **{**STRANGER, "person": 1, **change})[0]
    sampled = evaluations()
    assert whole == 2 * 8 * 4 and sampled == 2 * 8 * 2, "eight steps, two faces, both branches; no inversion"
    assert torch.equal(again, fresh(scene, **{**STRANGER, "person": 1, **change}))
    assert evaluations() == whole


def test_other_words_sample_only(scene: SimpleNamespace, evaluations: Any) -> None:
    _, old = run(scene, "AttributePrompt", clip=scene.clip, age="old", sex="any", look="", text="")
    everyone(scene)
    whole = evaluations()
    again = everyone(scene, attribute=old)[0]
    assert evaluations() == whole // 2
    assert torch.equal(again, fresh(scene, attribute=old))


@pytest.mark.parametrize("change", [{"seed": 2}, {"steps": 6}, {"skip": 0.5}, {"size": 120}, {"photo": 0.01}])
def test_what_decides_an_inversion_makes_it_anew(scene: SimpleNamespace, evaluations: Any, change: Any) -> None:
    everyone(scene)
    evaluations()
    steps = change.get("steps", 8)
    if "photo" in change:
        change = {"image": (scene.photo + change["photo"]).clamp(0, 1)}
    again = everyone(scene, **change)[0]
    assert evaluations() == 2 * steps * 4
    assert torch.equal(again, fresh(scene, **change))


def test_another_model_or_adapter_makes_it_anew(scene: SimpleNamespace, evaluations: Any) -> None:
    everyone(scene)
    whole = evaluations()
    clone = scene.model.clone()
    everyone(scene, model=clone)
    assert evaluations() == whole, "a clone may carry other packs' patches"
    clone.add_patches({"diffusion_model.out.2.bias": (torch.full((4,), 0.1),)}, 1.0)
    everyone(scene, model=clone)
    assert evaluations() == whole, "the same clone, patched"


def test_only_the_last_run_is_kept_and_a_failed_one_takes_nothing_away(
    scene: SimpleNamespace, evaluations: Any
) -> None:
    inversions = scene.adapter.inversions
    everyone(scene)
    first = set(inversions._kept)
    other = (scene.photo + 0.01).clamp(0, 1)
    with pytest.raises(ValueError, match="image 2 of 2: no face was found"):
        everyone(scene, image=torch.cat([other, torch.full_like(other, 0.5)]), detector=(nobody_in_grey(scene),))
    assert len(inversions._kept) == 4 and first < set(inversions._kept)
    evaluations()
    everyone(scene, image=other)
    assert evaluations() == 2 * 8 * 2, "the failed run's first photo need not be inverted again"
    assert len(inversions._kept) == 2 and not first & set(inversions._kept)


def nobody_in_grey(scene: SimpleNamespace) -> Any:
    """A detector that sees nobody in the grey picture."""
    return lambda image: list(scene.faces) if image.std() > 0.01 else []


def test_what_does_not_fit_is_made_anew(
    scene: SimpleNamespace, evaluations: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversions = scene.adapter.inversions
    everyone(scene)
    whole, (size, *_) = evaluations(), [one.size for one in inversions._kept.values()]
    monkeypatch.setattr(inversions, "limit", size)
    inversions._kept.clear()
    everyone(scene)
    evaluations()
    everyone(scene)
    assert evaluations() == whole // 2 + whole // 4, "one of the two faces fits"
    monkeypatch.setattr(inversions, "limit", 0)
    inversions._kept.clear()
    everyone(scene)
    assert not inversions._kept


def test_a_clips_frames_are_not_kept(scene: SimpleNamespace, evaluations: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    box = scene.core("nodes.anonymize")
    monkeypatch.setattr(box, "sure_and_faint", lambda image, detectors, search: (detectors[0](image), []))
    everyone(scene, image=scene.photo.repeat(2, 1, 1, 1), frames=True)
    assert not scene.adapter.inversions._kept


def test_digests_tell_bits_apart_and_strangers_never_match(scene: SimpleNamespace) -> None:
    digest = scene.core("revpers_core.hosts.comfy_inversions").digest
    one = torch.zeros(2, 2, dtype=torch.bfloat16)
    assert digest(one, {"a": [1, None]}) == digest(one.clone(), {"a": [1, None]})
    seen = [digest(one), digest(one.float()), digest(one.flatten()), digest(-one), digest(one, None), digest([one])]
    assert len(set(seen)) == len(seen), "-0.0 is another zero"
    assert digest(hook := object()) != digest(hook)

"""Face networks in the real ComfyUI: on its device, under its model management, without onnxruntime."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def loaded_networks() -> list[Any]:
    from comfy.model_management import current_loaded_models

    held = [entry.model.model for entry in current_loaded_models if entry.model]
    return [module for module in held if type(module).__name__ == "TorchGraph"]


def test_networks_are_loaded_when_they_run_and_put_away_when_room_is_needed(comfy: SimpleNamespace) -> None:
    from comfy.model_management import unload_all_models

    faces = torch.rand(2, 3, 112, 112)
    with torch.inference_mode():
        detector = comfy.nodes["RevPersLoadFaceDetector"].execute("pocket", "auto").args[0]
        judge = comfy.nodes["RevPersLoadJudge"].execute("pocket", 0.3).args[0][0]
        face_model = comfy.nodes["RevPersLoadPocket"].execute().args[4]
        # The judge's description is tried on a picture when it is loaded, and so is the judge.
        networks = [judge.model.session.module, detector[0].network.module, face_model.session.module]
        assert [any(network is held for held in loaded_networks()) for network in networks] == [True, False, False]
        detector[0](torch.rand(3, 128, 128))
        before = judge.model.features(faces), face_model.features(faces)
        assert all(any(network is held for held in loaded_networks()) for network in networks)
        unload_all_models()
        assert loaded_networks() == []
        after = judge.model.features(faces), face_model.features(faces)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_weights_are_counted_by_comfyui(comfy: SimpleNamespace) -> None:
    from comfy.model_management import current_loaded_models, unload_all_models

    unload_all_models()
    face_model = comfy.nodes["RevPersLoadPocket"].execute().args[4]
    face_model.features(torch.rand(1, 3, 112, 112))
    (entry,) = [one for one in current_loaded_models if one.model.model is face_model.session.module]
    weights = sum(weight.numel() * 4 for weight in face_model.session.module.parameters())
    assert entry.model_memory() == weights > 3_000_000
    assert entry.model_loaded_memory() == weights


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_providers(comfy: SimpleNamespace, provider: str) -> None:
    detector = comfy.nodes["RevPersLoadFaceDetector"].execute("pocket", provider).args[0][0]
    assert detector.network.module.place.type == "cpu" and isinstance(detector(torch.rand(3, 90, 70)), list)


def test_providers_that_are_not_there(comfy: SimpleNamespace) -> None:
    loader = comfy.nodes["RevPersLoadFaceDetector"]
    with pytest.raises(RuntimeError, match=r"provider cuda: this ComfyUI runs on cpu\. Choose auto"):
        loader.execute("pocket", "cuda")
    with pytest.raises(ImportError, match="onnxruntime is needed and not installed"):
        loader.execute("pocket", "onnxruntime")

"""'Load Everything' in the real ComfyUI: from files in its folders to another face; what it says where they lack."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from server import REPO, Server

WEIGHTS = REPO / "revpers_core" / "pocket" / "weights"
FILES = {
    "pocket_sdxl.safetensors": "checkpoints/my_sdxl.safetensors",
    "pocket_faceid.safetensors": "ipadapter/ip-adapter-faceid_sdxl.safetensors",
    "pocket_arcface.onnx": "insightface/models/buffalo_l/w600k_r50.onnx",
    "pocket_detector.onnx": "insightface/models/buffalo_l/det_10g.onnx",
}
"""The pocket's files have the published forms: under the published names they stand in for the real ones."""
AUTO = {"checkpoint": "auto", "adapter": "auto", "face_model": "auto", "detector": "auto"}


@pytest.fixture
def files(base: Path) -> Iterator[Path]:
    """The files in ComfyUI's folders, and gone again."""
    models = base / "models"
    for source, place in FILES.items():
        (models / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(WEIGHTS / source, models / place)
    yield models
    for place in FILES.values():
        (models / place).unlink(missing_ok=True)


@pytest.fixture
def box(comfy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The node. ComfyUI reads the small checkpoint with the pocket's operations, which it does not know by itself."""
    import comfy.sd as loading

    node, opened = comfy.nodes["RevPersLoadEverything"], list[str]()
    pocket = node.execute(**{**AUTO, "checkpoint": "pocket model (demo)"}).args

    def guess(path: str, **_: Any) -> Any:
        opened.append(Path(path).name)
        return pocket[:3]

    monkeypatch.setattr(loading, "load_checkpoint_guess_config", guess)
    return SimpleNamespace(run=lambda **changes: node.execute(**{**AUTO, **changes}).args, node=node, opened=opened)


def test_from_files_to_another_face(comfy: SimpleNamespace, box: Any, files: Path) -> None:
    model, clip, vae, adapter, face_model, detector, taken = box.run()
    assert box.opened == ["my_sdxl.safetensors"]
    assert taken.splitlines() == [
        "checkpoint: my_sdxl.safetensors", "adapter: ip-adapter-faceid_sdxl.safetensors",
        "face model: w600k_r50.onnx", "detector: det_10g.onnx",
    ]  # fmt: skip
    nodes = comfy.nodes
    with torch.inference_mode():
        face = nodes["RevPersPocketFace"].execute(3, 0).args[0]
        identity = nodes["FaceIDEmbed"].execute(face_model, face, 1.0).args[0]
        faces = nodes["RevPersDetectFaces"].execute(detector, face, 0.5, 20.0, True).args[0]
        positive, words = nodes["AttributePrompt"].execute(clip, "any", "any", "", "").args
        path = (
            nodes["NullIDInvertDPMPP"]
            .execute(model, adapter, positive, {"samples": vae.encode(face)}, 4, 0.5, 0)
            .args[0]
        )
        result = nodes["NegativeIDGuidanceSampler"].execute(
            model, adapter, identity, path, words, -8.0, allow_unchanged=True
        ).args[0]  # fmt: skip
    assert len(faces[0]) == 1
    assert (result["samples"] - path.latent["samples"].to(result["samples"])).abs().mean() > 0.05


def test_what_lacks_is_one_message(box: Any, files: Path) -> None:
    for place in (FILES["pocket_faceid.safetensors"], FILES["pocket_detector.onnx"]):
        (files / place).unlink()
    with pytest.raises(FileNotFoundError) as error:
        box.run()
    said = str(error.value)
    assert said.startswith("2 files are missing") and "ip-adapter-faceid_sdxl.bin (1 GB, https://" in said
    assert "det_10g.onnx" in said and "sd_xl_base" not in said and "'pocket model (demo)'" in said
    assert not box.opened  # nothing is read before


def test_the_page_is_told_what_a_workflow_lacks_before_it_runs(server: Server, files: Path) -> None:
    def lacks(kind: str, **values: Any) -> list[str]:
        found = server.post("/revpers/missing", [{"kind": kind, "values": values}])
        assert all(set(one) == {"name", "folder", "size", "link", "note"} for one in found)
        return [one["name"] for one in found]

    (files / FILES["pocket_faceid.safetensors"]).unlink()
    assert lacks("RevPersLoadEverything", **AUTO) == ["ip-adapter-faceid_sdxl.bin"]
    assert lacks("RevPersLoadEverything", **{**AUTO, "checkpoint": "pocket model (demo)"}) == []
    for place in FILES.values():
        (files / place).unlink(missing_ok=True)
    boxes = [{"kind": "RevPersLoadEverything", "values": AUTO}]
    boxes += [{"kind": "CheckpointLoaderSimple", "values": {"ckpt_name": "sd_xl_base_1.0.safetensors"}}] * 2
    boxes += [{"kind": "RevPersLoadFaceIDAdapter", "values": {"adapter_name": "mine.bin"}}]
    found = server.post("/revpers/missing", boxes)
    assert [(one["name"].split(",")[0], one["folder"], one["size"].split(",")[0]) for one in found] == [
        ("sd_xl_base_1.0.safetensors", "checkpoints", "6.9 GB"),
        ("ip-adapter-faceid_sdxl.bin", "ipadapter", "1 GB"),
        ("buffalo_l.zip", "insightface/models/buffalo_l", "280 MB"),
        ("det_10g.onnx of buffalo_l", "insightface", "17 MB"),
        ("mine.bin", "ipadapter", ""),
    ]
    assert all(one["link"].startswith("https://") for one in found[:4])
    assert lacks("KSampler", model_name="x") == [] and lacks("RevPersLoadFaceModel", model_name="pocket") == []


def test_a_file_that_comes_counts_at_the_next_run(box: Any, files: Path) -> None:
    place = files / FILES["pocket_faceid.safetensors"]
    kept = place.read_bytes()
    before = box.node.fingerprint_inputs(**AUTO)
    assert before == box.node.fingerprint_inputs(**AUTO)
    place.unlink()
    without = box.node.fingerprint_inputs(**AUTO)
    place.write_bytes(kept)
    assert without != before and "ip-adapter-faceid_sdxl.bin" in without
    assert len(box.run()) == 7


def test_the_pocket_model_comes_only_when_asked_for(comfy: SimpleNamespace, box: Any) -> None:
    model, *_, taken = box.run(checkpoint="pocket model (demo)")
    assert comfy.core("revpers_core.hosts.comfy").is_pocket(model) and "DEMO" in taken
    with pytest.raises(FileNotFoundError, match="4 files are missing"):
        box.run()
    with pytest.raises(ValueError, match=r"adapter: the pocket model brings its own.*leave it at auto"):
        box.run(checkpoint="pocket model (demo)", adapter="mine.bin")

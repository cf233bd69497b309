"""What goes wrong at an artist's desk is said in words: which input, what was expected, what came, what to do."""

import json
import sys
import urllib.error
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from server import REPO, Server

SIZE = 16


@pytest.fixture(scope="module")
def lab(comfy: SimpleNamespace) -> SimpleNamespace:
    """A small SDXL with an adapter for it, and the inputs of the method's nodes."""
    from comfyui_host import golden_model
    from run import HERE

    golden = HERE / "golden"
    faceid = comfy.core("revpers_core.adapters.weights")
    weights = faceid.load(golden / "faceid_adapter.safetensors")
    words = [[torch.zeros(1, 77, 64), {"pooled_output": torch.zeros(1, 32)}]]
    return SimpleNamespace(
        nodes=comfy.nodes, core=comfy.core, faceid=faceid, weights=weights, words=words,
        model=lambda: golden_model(golden, "epsilon"),
        adapter=comfy.core("revpers_core.hosts.comfy_adapter").Adapter.of(weights),
        latent={"samples": torch.randn(2, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(5))},
    )  # fmt: skip


def inverted(lab: SimpleNamespace, **changes: Any) -> Any:
    """The trajectory that 'Take the Photo Apart' gives."""
    inputs: dict[str, Any] = {
        "model": changes.get("model") or lab.model(), "adapter": lab.adapter, "positive": lab.words,
        "latent": lab.latent, "steps": 4, "skip": 0.7, "seed": 0,
    }  # fmt: skip
    with torch.inference_mode():
        return lab.nodes["NullIDInvertDPMPP"].execute(**{**inputs, **changes}).args[0]


@pytest.mark.parametrize(
    ("kind", "name"), [("BaseModel", "SD 2 or a relative"), ("SDXLRefiner", "SDXL's refiner"), ("Flux", "Flux")]
)
def test_another_checkpoint(lab: SimpleNamespace, kind: str, name: str) -> None:
    import comfy.model_base

    model = lab.model()
    model.model.__class__ = getattr(comfy.model_base, kind)
    with pytest.raises(ValueError, match=f"model: expected SDXL or SD 1.5, got {name}: load an SDXL checkpoint"):
        inverted(lab, model=model)


def test_a_latent_of_another_model(lab: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match=r"latent: expected a latent of SDXL .*got \(1, 16, 8, 8\).*VAE of the"):
        inverted(lab, latent={"samples": torch.zeros(1, 16, 8, 8)})


def test_an_empty_latent(lab: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="latent: it holds no image: connect the encoded photo"):
        inverted(lab, latent={"samples": torch.zeros(0, 4, SIZE, SIZE)})


def test_errors_are_called_by_their_names(server: Server) -> None:
    """What the page shows as the kind of an error is no path on this machine."""
    prompt = {
        "1": {"class_type": "RevPersLoadPocket", "inputs": {}},
        "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "3": {"class_type": "FaceIDEmbed", "inputs": {"face_model": ["1", 4], "image": ["2", 0], "scale": 1.0}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
    }
    messages = dict(server.result(server.queue(prompt))["status"]["messages"])
    error = messages["execution_error"]
    assert error["exception_type"] == "revpers_core.NoFaceError" and "sees no face" in error["exception_message"]
    assert "revpers" not in error["exception_message"]


def test_an_adapter_of_another_model(lab: SimpleNamespace) -> None:
    keys = {key: value for key, value in lab.weights.ip_adapter.items() if int(key.split(".")[0]) < 20}
    other = lab.faceid.AdapterWeights(lab.weights.image_proj, keys)
    adapter = lab.core("revpers_core.hosts.comfy_adapter").Adapter.of(other)
    with pytest.raises(ValueError, match=r"adapter: .*\(10 attention.*model is .*\(11 .*such as ip-adapter-faceid"):
        inverted(lab, adapter=adapter)


@pytest.mark.parametrize("pooled", [None, torch.zeros(1, 48)])
def test_a_prompt_without_the_pooled_output_of_the_model(lab: SimpleNamespace, pooled: Any) -> None:
    """What T5, or another text encoder's half, gives."""
    words = [[torch.zeros(1, 77, 64), {} if pooled is None else {"pooled_output": pooled}]]
    with pytest.raises(ValueError, match=r"pooled output.*takes one of width 32: connect the clip of the same"):
        inverted(lab, positive=words)
    face = lab.core("revpers_core.method.types").Identity(torch.nn.functional.normalize(torch.ones(2, 512), dim=-1))
    model = lab.model()
    with pytest.raises(ValueError, match=r"pooled output.*takes one of width 32: connect the clip of the same"):
        lab.nodes["NegativeIDGuidanceSampler"].execute(
            model=model, adapter=lab.adapter, identity=face, trajectory=inverted(lab, model=model), attribute=words,
            guidance=-4.0,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["ModelSamplingDiscrete", "ModelSamplingContinuousEDM", "ModelSamplingContinuousV"])
def test_models_that_are_sampled_otherwise(lab: SimpleNamespace, name: str) -> None:
    """Noise and v at the levels that SDXL was trained at run; what else there is is refused by name."""
    from comfy_extras import nodes_model_advanced as advanced

    node = getattr(advanced, name)()
    choices = node.INPUT_TYPES()["required"]["sampling"][0]
    assert len(choices) >= 1
    for sampling in choices:
        more = {"zsnr": False} if name == "ModelSamplingDiscrete" else {"sigma_max": 120.0, "sigma_min": 0.002}
        (model,) = node.patch(lab.model(), sampling, **more)
        if sampling in ("eps", "v_prediction") and name == "ModelSamplingDiscrete":
            trajectory = inverted(lab, model=model)
            assert torch.isfinite(trajectory.path.x0).all() and len(set(trajectory.path.sigmas)) > 2
            continue
        cure = "keep the LoRA, and set student to lcm" if sampling == "lcm" else "take out the node that changes"
        with pytest.raises(ValueError, match=rf"model: its sampling is .*{cure}"):
            inverted(lab, model=model)


def test_a_trajectory_of_another_model(lab: SimpleNamespace) -> None:
    face = lab.core("revpers_core.method.types").Identity(torch.nn.functional.normalize(torch.ones(2, 512), dim=-1))
    other = lab.model()
    with torch.no_grad():
        other.model.diffusion_model.out[2].weight.mul_(1.01)
    with pytest.raises(ValueError, match=r"trajectory: it was made with another model.*connect the same model"):
        lab.nodes["NegativeIDGuidanceSampler"].execute(
            model=other, adapter=lab.adapter, identity=face, trajectory=inverted(lab), attribute=lab.words,
            guidance=-4.0,
        )  # fmt: skip


def test_out_of_memory(lab: SimpleNamespace) -> None:
    """In plain words, and still of the kind at which ComfyUI frees its models."""
    import comfy.model_management

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 136 GiB")

    model = lab.model()
    model.set_model_unet_function_wrapper(full)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="with 2 faces of 128 x 128 pixels: give fewer") as raised:
        inverted(lab, model=model)
    assert isinstance(raised.value, comfy.model_management.OOM_EXCEPTION)


def test_no_face(lab: SimpleNamespace) -> None:
    with torch.inference_mode():
        face_model = lab.nodes["RevPersLoadPocket"].execute().args[4]
        with pytest.raises(ValueError, match=r"image: .* sees no face in image 1 of 1: use a clearer photo"):
            lab.nodes["FaceIDEmbed"].execute(face_model, torch.zeros(1, 128, 128, 3), 1.0)
        with pytest.raises(ValueError, match="expected an aligned square crop of one face, got 200 x 128 pixels: crop"):
            lab.nodes["FaceIDEmbed"].execute(face_model, torch.zeros(1, 128, 200, 3), 1.0)


def test_no_onnxruntime(lab: SimpleNamespace, base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs it, but for a network with an operator that we do not know; then it is said what to install."""
    folder = base / "models" / "insightface"
    folder.mkdir(exist_ok=True)
    content = (REPO / "revpers_core/pocket/weights/pocket_arcface.onnx").read_bytes()
    (folder / "lone.onnx").write_bytes(content)
    (folder / "strange.onnx").write_bytes(content.replace(b"Flatten", b"Flutter"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    loader = lab.nodes["RevPersLoadFaceModel"]
    face_model = loader.execute("lone.onnx").args[0]
    assert face_model.name == "lone" and face_model.features(torch.rand(2, 3, 112, 112)).shape == (2, 512)
    with pytest.raises(ImportError, match=r"onnxruntime is needed.*strange\.onnx.*Flutter.*pip install onnxruntime"):
        loader.execute("strange.onnx")


def refusal(server: Server, prompt: dict[str, Any]) -> dict[str, str]:
    """Node id -> what ComfyUI says of its inputs when the prompt is queued."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        server.queue(prompt)
    found = json.loads(raised.value.read())["node_errors"]
    return {key: " ".join(error["details"] for error in node["errors"]) for key, node in found.items()}


def test_missing_files_are_named_with_source_place_size_and_licence(server: Server) -> None:
    report = refusal(server, json.loads((REPO / "workflows/api/anonymize_aligned_face.json").read_text()))
    for key, words in (
        ("4", ("adapter_name", "ip-adapter-faceid_sdxl.bin", "huggingface.co/h94", "1 GB", "models/ipadapter")),
        ("5", ("model_name", "buffalo_l", "github.com/deepinsight", "280 MB", "models/insightface/models/buffalo_l")),
    ):
        for word in (*words, "is not there", "non-commercial"):
            assert word in report[key], (word, report[key])

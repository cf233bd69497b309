"""Every kind of adapter in the real ComfyUI: predictions as in the diffusers host, CLIP_VISION, the loader."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kinds
import pytest
import torch
from adapter_files import NAMES, adapter
from safetensors.torch import load_file

KINDS = [
    "faceid",
    "faceid-plusv2",
    "faceid-plus",
    "faceid-portrait",
    "faceid-portrait-unnorm",
    "instantid",
    "plus-face",
]
CLIP = {
    "model_type": "clip_vision_model", "num_channels": 3, "hidden_act": "gelu", "hidden_size": 1280, "image_size": 224,
    "intermediate_size": 64, "num_attention_heads": 16, "num_hidden_layers": 3, "patch_size": 14, "projection_dim": 32,
}  # fmt: skip
"""CLIP ViT-H's form, with fewer and thinner layers."""


@pytest.fixture(scope="module")
def lab(comfy: SimpleNamespace) -> SimpleNamespace:
    from comfyui_host import golden_model

    embeds, pooled = kinds.words()
    return SimpleNamespace(
        model=lambda: golden_model(kinds.GOLDEN, "epsilon"),
        weights=comfy.core("revpers_core.adapters.weights"),
        clip=comfy.core("revpers_core.adapters.clip"),
        host=comfy.core("revpers_core.hosts.comfy"),
        network=comfy.core("revpers_core.hosts.comfy_network").Network,
        adapter=comfy.core("revpers_core.hosts.comfy_adapter"),
        types=comfy.core("revpers_core.method.types"),
        words=[[[embeds[i : i + 1], {"pooled_output": pooled[i : i + 1]}]] for i in range(2)],
        nodes=comfy.nodes,
        zero_out=comfy.core("revpers_core.hosts.comfy_backbone").zero_out,
    )


def loaded(lab: SimpleNamespace, kind: str) -> Any:
    """The adapter, CLIP's part played by the stand-in of the golden predictions."""
    from dataclasses import replace

    record = lab.weights.from_state(kinds.file(kind), kind)
    vision = SimpleNamespace(model=SimpleNamespace(vision_model=SimpleNamespace(embeddings=SimpleNamespace(
        class_embedding=torch.zeros(1280)
    ))))  # fmt: skip
    result = lab.adapter.Adapter.of(record, clip_vision=vision)
    return replace(result, vision=lab.clip.FaceVision(kinds.see))


def predictions(lab: SimpleNamespace, kind: str) -> torch.Tensor:
    """Both branches at the golden state, inside ComfyUI's own sampling."""

    adapter, model = loaded(lab, kind), lab.model()
    identity = lab.types.Identity(**kinds.identity_fields())
    uncond, cond = lab.words
    run = lab.host.Run(lab.adapter.adapt(model, adapter), adapter, cond, uncond)
    sigma = float(model.get_model_object("model_sampling").sigma(torch.tensor([float(kinds.TIMESTEP)])))
    found: list[torch.Tensor] = []

    def body(sampler: Any, extra_args: Any, on_step: Any) -> torch.Tensor:
        known, nobody = (run._identity_kv(one, sampler) for one in (identity, identity.null))
        network = lab.network.under(known, nobody, sampler.inner_model, extra_args)
        found.extend(network.branches(kinds.latent(), sigma))
        return kinds.latent()

    with torch.inference_mode():
        run._sample(body, kinds.latent(), None, (sigma, sigma / 2), 1.0, None)
    return torch.cat(found)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_equal_the_diffusers_hosts(lab: SimpleNamespace, kind: str) -> None:
    golden = load_file(kinds.MADE)[kind]
    assert (predictions(lab, kind) - golden).abs().max() < 3e-5 * golden.abs().max()


@pytest.fixture(scope="module")
def clip_vision(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A small CLIP twice: transformers' model and ComfyUI's CLIP_VISION with its weights."""
    import comfy.clip_vision
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    expected = CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP)).eval().half().float()  # ComfyUI halves it
    path: Path = tmp_path_factory.mktemp("clip") / "config.json"
    path.write_text(json.dumps(CLIP))
    ours = comfy.clip_vision.ClipVisionModel(str(path))
    missing, unexpected = ours.load_sd(expected.state_dict())
    assert not missing and not unexpected
    return expected, ours


@torch.no_grad()
def test_comfyuis_clip_vision_gives_transformers_features(lab: SimpleNamespace, clip_vision: tuple[Any, Any]) -> None:
    expected, ours = clip_vision
    vision = lab.adapter.face_vision(ours)
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    for one, result in ((pixels, vision.encode(pixels)), (pixels * 0, vision.null_features)):
        golden = expected(one, output_hidden_states=True).hidden_states[-2]
        assert (result - golden).abs().max() < 1e-5 * golden.abs().max()


def test_the_loader_takes_each_published_file(
    lab: SimpleNamespace, base: Path, clip_vision: tuple[Any, Any]
) -> None:  # fmt: skip
    folder = base / "models" / "ipadapter"
    folder.mkdir(exist_ok=True)
    load = lab.nodes["RevPersLoadFaceIDAdapter"]
    for kind in KINDS:
        name = NAMES[kind]
        torch.save(adapter(kind, [64] * 11, context=768 if "sd15" in name else 64), folder / name)
        try:
            result = load.execute(name, 1.0, "auto", clip_vision[1]).args[0]
            assert result.weights.kind.name == kind
            if result.weights.kind.clip:
                with pytest.raises(ValueError, match=r"clip_vision: .* connect 'Load CLIP Vision'"):
                    load.execute(name, 1.0)
        finally:
            (folder / name).unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_changes_and_nobody_comes_back(lab: SimpleNamespace, kind: str) -> None:
    adapter, model = loaded(lab, kind), lab.model()
    latent = {"samples": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))}
    positive, words = lab.words[1], lab.zero_out(lab.words[1])
    with torch.inference_mode():
        levels = lab.host.levels(model, 4, 0.7)
        path = lab.host.invert_latent(model, adapter, positive, latent, levels, seed=3, at_once=1)
        identity = lab.types.Identity(**kinds.identity_fields())
        result, same = (
            lab.host.sample_latent(model, adapter, one, path, words, -4.0)["samples"]
            for one in (identity, identity.null)
        )
    size = latent["samples"].abs().max()
    assert (same - latent["samples"]).abs().max() < 1e-6 * size
    assert (result - latent["samples"]).abs().max() > 1e-3 * size

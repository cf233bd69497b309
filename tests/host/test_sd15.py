"""SD 1.5 and NullFace in the real ComfyUI: results as in the diffusers host; other checkpoints are refused by name."""

from types import SimpleNamespace
from typing import Any

import kinds
import pytest
import sd15
import torch
from safetensors.torch import load_file

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1],
    "channel_mult": [1, 2], "transformer_depth": [1, 0], "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 0, 0], "use_linear_in_transformer": False, "context_dim": 64,
    "adm_in_channels": None, "use_temporal_attention": False, "legacy": False, "use_spatial_transformer": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(comfy: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        nodes=comfy.nodes,
        core=comfy.core,
        golden=load_file(sd15.MADE),
        host=comfy.core("revpers_core.hosts.comfy"),
        backbone=comfy.core("revpers_core.hosts.comfy_backbone"),
        types=comfy.core("revpers_core.method.types"),
        adapter=comfy.core("revpers_core.hosts.comfy_adapter").Adapter.of(
            comfy.core("revpers_core.adapters.weights").from_state(sd15.file())
        ),
    )


def small(lab: SimpleNamespace, prediction: str = "epsilon", **changes: Any) -> Any:
    """The small SD 1.5 as a ModelPatcher, from the original checkpoint's keys."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models

    class Small(comfy.supported_models.SD15):
        unet_extra_config = {"num_heads": 2, "num_head_channels": -1}  # noqa: RUF012

    config = Small({**UNET, **changes})
    config.set_inference_dtype(torch.float32, None)
    kind = comfy.model_base.ModelType.V_PREDICTION if prediction == "v_prediction" else comfy.model_base.ModelType.EPS
    model = comfy.model_base.BaseModel(config, model_type=kind, device="cpu")
    if not changes:
        state = {
            key.removeprefix("model.diffusion_model."): value.float()
            for key, value in lab.golden.items()
            if key.startswith("model.")
        }
        model.diffusion_model.load_state_dict(state, strict=True)
    return comfy.model_patcher.ModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


def conditioning(embeds: torch.Tensor) -> list[Any]:
    return [[embeds, {"pooled_output": torch.zeros(1, 64)}]]


@pytest.mark.parametrize("method", ["reverse", "nullface"])
@pytest.mark.parametrize("prediction", sd15.PREDICTIONS)
def test_results_equal_the_diffusers_hosts(lab: SimpleNamespace, prediction: str, method: str) -> None:
    model, scale = small(lab, prediction), 0.18215
    empty, words = map(conditioning, sd15.words())
    latent, nodes = {"samples": sd15.latent() / scale}, lab.nodes
    with torch.inference_mode():
        (path,) = nodes["NullIDInvertDPMPP"].execute(
            model, lab.adapter, empty, latent, sd15.STEPS, sd15.SKIP, 5, "custom", 1
        ).args  # fmt: skip
        attribute = words if method == "reverse" else empty
        identity = lab.types.Identity(**kinds.identity_fields())
        (result,) = nodes["NegativeIDGuidanceSampler"].execute(
            model, lab.adapter, identity, path, attribute, guidance=sd15.GUIDANCE, method=method
        ).args  # fmt: skip
        nobody = lab.host.sample_latent(model, lab.adapter, identity.null, path, empty, -10.0)["samples"]
    golden = lab.golden[f"{prediction}.{method}"]
    assert (result["samples"] * scale - golden).abs().max() < 3e-4 * golden.abs().max()
    assert (nobody - latent["samples"]).abs().max() < 1e-6 * latent["samples"].abs().max()
    assert (golden - sd15.latent()).abs().max() > 1e-2
    assert "noise_mask" not in result


def test_nullface_takes_no_words(lab: SimpleNamespace) -> None:
    model, latent = small(lab), {"samples": sd15.latent()}
    empty, words = map(conditioning, sd15.words())
    with torch.inference_mode():
        path = lab.host.invert_latent(model, lab.adapter, empty, latent, lab.host.levels(model, 4, 0.5), 5)
        with pytest.raises(ValueError, match="nullface leads away from what stands in the unconditional branch"):
            lab.nodes["NegativeIDGuidanceSampler"].execute(
                model,
                lab.adapter,
                lab.types.Identity(**kinds.identity_fields()),
                path,
                words,
                guidance=-3.0,
                method="nullface",
            )


@pytest.mark.parametrize(("channels", "name"), [(9, "an inpainting checkpoint"), (8, "an InstructPix2Pix checkpoint")])
def test_other_channels_are_refused_by_name(lab: SimpleNamespace, channels: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"model: this is {name}"):
        lab.host.levels(small(lab, in_channels=channels), 4, 0.5)


def test_zero_terminal_snr_is_the_diffusers_hosts(lab: SimpleNamespace) -> None:
    """ComfyUI's own 'Model Sampling Discrete' against our table."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    (model,) = ModelSamplingDiscrete().patch(small(lab), "v_prediction", True)
    ours = torch.tensor(lab.core("revpers_core.method.schedule").sdxl_sigmas(zero_terminal_snr=True))
    levels = torch.tensor(lab.host.levels(model, 10, 0.0))
    ours = ours[[999, 888, 777, 666, 555, 444, 333, 222, 111, 1, 0]]
    assert ((levels - ours) / ours).abs().max() < 2e-3, (levels, ours)


def test_an_empty_prompt_is_encoded_for_sd15_and_zero_for_sdxl(lab: SimpleNamespace) -> None:
    import comfy.sd1_clip
    import comfy.sdxl_clip

    positive = conditioning(sd15.words()[0])
    for kind, empty in ((comfy.sd1_clip.SD1ClipModel, False), (comfy.sdxl_clip.SDXLClipModel, True)):
        clip = SimpleNamespace(cond_stage_model=kind.__new__(kind))
        assert bool(lab.backbone.wordless(clip, positive)[0][0].abs().max() == 0) == empty

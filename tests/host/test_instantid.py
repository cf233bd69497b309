"""InstantID with its ControlNet in the real ComfyUI: predictions as in the diffusers host, nobody comes back."""

from types import SimpleNamespace
from typing import Any

import instantid
import kinds
import pytest
import torch
from safetensors.torch import load_file

CONTROL = {
    "image_size": 32, "in_channels": 4, "hint_channels": 3, "model_channels": 32, "num_res_blocks": [1, 1, 1],
    "channel_mult": [1, 2, 2], "transformer_depth": [0, 1, 2], "transformer_depth_middle": 2, "num_heads": -1,
    "num_head_channels": 16, "use_linear_in_transformer": True, "context_dim": 64, "adm_in_channels": 80,
    "num_classes": "sequential", "legacy": False, "use_spatial_transformer": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(comfy: SimpleNamespace) -> SimpleNamespace:
    from comfyui_host import golden_model

    core, golden = comfy.core, load_file(instantid.MADE)
    embeds, pooled = kinds.words()
    result = SimpleNamespace(
        golden=golden,
        nodes=comfy.nodes,
        model=lambda: golden_model(kinds.GOLDEN, "epsilon"),
        host=core("revpers_core.hosts.comfy"),
        run=core("revpers_core.hosts.comfy_run").Run,
        network=core("revpers_core.hosts.comfy_network").Network,
        hosts=core("revpers_core.hosts.comfy_adapter"),
        control=core("revpers_core.hosts.comfy_control").PointedControl,
        draw=core("revpers_core.faces.five_points").five_points,
        zero_out=core("revpers_core.hosts.comfy_backbone").zero_out,
        weights=core("revpers_core.adapters.weights").from_state(kinds.file("instantid"), "instantid"),
        types=core("revpers_core.method.types"),
        words=[[[embeds[i : i + 1], {"pooled_output": pooled[i : i + 1]}]] for i in range(2)],
    )
    result.adapter = result.hosts.Adapter.of(result.weights, control_net=control_net(golden))
    return result


def control_net(golden: dict[str, torch.Tensor]) -> Any:
    """ComfyUI's CONTROL_NET with the golden weights, renamed as its own loader does it."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import comfy.utils

    names = dict(comfy.utils.unet_to_diffusers({**CONTROL, "transformer_depth_output": [0, 0, 1, 1, 2, 2]}))
    for i in range(9):
        for part in ("weight", "bias"):
            names[f"controlnet_down_blocks.{i}.{part}"] = f"zero_convs.{i}.0.{part}"
            names[f"controlnet_cond_embedding.blocks.{i}.{part}"] = f"input_hint_block.{2 + 2 * i}.{part}"
    for part in ("weight", "bias"):
        names[f"controlnet_mid_block.{part}"] = f"middle_block_out.0.{part}"
        names[f"controlnet_cond_embedding.conv_in.{part}"] = f"input_hint_block.0.{part}"
        names[f"controlnet_cond_embedding.conv_out.{part}"] = f"input_hint_block.14.{part}"
    network = comfy.cldm.cldm.ControlNet(**CONTROL, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    state = {names[key.removeprefix("net.")]: value.float() for key, value in golden.items() if key.startswith("net.")}
    network.load_state_dict(state, strict=True)
    return comfy.controlnet.ControlNet(network.eval(), load_device=torch.device("cpu"))


@pytest.mark.parametrize("case", ["with", "without"])
def test_predictions_equal_the_diffusers_hosts(lab: SimpleNamespace, case: str) -> None:
    model, (uncond, cond), somebody = lab.model(), lab.words, lab.types.Identity(**kinds.identity_fields())
    hint = lab.draw(instantid.points(), 8 * kinds.SIDE)
    control = lab.control.of(lab.adapter, hint) if case == "with" else None
    branches = [(cond, somebody), (uncond, somebody.null)]
    conds = [control.on(words, identity) if control else words for words, identity in branches]
    run = lab.run(lab.hosts.adapt(model, lab.adapter), lab.adapter, *conds)
    sigma = float(model.get_model_object("model_sampling").sigma(torch.tensor([float(kinds.TIMESTEP)])))
    found: list[torch.Tensor] = []

    def body(sampler: Any, extra_args: Any, on_step: Any) -> torch.Tensor:
        known, nobody = (run._identity_kv(one, sampler) for one in (somebody, somebody.null))
        network = lab.network.under(known, nobody, sampler.inner_model, extra_args)
        found.extend(network.branches(kinds.latent(), sigma))
        return kinds.latent()

    with torch.inference_mode():
        run._sample(body, kinds.latent(), None, (sigma, sigma / 2), 1.0, None)
    golden = lab.golden[case]
    assert (torch.cat(found) - golden).abs().max() < 3e-5 * golden.abs().max()


def test_nobody_comes_back_and_points_matter(lab: SimpleNamespace) -> None:
    model, somebody = lab.model(), lab.types.Identity(**kinds.identity_fields())
    latent = {"samples": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))}
    positive, attribute = lab.words[1], lab.zero_out(lab.words[1])
    invert, become = lab.nodes["NullIDInvertDPMPP"], lab.nodes["NegativeIDGuidanceSampler"]
    crop = SimpleNamespace(points=instantid.points()[0] * 128 - 0.5, side=128)
    result = {}
    with torch.inference_mode():
        for name, places in {"aligned": None, "turned": [(0, crop)]}.items():
            (path,) = invert.execute(
                model, lab.adapter, positive, latent, 4, 0.7, 3, "custom", 1, places
            ).args  # fmt: skip
            for person, identity in {"nobody": somebody.null, "somebody": somebody}.items():
                (out,) = become.execute(model, lab.adapter, identity, path, attribute, guidance=-4.0).args
                result[name, person] = out["samples"]
    size = latent["samples"].abs().max()
    for name in ("aligned", "turned"):
        assert (result[name, "nobody"] - latent["samples"]).abs().max() < 1e-6 * size
        assert (result[name, "somebody"] - latent["samples"]).abs().max() > 1e-3 * size
    assert (result["aligned", "somebody"] - result["turned", "somebody"]).abs().max() > 1e-4 * size


def test_mix_ups_are_refused(lab: SimpleNamespace) -> None:
    core = lab.hosts.Adapter
    faceid = SimpleNamespace(kind=SimpleNamespace(control=False, clip=False, name="faceid"))
    with pytest.raises(ValueError, match="control_net: it belongs to InstantID, but this adapter is faceid"):
        core.of(faceid, control_net=lab.adapter.control_net)
    crops = [(0, SimpleNamespace(points=torch.zeros(5, 2), side=128))] * 3
    latent = {"samples": torch.randn(2, 4, 16, 16)}
    with torch.inference_mode(), pytest.raises(ValueError, match="places: expected one for each of 2 crops, got 3"):
        lab.nodes["NullIDInvertDPMPP"].execute(
            lab.model(), lab.adapter, lab.words[1], latent, 4, 0.7, 3, "custom", 1, crops
        )

"""What happens to a model: other packs' patches stay, the given one is untouched, masks confine, mix-ups refused."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

SIZE = 16


@pytest.fixture(scope="module")
def lab(comfy: SimpleNamespace) -> SimpleNamespace:
    """The golden model and adapter, our host module, and conditionings of its width."""
    from comfyui_host import golden_model
    from run import HERE

    golden = HERE / "golden"
    host = comfy.core("revpers_core.hosts.comfy")
    draw = torch.Generator().manual_seed(5)

    def words() -> list[Any]:
        pooled = torch.randn(1, 32, generator=draw)
        return [[torch.randn(1, 77, 64, generator=draw), {"pooled_output": pooled}]]

    return SimpleNamespace(
        host=host,
        core=comfy.core,
        network=comfy.core("revpers_core.hosts.comfy_network"),
        zero_out=comfy.core("revpers_core.hosts.comfy_backbone").zero_out,
        types=comfy.core("revpers_core.method.types"),
        model=lambda: golden_model(golden, "epsilon"),
        adapter_host=comfy.core("revpers_core.hosts.comfy_adapter"),
        adapter=comfy.core("revpers_core.hosts.comfy_adapter").Adapter.of(
            comfy.core("revpers_core.adapters.weights").load(golden / "faceid_adapter.safetensors")
        ),
        positive=words(),
        attribute=words(),
        latent={"samples": torch.randn(2, 4, SIZE, SIZE, generator=draw)},
        face=torch.nn.functional.normalize(torch.randn(2, 512, generator=draw)),
    )


def anonymized(
    lab: SimpleNamespace, model: Any, latent: dict[str, Any], guidance: float = -4.0, embedding: Any = None
) -> Any:
    """Samples of the whole method in 6 steps."""
    with torch.inference_mode():
        levels = lab.host.levels(model, 6, 0.7)
        trajectory = lab.host.invert_latent(model, lab.adapter, lab.positive, latent, levels, seed=3)
        identity = lab.types.Identity(lab.face if embedding is None else embedding)
        return lab.host.sample_latent(model, lab.adapter, identity, trajectory, lab.attribute, guidance)["samples"]


def plain(lab: SimpleNamespace, model: Any) -> torch.Tensor:
    """Stock sampling with the model as it is."""
    import comfy.sample

    with torch.inference_mode():
        noise = torch.randn(2, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
        return comfy.sample.sample(
            model, noise, 3, 4.0, "euler", "normal", lab.positive, lab.attribute, lab.latent["samples"], seed=1
        )


def test_the_model_given_is_left_as_it_was(lab: SimpleNamespace) -> None:
    model = lab.model()
    before = plain(lab, model)
    changed = anonymized(lab, model, lab.latent)
    assert (changed - lab.latent["samples"]).abs().max() > 0.1
    assert torch.equal(plain(lab, model), before)


class OtherPack:
    """What IPAdapter_plus puts at an attn2 slot."""

    def __init__(self, weight: float):
        self.weight, self.calls = weight, 0

    def __call__(self, q: Any, k: Any, v: Any, extra_options: dict[str, Any]) -> Any:
        from comfy.ldm.modules.attention import optimized_attention

        self.calls += 1
        return optimized_attention(q, k, v, extra_options["n_heads"]) + self.weight * q


def test_another_packs_attention_patch_keeps_its_effect(lab: SimpleNamespace) -> None:
    patched, other = lab.model(), OtherPack(0.5)
    for slot in (("input", 3, 0), ("middle", 0, 1), ("output", 2, 0)):
        patched.set_model_attn2_replace(other, *slot)
    nobody = torch.zeros_like(lab.face)
    ours_only = anonymized(lab, lab.model(), lab.latent)
    both = anonymized(lab, patched, lab.latent)
    theirs_only = anonymized(lab, patched, lab.latent, embedding=nobody)
    assert other.calls > 0
    assert (both - ours_only).abs().max() > 1e-2, "the other pack's patch is lost"
    assert (both - theirs_only).abs().max() > 1e-2, "our patch is lost"


def test_a_lora_on_the_model_keeps_its_effect(lab: SimpleNamespace) -> None:
    model = lab.model()
    with_lora = model.clone()
    key = "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.weight"
    with_lora.add_patches({key: ("diff", (torch.ones(64, 64),))}, 1.0)
    assert (anonymized(lab, with_lora, lab.latent) - anonymized(lab, model, lab.latent)).abs().max() > 1e-3


def test_a_mask_confines_the_change(lab: SimpleNamespace) -> None:
    mask = torch.zeros(1, 1, SIZE * 8, SIZE * 8)
    mask[..., 32:96, 32:96] = 1
    samples = lab.latent["samples"]
    changed = anonymized(lab, lab.model(), {**lab.latent, "noise_mask": mask})
    difference = (changed - samples).abs()
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[4:12, 4:12] = True
    assert difference[..., ~inside].max() < 1e-6 * samples.abs().max()
    assert difference[..., inside].max() > 0.1


def test_nobody_gives_the_photo_back(lab: SimpleNamespace) -> None:
    zeros = lab.zero_out(lab.positive)
    with torch.inference_mode():
        model = lab.model()
        trajectory = lab.host.invert_latent(
            model, lab.adapter, lab.positive, lab.latent, lab.host.levels(model, 6, 0.7), seed=3, at_once=1
        )
        nobody = lab.types.Identity(torch.zeros(2, 512))
        same = lab.host.sample_latent(model, lab.adapter, nobody, trajectory, zeros, -10.0)["samples"]
    assert (same - lab.latent["samples"]).abs().max() < 1e-6 * lab.latent["samples"].abs().max()


def test_steps_share_a_call_only_where_nothing_looks_at_the_level(lab: SimpleNamespace, monkeypatch: Any) -> None:
    calls: list[int] = []
    branches = lab.network.Network.branches
    monkeypatch.setattr(
        lab.network.Network,
        "branches",
        lambda self, x, sigma, need: calls.append(len(x)) or branches(self, x, sigma, need),
    )

    def inverted(model: Any, positive: Any = lab.positive, at_once: int = 0) -> torch.Tensor:
        calls.clear()
        with torch.inference_mode():
            levels = lab.host.levels(model, 6, 0.7)
            result = lab.host.invert_latent(model, lab.adapter, positive, lab.latent, levels, seed=3, at_once=at_once)
        return torch.stack(result.path.cond)

    together = inverted(lab.model())
    assert calls == [12]
    alone = inverted(lab.model(), at_once=1)
    assert calls == [2] * 6
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()
    inverted(lab.model(), at_once=4)
    assert calls == [8, 4]
    patched = lab.model().clone()
    patched.set_model_attn1_patch(lambda q, k, v, extra: (q, k, v))
    inverted(patched)
    assert calls == [2] * 6
    (embeds, rest), *_ = lab.positive
    inverted(lab.model(), [[embeds, {**rest, "start_percent": 0.0, "end_percent": 0.9}]])
    assert calls == [2] * 6


def test_custom_cfg_functions_act_in_both_phases(lab: SimpleNamespace) -> None:
    """A null replay is exact only if the maps were made under the same custom guidance."""
    model = lab.model()
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0.9 + 0.1 * args["cond_denoised"])
    model.set_model_sampler_pre_cfg_function(lambda args: [args["conds_out"][0] * 1.1, args["conds_out"][1]])
    zeros = lab.zero_out(lab.positive)
    with torch.inference_mode():
        levels = lab.host.levels(model, 6, 0.7)
        trajectory = lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, seed=3)
        nobody = lab.types.Identity(torch.zeros(2, 512))
        same = lab.host.sample_latent(model, lab.adapter, nobody, trajectory, zeros, -10.0)["samples"]
    assert (same - lab.latent["samples"]).abs().max() < 1e-6 * lab.latent["samples"].abs().max()
    assert (anonymized(lab, model, lab.latent) - anonymized(lab, lab.model(), lab.latent)).abs().max() > 1e-2


def tuned(model: Any, name: str) -> Any:
    """The model with one of its tensors a little larger, as a fine-tune has it."""
    with torch.no_grad():
        model.model.diffusion_model.get_parameter(name).mul_(1.01)
    return model


def tuned_at_its_end(model: Any) -> Any:
    """The model with the second half of one tensor changed alone."""
    with torch.no_grad():
        weight = model.model.diffusion_model.get_parameter("middle_block.1.proj_in.weight").flatten()
        weight[len(weight) // 2 :] *= 1.01
    return model


def with_lora(model: Any, strength: float, scale: float = 1.0) -> Any:
    """What 'Load LoRA' gives."""
    key = next(k for k in model.model.state_dict() if k.endswith("attn1.to_q.weight"))
    rows, columns = model.model.state_dict()[key].shape
    patched = model.clone()
    patched.add_patches({key: ("diff", (scale * torch.ones(rows, columns),))}, strength)
    return patched


def test_a_trajectory_outlives_a_model_that_is_loaded_again(lab: SimpleNamespace) -> None:
    """As ComfyUI's caches do that let go of what takes most memory: other objects, the same weights."""
    from run import HERE

    with torch.inference_mode():
        for load in (lab.model, lambda: with_lora(lab.model(), 0.5)):
            model, face = load(), lab.types.Identity(lab.face)
            levels = lab.host.levels(model, 6, 0.7)
            trajectory = lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, seed=3)
            weights = lab.core("revpers_core.adapters.weights").load(HERE / "golden" / "faceid_adapter.safetensors")
            again = load(), lab.adapter_host.Adapter.of(weights)
            results = [
                lab.host.sample_latent(*loaded, face, trajectory, lab.attribute, -4.0)["samples"]
                for loaded in ((model, lab.adapter), again)
            ]
            assert torch.equal(*results)


def test_what_another_model_made_is_refused(lab: SimpleNamespace) -> None:
    """A fine-tune, a LoRA, its strength or its weights, another adapter strength."""
    with torch.inference_mode():
        model, face = lab.model(), lab.types.Identity(lab.face)
        levels = lab.host.levels(model, 6, 0.7)
        weak = lab.adapter_host.Adapter.of(lab.adapter.weights, 0.5)
        pairs = [
            (model, lab.adapter, tuned(lab.model(), "middle_block.1.proj_in.weight"), lab.adapter),
            (model, lab.adapter, tuned_at_its_end(lab.model()), lab.adapter),
            (model, lab.adapter, with_lora(model, 0.5), lab.adapter),
            (with_lora(model, 0.5), lab.adapter, with_lora(model, 0.6), lab.adapter),
            (with_lora(model, 0.5), lab.adapter, with_lora(model, 0.5, scale=2.0), lab.adapter),
            (model, lab.adapter, model, weak),
        ]
        for before, adapter, after, other in pairs:
            trajectory = lab.host.invert_latent(before, adapter, lab.positive, lab.latent, levels, seed=3)
            with pytest.raises(ValueError, match="another model, LoRA or adapter"):
                lab.host.sample_latent(after, other, face, trajectory, lab.attribute, -4.0)


def test_mix_ups_are_refused(lab: SimpleNamespace) -> None:
    model, other = lab.model(), tuned(lab.model(), "out.2.weight")
    with torch.inference_mode():
        levels = lab.host.levels(model, 6, 0.7)
        trajectory = lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, seed=3)
        face = lab.types.Identity(lab.face)
        with pytest.raises(ValueError, match="another model, LoRA or adapter"):
            lab.host.sample_latent(other, lab.adapter, face, trajectory, lab.attribute, -4.0)
        with pytest.raises(ValueError, match="each of the trajectory's 2 images, got 3"):
            three = lab.types.Identity(torch.randn(3, 512))
            lab.host.sample_latent(model, lab.adapter, three, trajectory, lab.attribute, -4.0)
        with pytest.raises(ValueError, match="NaN"):
            bad = {"samples": lab.latent["samples"] * float("nan")}
            lab.host.invert_latent(model, lab.adapter, lab.positive, bad, levels, seed=3)
        with pytest.raises(ValueError, match="encoded by another text encoder"):
            sd15 = [[torch.zeros(1, 77, 768), {"pooled_output": torch.zeros(1, 768)}]]
            lab.host.sample_latent(model, lab.adapter, face, trajectory, sd15, -4.0)
        with pytest.raises(ValueError, match="a latent of SDXL"):
            lab.host.invert_latent(
                model, lab.adapter, lab.positive, {"samples": torch.zeros(1, 16, 8, 8)}, levels, seed=3
            )

# ruff: noqa: F401, F811
"""Few-step students in ComfyUI: the levels of both hosts, nobody comes back, a LoRA by the stock loader."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from server import REPO
from test_patching import lab

BOXES = ("NullIDInvertDPMPP", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo", "RevPersAnonymizeFolder")


def asked(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, run: Any) -> list[int]:
    """The timesteps that the network itself is asked at, a call each."""
    model, times = lab.model(), list[int]()
    network = model.model.diffusion_model
    forward = network.forward
    monkeypatch.setattr(
        network, "forward", lambda x, t, *a, **k: times.append(*set(t.tolist())) or forward(x, t, *a, **k)
    )
    with torch.inference_mode():
        run(model)
    return times


@pytest.mark.parametrize(("kind", "steps"), [("none", 4), ("hyper-8", 2), ("hyper-12", 3), ("lcm", 5)])
def test_the_network_is_asked_at_the_same_timesteps_as_in_the_diffusers_host(
    comfy: SimpleNamespace, lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, kind: str, steps: int
) -> None:
    visited = lab.core("revpers_core.method.students").visited(kind, steps, 0.7)
    nodes, results = comfy.nodes, []

    def run(model: Any) -> None:
        (path,) = nodes["NullIDInvertDPMPP"].execute(
            model, lab.adapter, lab.positive, lab.latent, steps, 0.7, 3, "custom", 1, student=kind
        ).args  # fmt: skip
        for embedding, guidance in ((lab.face, -4.0), (lab.face * 0, -10.0)):
            (result,) = nodes["NegativeIDGuidanceSampler"].execute(
                model, lab.adapter, lab.types.Identity(embedding), path, lab.attribute, guidance=guidance,
                allow_unchanged=True,
            ).args  # fmt: skip
            results.append((path, result["samples"]))

    assert asked(lab, monkeypatch, run) == visited * 3
    (path, somebody), (_, _) = results
    plan = lab.types.Plan(steps, student=kind)
    expected = plan.levels(lab.core("revpers_core.method.schedule").sdxl_sigmas().__getitem__)
    assert path.path.sigmas == pytest.approx(expected, rel=1e-4) and path.student == kind
    assert (somebody - lab.latent["samples"]).abs().max() > 0.1


def test_nobody_comes_back_from_a_students_levels(lab: SimpleNamespace) -> None:
    model, wordless = lab.model(), lab.zero_out(lab.positive)
    with torch.inference_mode():
        levels = lab.host.levels(model, 4, 0.7, "lcm")
        path = lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, 3, at_once=1)
        nobody = lab.types.Identity(lab.face * 0)
        back = lab.host.sample_latent(model, lab.adapter, nobody, path, wordless, -10.0)["samples"]
    assert (back - lab.latent["samples"]).abs().max() < 1e-6


def test_presets_ask_for_no_more_than_the_student_knows(comfy: SimpleNamespace, lab: SimpleNamespace) -> None:
    box, given = comfy.nodes["NullIDInvertDPMPP"], (lab.adapter, lab.positive, lab.latent, 9, 0.1, 3)
    with torch.inference_mode():
        (path,) = box.execute(lab.model(), *given, "balanced", student="hyper-12").args
    assert path.path.steps == 3
    with pytest.raises(ValueError, match=r"lightning-4 knows 1 of the timesteps .* set skip to 0\.5"):
        box.execute(lab.model(), *given, "balanced", student="lightning-4")


def test_core_lcm_sampling_is_told_what_to_do_instead(lab: SimpleNamespace) -> None:
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    (model,) = ModelSamplingDiscrete().patch(lab.model(), "lcm", False)
    with pytest.raises(ValueError, match=r"its sampling is LCM.*set student to lcm"):
        lab.host.levels(model, 4, 0.7, "lcm")


def test_newer_widgets_stand_last_so_that_older_workflows_keep_their_values(comfy: SimpleNamespace) -> None:
    newer = {"RevPersAnonymizeVideo": ["student", "every"]}
    for name in BOXES:
        inputs = comfy.nodes[name].define_schema().inputs
        widgets = [one for one in inputs if "default" in one.as_dict()]
        since = [one.id for one in widgets].index("student")
        assert [one.id for one in widgets[since:]] == newer.get(name, ["student"]), name
        assert widgets[since].default == "none", name
        assert all(one.optional and one.extra_dict["advanced"] for one in widgets[since:]), name


def test_further_guidance_than_its_makers_advise_is_said(
    lab: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    lab.host.warn_student("none", -10.0)
    lab.host.warn_student("hyper-8", -6.0)
    assert not caplog.records
    lab.host.warn_student("hyper-8", -10.0)
    assert "(-6 would be as far as their 8)" in caplog.text


def test_what_distillation_learned_goes_on_with_the_stock_loader(comfy: SimpleNamespace) -> None:
    """Every layer's name fits, and the weights become what the diffusers host makes of them: W + up @ down."""
    from comfy.lora import calculate_weight
    from comfy.sd import load_lora_for_models

    sys.path.append(str(REPO))  # last, or our folder of nodes would stand for ComfyUI's module
    from revpers_core.lab import distil
    from revpers_core.lab.nets import shipped

    torch.manual_seed(0)
    additions = distil.low_rank(shipped()[0].unet)
    for parameter in additions.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    file = distil.kohya({name: value.detach() for name, value in additions.state_dict().items()})
    pocket = comfy.nodes["RevPersLoadPocket"].execute().args[0]
    model, _ = load_lora_for_models(pocket, None, file, 0.5, 0)
    patches = {key: value[0][1].weights for key, value in model.patches.items()}
    assert len(patches) == len(additions) == 198
    before = pocket.model.state_dict()
    for name, addition in list(additions.items())[::20]:
        (key,) = [k for k in patches if k.replace(".", "_") == f"diffusion_model_{name}_weight"]
        delta = 0.5 * (addition.up.half().float() @ addition.down.half().float().flatten(1)).view_as(before[key])
        merged = calculate_weight(model.patches[key], before[key].clone().float(), key)
        assert (merged - before[key].float() - delta).abs().max() < 1e-5

"""What a run costs: evaluations counted picture by picture, nothing made twice, faces a few at a time, CPU offload."""

from dataclasses import replace

import accelerate
import pytest
import torch

from revpers_core.hosts.diffusers import ReversePersonalizationPipeline as Pipeline
from revpers_core.media import gallery
from revpers_core.method.guidance import Interval
from revpers_core.method.settings import PRESETS, resolve_preset
from revpers_core.method.types import Attribute, Identity, Plan

PLAN = Plan(steps=4, skip=0.6, guidance=-4.0)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return Pipeline.from_pocket()


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    return torch.stack([gallery.aligned_face(person, 0) for person in (3, 8, 20)])


def cost(pipe: Pipeline, run) -> int:
    before = pipe.unet_evaluations
    run()
    return pipe.unet_evaluations - before


@pytest.mark.parametrize(("name", "evaluations"), [("paper", 400), ("balanced", 64), ("fast", 40)])
def test_presets_cost_what_they_say(pipe, photos, name, evaluations):
    steps, skip, _ = resolve_preset(name, 7, 0.1)
    assert cost(pipe, lambda: pipe.anonymize(photos[:1], replace(PLAN, steps=steps, skip=skip))) == evaluations
    assert PRESETS[name].evaluations == evaluations


def test_custom_is_the_users_own():
    assert resolve_preset("custom", 7, 0.1) == (7, 0.1, "none")


def test_only_the_replay_runs_again(pipe, photos):
    """For another guidance, identity or wording; with half the work where one branch weighs nothing."""
    result = pipe.anonymize(photos, PLAN)
    identity = result.source
    for again, evaluations in (
        (replace(PLAN, guidance=-9.0), 24),
        (replace(PLAN, attribute=Attribute(age="old")), 24),
        (replace(PLAN, guidance=0.0), 12),
        (replace(PLAN, guidance=1.0), 12),
    ):
        assert cost(pipe, lambda plan=again: pipe.sample(result.trajectory, identity, plan)) == evaluations
    other = Identity(identity.embedding.roll(1, 0))
    assert cost(pipe, lambda: pipe.sample(result.trajectory, other, PLAN)) == 24
    tried = pipe.face_inverter(PLAN)(photos[:1], Identity(identity.embedding[:1]), 0)
    assert cost(pipe, lambda: [tried(guidance) for guidance in (-3.0, -6.0)]) == 16


def test_one_branch_is_enough_where_both_are_told_the_same(pipe, photos):
    plan = replace(PLAN, one_branch=True)
    assert cost(pipe, lambda: pipe.anonymize(photos[:1], plan)) == 12
    path = pipe.anonymize(photos[:1], plan).trajectory
    assert all(a is b for a, b in zip(path.uncond, path.cond, strict=True))
    nobody = Identity(torch.zeros(1, 512))
    null = pipe.sample(path, nobody, replace(plan, guidance=-10.0))
    assert (null - pipe.decode(path.x0)).abs().max() < 1e-3


def test_guidance_in_an_interval_saves_the_other_steps(pipe, photos):
    levels = PLAN.levels(pipe.sigma)
    plan = replace(PLAN, interval=Interval(levels[2], levels[1]))
    assert cost(pipe, lambda: pipe.anonymize(photos[:1], plan)) == 2 * (2 * 2 + 2)


def test_faces_go_through_a_few_at_a_time(pipe, photos, monkeypatch):
    together = pipe.anonymize(photos, replace(PLAN, at_once=1))
    rows: list[int] = []
    pipe.sdxl.unet.register_forward_pre_hook(lambda module, given: rows.append(len(given[0])))
    monkeypatch.setattr(pipe, "faces_at_once", lambda shape: 2)
    parted = pipe.anonymize(photos, replace(PLAN, at_once=1))
    assert set(rows) == {4, 2} and parted.trajectory.chunk_size == 2
    assert (parted.image - together.image).abs().max() < 1e-3
    assert all(one.device.type == "cpu" for one in (*parted.trajectory.cond, *parted.trajectory.uncond))


def test_running_out_of_memory_takes_fewer_faces_and_steps(pipe, photos):
    right = pipe.anonymize(photos, replace(PLAN, at_once=1))

    def small(module, given):
        if len(given[0]) > 2:
            raise RuntimeError("CUDA error: out of memory")

    hook = pipe.sdxl.unet.register_forward_pre_hook(small)
    try:
        result = pipe.anonymize(photos, replace(PLAN, at_once=4))
    finally:
        hook.remove()
    assert (result.image - right.image).abs().max() < 1e-3


def test_words_and_identities_are_projected_once_a_run(pipe, photos):
    """Two branches, two phases: however many steps there are."""
    attention = pipe.sdxl.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    calls: list[str] = []
    hooks = [
        layer.register_forward_pre_hook(lambda module, given, name=name: calls.append(name))
        for name, layer in {
            "words": attention.to_k,
            "identity": attention.processor.kv.to_k,
        }.items()
    ]
    for steps in (2, 5):
        calls.clear()
        pipe.anonymize(photos[:1], replace(PLAN, steps=steps, at_once=1))
        assert calls.count("words") == calls.count("identity") == 4
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("kind", ["model", "sequential"])
def test_weights_may_wait_elsewhere(photos, kind):
    """diffusers' CPU offload, with the CPU in the GPU's place: in sequential offload the UNet's weights are nowhere
    between two calls of a layer."""
    usual = Pipeline.from_pocket().anonymize(photos[:1], PLAN).image
    pipe = Pipeline.from_pocket()
    parts = (pipe.sdxl.text_encoder, pipe.sdxl.text_encoder_2, pipe.sdxl.unet, pipe.sdxl.vae)
    for part in parts:
        if kind == "model":
            accelerate.cpu_offload_with_hook(part, torch.device("cpu"))
        else:
            accelerate.cpu_offload(part, torch.device("cpu"), offload_buffers=True)
    assert pipe.sdxl.unet.device.type == ("meta" if kind == "sequential" else "cpu")
    assert pipe.device.type == "cpu"
    assert (pipe.anonymize(photos[:1], PLAN).image - usual).abs().max() < 1e-5

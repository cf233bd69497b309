# ruff: noqa: F401, F811
"""What a run costs in ComfyUI: branches and projections that are run, faces a few at a time, memory that runs out."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_patching import SIZE, lab

STEPS = 4


@pytest.fixture
def rows(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of every call of the network."""
    import comfy.model_base

    calls: list[int] = []
    call = comfy.model_base.BaseModel.apply_model
    monkeypatch.setattr(
        comfy.model_base.BaseModel,
        "apply_model",
        lambda self, x, *a, **k: calls.append(len(x)) or call(self, x, *a, **k),
    )
    return calls


def inverted(lab: SimpleNamespace, model: Any, latent: Any = None, steps: int = STEPS, **rest: Any) -> Any:
    with torch.inference_mode():
        levels = lab.host.levels(model, steps, 0.7)
        return lab.host.invert_latent(
            model, lab.adapter, lab.positive, latent or lab.latent, levels, 3, at_once=1, **rest
        )


def replayed(lab: SimpleNamespace, model: Any, path: Any, guidance: float, embedding: Any = None, **rest: Any) -> Any:
    identity = lab.types.Identity(lab.face if embedding is None else embedding)
    with torch.inference_mode():
        return lab.host.sample_latent(model, lab.adapter, identity, path, lab.attribute, guidance, **rest)["samples"]


def test_evaluations_are_those_that_weigh_anything(lab: SimpleNamespace, rows: list[int]) -> None:
    model = lab.model()
    path = inverted(lab, model)
    assert sum(rows) == STEPS * 2 * 2
    both = {}
    for guidance, evaluations in ((-4.0, 4), (0.0, 2), (1.0, 2)):
        rows.clear()
        both[guidance] = replayed(lab, model, path, guidance)
        assert sum(rows) == STEPS * evaluations, guidance
    nearly = replayed(lab, model, path, 1e-7)
    assert (nearly - both[0.0]).abs().max() < 1e-4 * nearly.abs().max()
    custom = model.clone()
    custom.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    rows.clear()
    replayed(lab, custom, inverted(lab, custom), 0.0)
    assert sum(rows) == STEPS * 8, "another pack's guidance function wants both branches"


def test_identities_are_projected_once_a_run(lab: SimpleNamespace) -> None:
    calls: list[int] = []
    hook = lab.adapter.modules.kv[0].to_k.register_forward_pre_hook(lambda module, given: calls.append(1))
    counts = []
    for steps in (2, 5):
        calls.clear()
        model = lab.model()
        replayed(lab, model, inverted(lab, model, steps=steps), -4.0)
        counts.append(len(calls))
    hook.remove()
    assert counts == [4, 4], "nobody in both phases, and two faces"


def test_faces_go_through_a_few_at_a_time(
    lab: SimpleNamespace, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its own noise, identity and mask; the bar runs once over all."""
    draw = torch.Generator().manual_seed(8)
    mask = torch.ones(2, SIZE * 8, SIZE * 8)
    mask[0, :64] = 0
    latent = {"samples": torch.randn(3, 4, SIZE, SIZE, generator=draw), "noise_mask": mask, "batch_index": [4, 0, 9]}
    embeddings = torch.nn.functional.normalize(torch.randn(3, 512, generator=draw))
    model, ticks = lab.model(), []

    def on_step(step: int, x0: Any, x: Any, steps: int) -> None:
        ticks.append((step, steps))

    def replay() -> Any:
        return replayed(lab, model, inverted(lab, model, latent, callback=on_step), -4.0, embeddings, callback=on_step)

    whole = replay()
    assert set(rows) == {6}
    rows.clear(), ticks.clear()
    monkeypatch.setattr(lab.host.Run, "faces_at_once", lambda self, samples: 2)
    parted = replay()
    assert set(rows) == {4, 2}
    assert (parted - whole).abs().max() < 1e-4 * whole.abs().max()
    phase = [2 * k + 1 for k in range(STEPS)] + [2 * STEPS + k for k in range(STEPS)]
    assert ticks == [(step, 3 * STEPS) for step in phase * 2]
    patched = model.clone()
    patched.set_model_attn1_patch(lambda q, k, v, extra: (q, k, v))
    rows.clear()
    inverted(lab, patched, latent)
    assert set(rows) == {6}, "another pack's patch may belong to the batch as a whole"


def test_running_out_of_memory_takes_fewer_faces_and_steps(
    lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.samplers

    model, call = lab.model(), comfy.samplers.calc_cond_batch
    right = replayed(lab, model, inverted(lab, model), -4.0)

    def small(inner: Any, conds: Any, x: Any, *rest: Any) -> Any:
        if len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 136 GiB")
        return call(inner, conds, x, *rest)

    monkeypatch.setattr(comfy.samplers, "calc_cond_batch", small)
    with torch.inference_mode():
        levels = lab.host.levels(model, STEPS, 0.7)
        path = lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, 3, at_once=4)
    result = replayed(lab, model, path, -4.0)
    assert (result - right).abs().max() < 1e-4 * right.abs().max()


def test_weights_that_are_loaded_in_part_give_the_same(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with --lowvram: nearly all weights wait, and the LoRA is added when they come."""
    import comfy.model_patcher

    model = lab.model()
    right = replayed(lab, model, inverted(lab, model), -4.0)
    load, waiting = comfy.model_patcher.ModelPatcher.load, []

    def little(self: Any, device_to: Any = None, lowvram_model_memory: int = 0, **rest: Any) -> Any:
        result = load(self, device_to, lowvram_model_memory=1, **{**rest, "full_load": False})
        waiting.append(self.model.model_lowvram)
        return result

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "load", little)
    again = lab.model()
    result = replayed(lab, again, inverted(lab, again), -4.0)
    assert any(waiting), "nothing was held back"
    assert (result - right).abs().max() < 1e-4 * right.abs().max()


@pytest.mark.upstream
def test_the_cache_knows_what_a_trajectory_weighs(lab: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ComfyUI's own count, when memory is short."""
    from comfy_execution import caching

    path = inverted(lab, lab.model())
    cache = object.__new__(caching.RAMPressureCache)
    cache.cache, cache.generation = {"a": SimpleNamespace(outputs=[[path]])}, 2
    cache.used_generation, cache.timestamps, cache.children = {"a": 1}, {"a": 0.0}, {}
    monkeypatch.setattr(caching.psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
    freed = cache.ram_release(1)
    latents, words = 2 * 4 * SIZE * SIZE * 4, lab.positive[0][0].nbytes
    assert freed == pytest.approx(latents * (2 * STEPS + 1) + words, abs=1) and not cache.cache

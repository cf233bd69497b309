# ruff: noqa: F401, F811
"""A trajectory stays good where its model was forgotten and loaded again, and for no other model, LoRA or strength."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from server import Server
from test_fails_closed import INVERT, SAMPLE, prompt
from test_patching import lab

STEPS = 4
KEY = "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.weight"


def inverted(lab: SimpleNamespace, model: Any) -> Any:
    with torch.inference_mode():
        levels = lab.host.levels(model, STEPS, 0.7)
        return lab.host.invert_latent(model, lab.adapter, lab.positive, lab.latent, levels, 3, at_once=1)


def replayed(lab: SimpleNamespace, model: Any, path: Any, guidance: float) -> torch.Tensor:
    identity = lab.types.Identity(lab.face)
    with torch.inference_mode():
        return lab.host.sample_latent(model, lab.adapter, identity, path, lab.attribute, guidance)["samples"]


def bypassed(model: Any, strength: float) -> Any:
    """With a LoRA as core's 'Load LoRA (Bypass)' sets it: into the layers, not the weights."""
    import comfy.sd

    stem = KEY.removesuffix(".weight")
    lora = {f"{stem}.lora_down.weight": torch.ones(4, 64), f"{stem}.lora_up.weight": torch.ones(64, 4)}
    return comfy.sd.load_bypass_lora_for_models(model, None, lora, strength, 0)[0]


@pytest.mark.upstream
def test_a_lora_that_is_injected_counts(lab: SimpleNamespace) -> None:
    path = inverted(lab, bypassed(lab.model(), 1.0))
    replayed(lab, bypassed(lab.model(), 1.0), path, -4.0)
    with pytest.raises(ValueError, match="another model, LoRA or adapter"):
        replayed(lab, bypassed(lab.model(), 0.5), path, -4.0)


@pytest.mark.upstream
def test_models_forgotten_between_two_prompts(server: Server) -> None:
    """The RAM-pressure cache: the photo's trajectory stays, the model is loaded again."""
    graph = prompt()
    graph["99"] = {"class_type": "StandInPressure", "inputs": {"after": ["8", 0]}}
    entry = server.result(server.queue(graph))
    assert entry["status"]["status_str"] == "success" and int(entry["outputs"].pop("99")["text"][0]) > 0
    del graph["99"]
    graph[SAMPLE]["inputs"]["strength"] = 0.6
    entry = server.result(server.queue(graph))
    messages = dict(entry["status"]["messages"])
    assert entry["status"]["status_str"] == "success", messages["execution_error"]["exception_message"]
    cached = messages["execution_cached"]["nodes"]
    assert INVERT in cached and "1" not in cached

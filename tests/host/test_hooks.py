"""LoRAs that travel with conditionings (hooks): on both they are a LoRA, on one of them they would break the replay."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from server import Server
from test_fails_closed import INVERT, MODEL, SAMPLE, WORDS, Prompt, outcome, prompt

LORA = "revpers_test_lora.safetensors"


@pytest.fixture(scope="module")
def lora(server: Server) -> str:
    """A LoRA of the pocket model's self-attention that is plainly seen."""
    draw = torch.Generator().manual_seed(0)
    stem = "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q"
    parts = {"lora_up": torch.randn(64, 4, generator=draw), "lora_down": torch.randn(4, 64, generator=draw)}
    folder = server.base / "models" / "loras"
    folder.mkdir(exist_ok=True)
    save_file({f"{stem}.{name}.weight": value for name, value in parts.items()}, folder / LORA)
    return LORA


def hooked(lora: str, words: str = "", on: tuple[str, ...] = (WORDS,)) -> Prompt:
    """The four boxes; the named ones hear of the LoRA by hooks, the words' box by its clip."""
    graph = prompt(text=words)
    graph["95"] = {
        "class_type": "CreateHookLora",
        "inputs": {"lora_name": lora, "strength_model": 0.8, "strength_clip": 0.0},
    }
    graph["96"] = {
        "class_type": "SetClipHooks",
        "inputs": {"clip": ["1", 1], "apply_to_conds": True, "schedule_clip": False, "hooks": ["95", 0]},
    }
    if WORDS in on:
        graph[WORDS]["inputs"]["clip"] = ["96", 0]
    for box, name, output in ((INVERT, "positive", 0), (SAMPLE, "attribute", 1)):
        if box in on:
            graph[f"97{box}"] = {
                "class_type": "ConditioningSetProperties",
                "inputs": {
                    "cond_NEW": [WORDS, output], "strength": 1.0, "set_cond_area": "default", "hooks": ["95", 0],
                },
            }  # fmt: skip
            graph[box]["inputs"][name] = [f"97{box}", 0]
    return graph


def loaded(lora: str, words: str = "") -> Prompt:
    """The four boxes with the same LoRA by a stock loader."""
    graph = prompt(text=words)
    graph[MODEL] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["1", 0], "lora_name": lora, "strength_model": 0.8},
    }
    for box in (INVERT, SAMPLE):
        graph[box]["inputs"]["model"] = [MODEL, 0]
    return graph


def picture(server: Server, graph: Prompt) -> np.ndarray[Any, Any]:
    error, (saved,) = outcome(server, graph)
    assert not error, error
    return np.asarray(saved, dtype=float)


@pytest.mark.parametrize("words", ["", "old woman"])
def test_a_hook_on_both_is_a_lora(server: Server, lora: str, words: str) -> None:
    by_loader = picture(server, loaded(lora, words))
    assert np.abs(picture(server, prompt(text=words)) - by_loader).mean() > 1, "the LoRA does nothing"
    for on in ((WORDS,), (INVERT, SAMPLE)):
        assert np.abs(picture(server, hooked(lora, words, on)) - by_loader).max() <= 2


@pytest.mark.parametrize("box", [INVERT, SAMPLE])
def test_a_hook_on_one_box_is_refused(server: Server, lora: str, box: str) -> None:
    error, _ = outcome(server, hooked(lora, on=(box,)))
    assert "hooks" in error and "both" in error

"""ComfyUI started otherwise: other precisions, caches and ways to hold weights. The method runs, the face changes."""

import os
from pathlib import Path
from typing import Any

import pytest
from server import base_directory, started
from test_fails_closed import SAMPLE, outcome, prompt

ROOT = Path(os.environ["REVPERS_COMFYUI"])
OLD = "0.3.64" in ROOT.name
FLAGS = ["--force-fp16", "--bf16-unet", "--cache-none", "--disable-smart-memory --fp16-vae"]
UPSTREAM_FLAGS = ["--fp16-intermediates", "--cache-ram 64"]


@pytest.mark.parametrize("flags", FLAGS + [flag for flag in UPSTREAM_FLAGS if not OLD])
def test_comfyui_started_otherwise(tmp_path: Path, likeness: Any, flags: str) -> None:
    """Two strengths in a row: the second takes what the cache still has."""
    with started(ROOT, base_directory(tmp_path), *flags.split()) as server:
        for strength in (0.5, 0.6):
            graph = prompt(strength=strength)
            if flags == "--cache-none" and OLD:
                assert "connect the checkpoint's VAE to this box" in outcome(server, graph)[0]
                graph[SAMPLE]["inputs"]["vae"] = ["1", 2]
            error, pictures = outcome(server, graph)
            assert not error, error
            assert len(pictures) == 1 and likeness(pictures[0], 20) < 0.5

"""ComfyUI started otherwise: other precisions, caches and ways to hold weights. The method runs, the face changes."""

import os
from pathlib import Path
from typing import Any

import pytest
from server import base_directory, started
from test_fails_closed import outcome, prompt

ROOT = Path(os.environ["REVPERS_COMFYUI"])
FLAGS = ["--force-fp16", "--bf16-unet", "--cache-none", "--disable-smart-memory --fp16-vae"]
UPSTREAM_FLAGS = ["--fp16-intermediates", "--cache-ram 64"]


@pytest.mark.parametrize("flags", FLAGS + ([] if "0.3.64" in ROOT.name else UPSTREAM_FLAGS))
def test_comfyui_started_otherwise(tmp_path: Path, likeness: Any, flags: str) -> None:
    """Two strengths in a row: the second takes what the cache still has."""
    with started(ROOT, base_directory(tmp_path), *flags.split()) as server:
        for strength in (0.5, 0.6):
            error, pictures = outcome(server, prompt(strength=strength))
            assert not error, error
            assert len(pictures) == 1 and likeness(pictures[0], 20) < 0.5

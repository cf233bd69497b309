"""The real ComfyUI in process (the pack loaded as ComfyUI loads it) and as a server."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from server import REPO, Server, base_directory, started

ROOT = Path(os.environ.get("REVPERS_COMFYUI", ""))
UPSTREAM = "0.3.64" not in ROOT.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("upstream") and not UPSTREAM:
            item.add_marker(pytest.mark.skip(reason="asked of the upstream version only"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "upstream: asked of the upstream ComfyUI only")
    if not (ROOT / "main.py").is_file():
        pytest.exit("set REVPERS_COMFYUI to a ComfyUI folder, or use: make test-host", returncode=2)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_directory(tmp_path_factory.mktemp("comfy"))


@pytest.fixture(scope="session")
def comfy(base: Path) -> SimpleNamespace:
    """ComfyUI's modules, and our nodes by id as ``nodes``; ``core(name)`` gives a module of the loaded pack."""
    sys.path.insert(0, str(ROOT))
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base), "--preview-method", "auto"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    pack = base / "custom_nodes" / "ComfyUI-ReversePersonalization"
    assert asyncio.run(nodes.load_custom_node(str(pack), module_parent="custom_nodes")), "the pack does not load"
    (name,) = [m for m in sys.modules if m.endswith("ComfyUI-ReversePersonalization")]
    return SimpleNamespace(nodes=nodes.NODE_CLASS_MAPPINGS, core=lambda part: sys.modules[f"{name}.{part}"])


@pytest.fixture(scope="session")
def server(base: Path) -> Iterator[Server]:
    with started(ROOT, base) as running:
        yield running


@pytest.fixture(scope="module")
def likeness() -> Callable[[Any, int], float]:
    """Of a saved picture to the pocket's photo of a person, by the recogniser that steers."""
    sys.path.append(str(REPO))  # last, or our folder of nodes would stand for ComfyUI's module
    from revpers_core import pocket
    from revpers_core.faces import recognise
    from revpers_core.media import gallery

    model = recognise.load(pocket.FACE_MODEL, min_norm=pocket.MIN_NORM)

    def seen(picture: Any, person: int) -> float:
        result = torch.from_numpy(picture / 255).float().permute(2, 0, 1)[None]
        photo = gallery.aligned_face(person, 0)[None]
        result = torch.nn.functional.interpolate(result, photo.shape[-2:], mode="bilinear", antialias=True)
        if (result - photo).abs().mean() < 3 / 255:
            return 1.0
        try:
            a, b = (model.embed(one).embedding[0] for one in (result, photo))
        except ValueError:
            return 0.0
        return float(torch.nn.functional.cosine_similarity(a, b, dim=0))

    return seen

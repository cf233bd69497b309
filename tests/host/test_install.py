"""The pack as people install it: quick to load, nothing optional needed for that, models found where they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from server import REPO, base_directory

ROOT = Path(os.environ.get("REVPERS_COMFYUI", ""))
HEAVY = {"onnxruntime", "insightface", "onnx", "dlib", "cv2", "diffusers", "transformers", "matplotlib", "sklearn"}
SCRIPT = """
import asyncio, json, sys, time
base, paths = sys.argv[1:]
sys.path.insert(0, ".")
sys.argv = ["main.py", "--cpu", "--base-directory", base]
for name in ("onnxruntime", "insightface", "onnx", "dlib"):
    sys.modules[name] = None  # importing it fails
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # before nodes, which puts ComfyUI's comfy/utils.py in its way
import nodes, comfy.sd, comfy_api.latest, latent_preview, comfy_config.config_parser
utils.extra_config.load_extra_path_config(paths)
before, start = set(sys.modules), time.process_time()
loaded = asyncio.run(nodes.load_custom_node(base + "/custom_nodes/ComfyUI-ReversePersonalization"))
seconds = time.process_time() - start
def options(node, name):
    kind, *rest = nodes.NODE_CLASS_MAPPINGS[node].INPUT_TYPES()["required"][name]
    return kind if isinstance(kind, list) else rest[0]["options"]
print(json.dumps({
    "loaded": loaded, "seconds": seconds, "new": sorted(set(sys.modules) - before),
    "nodes": sorted(nodes.NODE_CLASS_MAPPINGS), "adapters": options("RevPersLoadFaceIDAdapter", "adapter_name"),
    "face models": options("RevPersLoadFaceModel", "model_name"),
    "detectors": options("RevPersLoadFaceDetector", "model_name"),
}))
"""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh process says of loading the pack, where nothing optional can be imported and models lie in
    ComfyUI's own folders and where extra_model_paths.yaml says."""
    base, elsewhere = base_directory(tmp_path_factory.mktemp("load")), tmp_path_factory.mktemp("elsewhere")
    for path in (
        elsewhere / "adapters" / "ip-adapter-faceid_sdxl.bin",
        elsewhere / "faces" / "models" / "buffalo_l" / "w600k_r50.onnx",
        base / "models" / "ipadapter" / "own.safetensors",
        base / "models" / "insightface" / "models" / "antelopev2" / "glintr100.onnx",
        base / "models" / "insightface" / "centerface.onnx",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    paths = elsewhere / "extra_model_paths.yaml"
    paths.write_text(f"other:\n  base_path: {elsewhere}\n  ipadapter: adapters\n  insightface: faces\n")
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(elsewhere / "cache"), "PYTHONDONTWRITEBYTECODE": ""}
    folders = [
        str(base / "custom_nodes" / "ComfyUI-ReversePersonalization" / name)
        for name in ("nodes", "revpers_core", "__init__.py")
    ]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], env=environment, check=True)
    run = [sys.executable, "-c", SCRIPT, str(base), str(paths)]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_pack_loads_where_nothing_optional_is_installed(loading: dict[str, Any]) -> None:
    assert loading["loaded"] and "RevPersAnonymizeFaces" in loading["nodes"]


def test_loading_is_quick_and_imports_nothing_heavy(loading: dict[str, Any]) -> None:
    """In seconds of the processor, which other programs on this machine hardly lengthen; compiled once before, as
    after anybody's first start."""
    heavy = {name for name in loading["new"] if name.split(".")[0] in HEAVY}
    assert not heavy
    assert loading["seconds"] < 0.3, loading


def test_models_are_found_in_the_communitys_folders_and_through_extra_model_paths(loading: dict[str, Any]) -> None:
    assert set(loading["adapters"]) == {"ip-adapter-faceid_sdxl.bin", "own.safetensors"}
    for kind in ("face models", "detectors"):
        assert {"buffalo_l", "antelopev2", "centerface.onnx"} <= set(loading[kind])


def test_a_license_a_version_and_requirements_that_pin_nothing() -> None:
    """What the registry and the Manager read (comfy-cli's `comfy node validate` checks the rest)."""
    import tomllib

    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    assert (REPO / project["project"]["license"]["file"]).is_file()
    assert project["project"]["version"].count(".") == 2 and project["project"]["urls"]["Repository"]
    assert {"PublisherId", "DisplayName"} <= set(project["tool"]["comfy"]) and "web" not in project["tool"]["comfy"]
    needed = (REPO / "requirements.txt").read_text().split()
    assert needed and not any("=" in name or name.startswith(("torch", "numpy", "opencv")) for name in needed)

"""The pack beside onnxruntime-gpu, in environments of their own: what it had before, it has after (slow: 300 MB)."""

import os
import re
import subprocess
import sys
import venv
import warnings
from pathlib import Path

import pytest

from revpers_core.faces.onnx_session import GPU_CURE

if sys.version_info >= (3, 11):
    import tomllib

REPO = Path(__file__).resolve().parents[2]
GPU = "onnxruntime-gpu==1.23.2"  # the last one for every Python that we know; built for CUDA 12
CUDA = "CUDAExecutionProvider"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: has no wheel with CUDA"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="NOT TESTED: this Python reads no pyproject.toml"),
]


class Environment:
    def __init__(self, folder: Path):
        venv.create(folder, with_pip=True)
        self.python = folder / "bin" / "python"

    def pip(self, *arguments: str) -> None:
        """Where the index cannot be reached there is nothing to be said: skips, aloud."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and "No matching distribution" in done.stderr:
            warnings.warn(f"INSTALLS NOT TESTED: {done.stderr}", stacklevel=2)
            pytest.skip(done.stderr)
        assert done.returncode == 0, done.stderr

    def providers(self) -> list[str]:
        """What onnxruntime says in a process of its own; [] where nothing is left of it."""
        code = "import onnxruntime as o; print(*getattr(o, 'get_available_providers', list)())"
        environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONPATH": ""}
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.split()


@pytest.fixture(scope="module")
def with_gpu(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """onnxruntime-gpu was there first."""
    environment = Environment(tmp_path_factory.mktemp("first"))
    environment.pip("install", "-q", GPU)
    assert CUDA in environment.providers()
    return environment


def install_the_pack(environment: Environment) -> None:
    """As ComfyUI-Manager and as pip do it, but for torch, which takes long and is there in any ComfyUI."""
    environment.pip("install", "-q", "-r", str(REPO / "requirements.txt"), "--no-deps")
    environment.pip("install", "-q", *(name for name in dependencies() if not name.startswith(("torch", "numpy"))))


def dependencies() -> list[str]:
    return tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["dependencies"]


def test_nobody_is_asked_for_onnxruntime() -> None:
    asked = [*dependencies(), *(REPO / "requirements.txt").read_text().split()]
    assert asked and not [name for name in asked if "onnx" in name.lower() or "insightface" in name.lower()]
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["onnx"] == ["onnxruntime"] and extras["onnx-gpu"] == ["onnxruntime-gpu"]


def test_cuda_stays_where_onnxruntime_gpu_was_first(with_gpu: Environment) -> None:
    before = with_gpu.providers()
    install_the_pack(with_gpu)
    assert with_gpu.providers() == before


def test_cuda_is_there_where_the_pack_was_first(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "second")
    install_the_pack(environment)
    environment.pip("install", "-q", GPU)
    assert CUDA in environment.providers()


def test_our_cure_brings_cuda_back_and_uninstalling_one_of_two_does_not(with_gpu: Environment) -> None:
    """The fault itself, which shows that these tests can fail: the plain wheel writes over the other one."""
    with_gpu.pip("install", "-q", "onnxruntime==1.23.2")
    assert CUDA not in with_gpu.providers()
    with_gpu.pip("uninstall", "-q", "-y", "onnxruntime")
    assert with_gpu.providers() == [], "the cure that we told before"
    commands = [command.split()[1:] for command in re.findall(r"pip (?:un)?install[^,(]*", GPU_CURE)]
    assert [command[0] for command in commands] == ["uninstall", "install"]
    for verb, *names in commands:
        with_gpu.pip(verb, *(GPU if verb == "install" else name for name in names))
    assert CUDA in with_gpu.providers()


def test_the_demo_runs_where_onnxruntime_cannot_be_imported(tmp_path: Path) -> None:
    code = "import sys; sys.modules['onnxruntime'] = None; from revpers_core.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "demo", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo.png").is_file() and "anonymized" in done.stdout

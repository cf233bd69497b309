"""The real ComfyUI in process (the pack loaded as ComfyUI loads it) and as a server."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
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
    """A base directory with nothing but our pack in custom_nodes."""
    folder = tmp_path_factory.mktemp("comfy")
    for name in ("custom_nodes", "input", "output", "user", "temp", "models"):
        (folder / name).mkdir()
    (folder / "custom_nodes" / "ComfyUI-ReversePersonalization").symlink_to(REPO)
    return folder


@pytest.fixture(scope="session")
def comfy(base: Path) -> SimpleNamespace:
    """ComfyUI's modules, and our nodes by id as ``nodes``; ``core(name)`` gives a module of the loaded pack."""
    sys.path.insert(0, str(ROOT))
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base)]
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    pack = base / "custom_nodes" / "ComfyUI-ReversePersonalization"
    assert asyncio.run(nodes.load_custom_node(str(pack), module_parent="custom_nodes")), "the pack does not load"
    (name,) = [m for m in sys.modules if m.endswith("ComfyUI-ReversePersonalization")]
    return SimpleNamespace(nodes=nodes.NODE_CLASS_MAPPINGS, core=lambda part: sys.modules[f"{name}.{part}"])


@pytest.fixture(scope="session")
def server(base: Path) -> Iterator["Server"]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base)]
    command += ["--user-directory", str(base / "user"), "--database-url", "sqlite:///:memory:"]
    command += ["--preview-method", "auto", "--disable-auto-launch", "--disable-api-nodes"]
    log = open(base / "server.log", "w+")  # noqa: SIM115
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    running = Server(f"http://127.0.0.1:{port}", base)
    try:
        running.wait_until_up(process)
        yield running
    finally:
        process.terminate()
        process.wait(20)
        log.close()


class Server:
    """A running ComfyUI, spoken to as its page does."""

    def __init__(self, url: str, base: Path):
        self.url, self.base = url, base

    def wait_until_up(self, process: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        raise RuntimeError("ComfyUI did not start:\n" + (self.base / "server.log").read_text()[-3000:])

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def queue(self, prompt: dict[str, Any]) -> str:
        return self.post("/prompt", {"prompt": prompt})["prompt_id"]

    def result(self, prompt_id: str, seconds: float = 300) -> dict[str, Any]:
        """The finished run's history entry."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            time.sleep(0.05)
        raise TimeoutError(prompt_id)

    def is_running(self) -> bool:
        return bool(self.get("/queue")["queue_running"])

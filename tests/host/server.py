"""A running ComfyUI, spoken to as its page does."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PATIENCE = 300
"""Seconds after which something hangs. Nothing is waited for by the clock but for what the server or the page shows; a
machine whose cores are taken by something else may take minutes where an idle one takes a second."""


def base_directory(folder: Path) -> Path:
    """The folder made a base directory of ComfyUI, with our pack and the stand-ins for other packs in custom_nodes."""
    for name in ("custom_nodes", "input", "output", "user", "temp", "models"):
        (folder / name).mkdir()
    (folder / "custom_nodes" / "ComfyUI-ReversePersonalization").symlink_to(REPO)
    (folder / "custom_nodes" / "other_pack.py").symlink_to(Path(__file__).with_name("other_pack.py"))
    return folder


@contextmanager
def started(root: Path, base: Path, *arguments: str) -> Iterator["Server"]:
    """The ComfyUI at ``root``, running on the CPU with its folders under ``base``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base)]
    command += ["--user-directory", str(base / "user"), "--database-url", "sqlite:///:memory:"]
    command += ["--preview-method", "auto", "--disable-auto-launch", "--disable-api-nodes", *arguments]
    with open(base / "server.log", "w+") as log:
        process = subprocess.Popen(command, cwd=root, stdout=log, stderr=subprocess.STDOUT)
        running = Server(f"http://127.0.0.1:{port}", base, process.pid)
        try:
            running.wait_until_up(process)
            yield running
        finally:
            process.terminate()
            process.wait(20)


class Server:
    """Its web interface at ``url``; its folders under ``base``; its process."""

    def __init__(self, url: str, base: Path, process: int):
        self.url, self.base, self.process = url, base, process

    def worked(self) -> float:
        """Seconds of processor time it has taken so far (Linux)."""
        after_name = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_up(self, process: "subprocess.Popen[bytes]", seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        raise RuntimeError("ComfyUI did not start:\n" + (self.base / "server.log").read_text()[-3000:])

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def queue(self, prompt: dict[str, Any]) -> str:
        return self.post("/prompt", {"prompt": prompt})["prompt_id"]

    def result(self, prompt_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
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

"""The golden runs through this ComfyUI."""

import subprocess
import sys

import pytest
from run import HERE, verdict  # tests/parity/run.py


@pytest.mark.parametrize("asked", [[], ["--instead"]], ids=["the paper's code", "with a stand-in, the other host"])
def test_equal_to(asked: list[str]) -> None:
    command = [sys.executable, HERE / "run.py", "--host", "comfyui", *asked]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"case"') == 8
    assert verdict([], "float32"), "no cases must not pass"

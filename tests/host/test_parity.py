"""The golden runs through this ComfyUI."""

import subprocess
import sys

from run import HERE, verdict  # tests/parity/run.py


def test_equal_to_the_papers_code() -> None:
    done = subprocess.run([sys.executable, HERE / "run.py", "--host", "comfyui"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"case"') == 8
    assert verdict([], "float32"), "no cases must not pass"

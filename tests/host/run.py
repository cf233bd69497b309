"""Run the host tests against every prepared ComfyUI, each in its own environment and process, and the browser tests
against the page of the upstream one."""

import os
import subprocess
import sys
from pathlib import Path

from prepare import prepared, roots

HERE = Path(__file__).resolve().parent
BROWSER = HERE.with_name("browser")
CHROMIUM = Path(os.environ.get("REVPERS_CHROMIUM", "/usr/bin/chromium"))

NOTHING_CHOSEN = 5
"""pytest's exit code where a choice by -k leaves no test."""


def suites(root: Path) -> list[Path]:
    """The tests for a ComfyUI; older ones have another page, which is not tested."""
    if "0.3.64" in root.name:
        return [HERE]
    if not CHROMIUM.is_file():
        print(f"\n*** THE PAGE WAS NOT TESTED: no browser at {CHROMIUM} (apt-get install chromium) ***\n", flush=True)
        return [HERE]
    return [HERE, BROWSER]


def main() -> int:
    ready = prepared()
    if not ready:
        why = "no ComfyUI in $COMFYUI_PATHS" if not roots() else "ComfyUI is there but not prepared: make host"
        print(f"\n*** THE REAL HOST WAS NOT TESTED: {why} ***\n", flush=True)
        return 0
    failed: list[str] = []
    for root, python in ready:
        print(f"\n--- host tests against {root.name} ---", flush=True)
        # Not `python -m pytest`, which would make `import nodes` find our folder instead of ComfyUI's module.
        run = [str(python.with_name("pytest")), "-p", "no:cacheprovider", *map(str, suites(root)), *sys.argv[1:]]
        environment = {**os.environ, "REVPERS_COMFYUI": str(root)}
        code = subprocess.run(run, cwd=HERE.parents[1], env=environment, check=False).returncode
        if code and not (code == NOTHING_CHOSEN and sys.argv[1:]):
            failed.append(root.name)
    if failed:
        print(f"\nhost tests failed against {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

"""Run the host tests against every prepared ComfyUI, each in its own environment and process."""

import os
import subprocess
import sys
from pathlib import Path

from prepare import prepared, roots

HERE = Path(__file__).resolve().parent


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
        run = [str(python.with_name("pytest")), "-p", "no:cacheprovider", str(HERE), *sys.argv[1:]]
        environment = {**os.environ, "REVPERS_COMFYUI": str(root)}
        if subprocess.run(run, cwd=HERE.parents[1], env=environment, check=False).returncode:
            failed.append(root.name)
    if failed:
        print(f"\nhost tests failed against {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

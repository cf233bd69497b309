"""Run the host tests against every prepared ComfyUI, each in its own environment and process, and the browser tests
against the page of the upstream one: that which it asks for, and newer ones (REVPERS_PAGE=VERSION for one alone)."""

import os
import subprocess
import sys
from pathlib import Path

from prepare import FRONTENDS, page, pages, prepared, roots

HERE = Path(__file__).resolve().parent
BROWSER = HERE.with_name("browser")
CHROMIUM = Path(os.environ.get("REVPERS_CHROMIUM", "/usr/bin/chromium"))

NOTHING_CHOSEN = 5
"""pytest's exit code where a choice by -k leaves no test."""


WRITES = ("REVPERS_WRITE_PICTURES", "REVPERS_WRITE_WORKFLOWS")
"""Runs that make files take the page that ComfyUI asks for."""


def suites(root: Path) -> list[tuple[Path, dict[str, str]]]:
    """The tests for a ComfyUI, each with what it must be told; older ones have another page, which is not tested."""
    if "0.3.64" in root.name:
        return [(HERE, {})]
    if not CHROMIUM.is_file():
        print(f"\n*** THE PAGE WAS NOT TESTED: no browser at {CHROMIUM} (apt-get install chromium) ***\n", flush=True)
        return [(HERE, {})]
    for version in set(FRONTENDS) - set(pages()):
        print(f"\n*** THE PAGE {version} WAS NOT TESTED: make host prepares it ***\n", flush=True)
    newer = [] if any(map(os.environ.get, WRITES)) else pages()
    environments = [{}, *({"REVPERS_FRONTEND": str(page(version))} for version in newer)]
    if asked := os.environ.get("REVPERS_PAGE"):
        return [(BROWSER, {"REVPERS_FRONTEND": str(page(asked))})]
    return [(HERE, {}), *((BROWSER, one) for one in environments)]


def main() -> int:
    ready = prepared()
    if not ready:
        why = "no ComfyUI in $COMFYUI_PATHS" if not roots() else "ComfyUI is there but not prepared: make host"
        print(f"\n*** THE REAL HOST WAS NOT TESTED: {why} ***\n", flush=True)
        return 0
    failed: list[str] = []
    for root, python in ready:
        for suite, variables in suites(root):
            version = f", page {Path(variables['REVPERS_FRONTEND']).parents[1].name}" if variables else ""
            print(f"\n--- {suite.name} tests against {root.name}{version} ---", flush=True)
            # Not `python -m pytest`, which would make `import nodes` find our folder instead of ComfyUI's module.
            run = [str(python.with_name("pytest")), "-p", "no:cacheprovider", str(suite), *sys.argv[1:]]
            environment = {**os.environ, "REVPERS_COMFYUI": str(root), **variables}
            code = subprocess.run(run, cwd=HERE.parents[1], env=environment, check=False).returncode
            if code and not (code == NOTHING_CHOSEN and sys.argv[1:]):
                failed.append(f"{root.name} ({suite.name}{version})")
    if failed:
        print(f"\nhost tests failed against {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

"""One environment per real ComfyUI, outside the work tree, each with its own requirements; and newer pages for it.

python tests/host/prepare.py            prepare all that exist in $COMFYUI_PATHS
python tests/host/prepare.py --list     print those that are prepared: root and interpreter
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

DEFAULT_PATHS = "~/comfy/ComfyUI-0.33:~/comfy/ComfyUI-0.3.64"
ENVIRONMENTS = Path(os.environ.get("REVPERS_CACHE", Path.home() / ".cache" / "revpers")) / "host"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
EXTRA = ("onnxruntime", "cryptography", "pytest", "playwright", "requests")
"""ComfyUI 0.3.64 imports requests without listing it."""


FRONTENDS = ("1.58.1",)
"""Versions of ComfyUI's page that the newest ComfyUI is also tried with, beside the one that it asks for."""


def page(version: str) -> Path:
    """Where the files of a version of the page are, for ComfyUI's --front-end-root."""
    return ENVIRONMENTS / f"frontend-{version}" / "comfyui_frontend_package" / "static"


def prepare_page(version: str) -> None:
    print(f"preparing the page {version} in {page(version)}", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade"]
    target = page(version).parents[1]
    subprocess.run([*pip, "--target", str(target), f"comfyui-frontend-package=={version}"], check=True)


def pages() -> list[str]:
    """Versions of the page that are prepared."""
    return [version for version in FRONTENDS if (page(version) / "index.html").is_file()]


def roots() -> list[Path]:
    """Every real ComfyUI that the tests may use."""
    listed = os.environ.get("COMFYUI_PATHS", DEFAULT_PATHS).split(os.pathsep)
    return [path for entry in listed if entry and ((path := Path(entry).expanduser()) / "main.py").is_file()]


def interpreter(root: Path) -> Path:
    return ENVIRONMENTS / root.name / "bin" / "python"


def stamp(root: Path) -> str:
    """What the environment was made from: it is made again when this changes."""
    parts = [(root / "requirements.txt").read_text(), CONSTRAINTS.read_text(), *EXTRA]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_prepared(root: Path) -> bool:
    mark = ENVIRONMENTS / root.name / "revpers-stamp"
    return mark.is_file() and mark.read_text() == stamp(root)


def prepared() -> list[tuple[Path, Path]]:
    """(root, interpreter) of every prepared ComfyUI."""
    return [(root, interpreter(root)) for root in roots() if is_prepared(root)]


def prepare(root: Path) -> None:
    home = ENVIRONMENTS / root.name
    print(f"preparing {root} in {home}", flush=True)
    venv.create(home, with_pip=True, clear=True)
    pip = [str(interpreter(root)), "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS)]
    subprocess.run([*pip, "-r", str(root / "requirements.txt"), *EXTRA], check=True)
    (home / "revpers-stamp").write_text(stamp(root))


def main() -> int:
    if "--list" in sys.argv:
        for root, python in prepared():
            print(root, python)
        for version in pages():
            print("page", version, page(version))
        return 0
    if not roots():
        print("NO REAL COMFYUI FOUND: set COMFYUI_PATHS to one or more ComfyUI folders; the host is not tested")
    for root in roots():
        if not is_prepared(root):
            prepare(root)
    for version in FRONTENDS if roots() else ():
        if version not in pages():
            prepare_page(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())

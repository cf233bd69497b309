"""Objects of the insightface package, for those who have it; our loaders read its files without it.

ComfyUI's sockets INSIGHTFACE (IPAdapter_plus, PhotoMaker) and FACEANALYSIS (InstantID, PuLID, InfiniteYou) carry its
``FaceAnalysis``: ``models`` by task, each with its ``model_file``; ``recognition`` has ``session``, ``input_mean`` and
``input_std``, ``detection`` has ``detect``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..adapters.kinds import RECOGNISERS
from .detector import FLOOR, Detector, faces_of
from .face import Face
from .mediapipe import of_landmarker
from .onnx_session import PROVIDERS, runtime
from .population import find
from .recognise import FaceModel


def load_pack(
    name: str = "buffalo_l", root: str | Path = "~/.insightface", provider: str = "cpu", floor: float = FLOOR
) -> Detector:
    """The detector of a model pack, ``root/models/name``, run by insightface at 640 x 640.

    insightface downloads a pack that is not there. Raises ImportError without the package and ValueError where the
    pack cannot be loaded.
    """
    try:
        runtime()  # before the package imports it, and with it its telemetry
        from insightface.app import FaceAnalysis  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "load det_10g.onnx itself: that needs no package. pip install insightface brings onnxruntime along, which "
            "takes CUDA from an onnxruntime-gpu that is there"
        ) from error
    providers = [PROVIDERS["cpu"]] if provider == "cpu" else [PROVIDERS["cuda"], PROVIDERS["cpu"]]
    try:
        root = str(Path(root).expanduser())
        app: Any = FaceAnalysis(name, root, allowed_modules=["detection"], providers=providers)
        app.prepare(ctx_id=-1 if provider == "cpu" else 0, det_thresh=floor, det_size=(640, 640))
    except Exception as error:
        raise ValueError(f"insightface cannot load the pack {name} from {root}: {error}") from error
    return of_model(app.det_model)


def of_model(model: Any) -> Detector:
    """A detector of insightface's ``RetinaFace`` or ``SCRFD`` object, prepared."""

    def detect(image: Tensor) -> list[Face]:
        pixels = (image.float().cpu() * 255).round().byte().permute(1, 2, 0).flip(-1).contiguous().numpy()
        boxes, points = model.detect(pixels, input_size=model.input_size or (640, 640))
        if points is None:
            raise ValueError("this insightface detector gives no points: use det_10g (buffalo_l)")
        boxes = torch.from_numpy(boxes)
        return faces_of(boxes[:, :4], torch.from_numpy(points), boxes[:, 4])

    return detect


def as_face_model(value: Any) -> FaceModel:
    """A face model as it is, or the recogniser of a ``FaceAnalysis``.

    Raises ValueError for other objects, and for a recogniser that no adapter understands; which of them the run's
    adapter does is asked where the two meet (adapters/attention.py).
    """
    if isinstance(value, FaceModel):
        return value
    model = _model_of(value, "recognition", "face_model")
    name = Path(str(model.model_file)).stem
    if not name.startswith(tuple(RECOGNISERS.values())):
        raise ValueError(
            "face_model: adapters understand the recogniser of buffalo_l (w600k_r50) or, for InstantID, of antelopev2 "
            f"(glintr100), this one is {name}: load one of these, or use 'Load Face Recognition Model'"
        )
    mean, std, people = float(model.input_mean), float(model.input_std), find(str(model.model_file))
    return FaceModel(model.session, name, mean=mean, std=std, population=people)


def as_detectors(value: Any) -> Sequence[Detector]:
    """Detectors as they are, or that of a ``FaceAnalysis`` or of ComfyUI's own face stack. Raises ValueError for other
    objects."""
    if isinstance(value, tuple):
        return value
    if hasattr(value, "detect_batch"):
        return (of_landmarker(value),)
    return (of_model(_model_of(value, "detection", "detector")),)


def _model_of(value: Any, task: str, name: str) -> Any:
    models = getattr(value, "models", None)
    if not isinstance(models, Mapping) or task not in models:
        raise ValueError(
            f"{name}: expected insightface's FaceAnalysis with a model for {task}, got {type(value).__name__}: "
            "connect the InsightFace loader of IPAdapter, InstantID or PuLID, or one of this pack's loaders"
        )
    return models[task]

"""The insightface package's own detectors, for those who have it; our ``detect.load`` reads its files without it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..types import Face
from .heads import FLOOR, Detector, faces_of


def load_pack(
    name: str = "buffalo_l", root: str | Path = "~/.insightface", provider: str = "cpu", floor: float = FLOOR
) -> Detector:
    """The detector of a model pack, ``root/models/name``, run by insightface at 640 x 640.

    insightface downloads a pack that is not there. Raises ImportError without the package and ValueError where the
    pack cannot be loaded.
    """
    try:
        from insightface.app import FaceAnalysis  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("pip install insightface, or load det_10g.onnx itself: that needs no package") from error
    wanted = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[provider]
    try:
        app: Any = FaceAnalysis(name, str(root), allowed_modules=["detection"], providers=[wanted])
        app.prepare(ctx_id=0 if provider == "cuda" else -1, det_thresh=floor, det_size=(640, 640))
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

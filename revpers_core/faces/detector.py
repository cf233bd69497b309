"""What the detectors' families have in common: the port, padding to a net's stride, raw detections to faces."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..method.settings import MIN_SCORE
from .face import Face
from .merge import nms

Detector = Callable[[Tensor], list[Face]]
"""An image (3, H, W) float32 in [0, 1], RGB, to its faces; it neither resizes nor retries."""
FLOOR = MIN_SCORE.low
"""Detections scored lower are dropped at once; ``find_faces`` asks for more."""


def padded(image: Tensor, stride: int) -> Tensor:
    """The image (3, H, W) with black below and to the right, so that both sides are multiples of ``stride``."""
    height, width = image.shape[-2:]
    return pad(image, (0, -width % stride, 0, -height % stride))


def faces_of(boxes: Tensor, points: Tensor, scores: Tensor) -> list[Face]:
    """Faces of raw detections: boxes (N, 4), points (N, 5, 2), scores (N,); duplicates and broken ones are dropped."""
    sound = torch.isfinite(boxes).all(-1) & torch.isfinite(points).all(-1).all(-1) & torch.isfinite(scores)
    sound &= (boxes[:, 2:] > boxes[:, :2]).all(-1)
    boxes, points, scores = boxes[sound], points[sound], scores[sound].clamp(0, 1)
    return [Face(_box(boxes[i]), points[i], float(scores[i])) for i in nms(boxes, scores)]


def enlarged(face: Face, x: float, y: float) -> Face:
    """The face in an image that is ``x`` times as wide and ``y`` times as high."""
    zoom = face.points.new_tensor([x, y])
    corners = (torch.tensor(face.box).reshape(2, 2) + 0.5) * zoom - 0.5
    return Face(_box(corners.flatten()), (face.points + 0.5) * zoom - 0.5, face.score)


def _box(box: Tensor) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1

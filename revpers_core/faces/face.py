"""A face in an image: where it is, and how sure the detector was."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor


@dataclass(frozen=True)
class Face:
    """One face in an image, in pixels of that image; pixel centres are whole numbers.

    box: x0, y0, x1, y1. points: (5, 2), the two eyes, the nose tip and the two mouth corners; first the one that a
    viewer sees on the left where the head is upright. score: the detector's, in [0, 1].
    """

    box: tuple[float, float, float, float]
    points: Tensor
    score: float

    def __post_init__(self):
        if len(self.box) != 4:
            raise ValueError(f"Face.box must be (x0, y0, x1, y1), got {len(self.box)} numbers")
        if not all(map(isfinite, self.box)) or self.box[0] >= self.box[2] or self.box[1] >= self.box[3]:
            raise ValueError(f"Face.box must be finite with x0 < x1 and y0 < y1, got {tuple(self.box)}")
        if tuple(self.points.shape) != (5, 2):
            raise ValueError(f"Face.points must be (5, 2), got {tuple(self.points.shape)}")
        if not torch.isfinite(self.points).all():
            raise ValueError("Face.points holds NaN or infinite values")
        if not 0 <= self.score <= 1:
            raise ValueError(f"Face.score must be from 0 to 1, got {self.score}")

    @property
    def area(self) -> float:
        """Area of the box, in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

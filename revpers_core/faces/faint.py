"""A search that tells sure faces from faint ones, for clips: a faint one may carry on what a sure one began."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from .detect import Search, find_faces
from .detector import FLOOR, Detector
from .face import Face


def sure_and_faint(image: Tensor, detectors: Sequence[Detector], search: Search) -> tuple[list[Face], list[Face]]:
    """Faces of at least ``search.min_score``, as ``find_faces`` finds them, and those of less, down to the detectors'
    floor. image: (3, H, W) in [0, 1]."""
    faces = find_faces(image, detectors, replace(search, min_score=min(FLOOR, search.min_score)))
    sure = [face for face in faces if face.score >= search.min_score]
    faint = [face for face in faces if face.score < search.min_score]
    if not sure and faint:  # a faint one must not keep the search from trying harder
        sure = find_faces(image, detectors, search)
    return sure, faint

"""Which detections are one face: overlap of boxes and agreement of points."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .face import Face

SAME_BOX = 0.4
"""Intersection over union above which two boxes of one look are one face (insightface's own)."""
LIKE_BOX = 0.35
"""The same across looks and detectors, if the points are near as well."""
SAME_POINTS, LIKE_POINTS = 0.3, 0.6
"""Mean distances of two faces' points, in lengths of the smaller box's side, below which they are one face whatever
their boxes, and with boxes that overlap. Two heads cheek by cheek are .8 apart, a small face before a large one is .4
and more; to find someone twice does less harm than to lose one who stands before or behind another."""


def merge_faces(faces: Sequence[Face]) -> list[Face]:
    """Each face once, in its best-scored form, largest first. Only the points make two boxes one face: a face may stand
    before another, or hang on somebody's shirt."""
    if not faces:
        return []
    boxes = torch.tensor([face.box for face in faces], dtype=torch.float64)
    points = torch.stack([face.points.double().cpu() for face in faces])
    sides = area(boxes).sqrt()

    def same(index: int, others: Tensor) -> Tensor:
        gap = (points[others] - points[index]).norm(dim=-1).mean(-1)
        gap = gap / torch.minimum(sides[others], sides[index])
        like = (iou(boxes[index], boxes[others]) > LIKE_BOX) & (gap < LIKE_POINTS)
        return (gap < SAME_POINTS) | like

    merged = [faces[i] for i in best(torch.tensor([face.score for face in faces]), same)]
    return sorted(merged, key=lambda face: -face.area)


def same_face(face: Face, other: Face) -> bool:
    """Whether ``merge_faces`` would take the two for one face."""
    return len(merge_faces([face, other])) == 1


def overlapping(face: Face, other: Face) -> bool:
    """Whether the two boxes overlap as far as those of one face do, whatever their points."""
    return bool(iou(torch.tensor(face.box), torch.tensor([other.box])) > LIKE_BOX)


def looks_like_a_part(small: Face, large: Face) -> bool:
    """Whether a face may be a piece of a larger one that the detector mistook: it is the less sure of the two, and its
    middle is in the ellipse of the other's box. Somebody small before somebody large looks the same: look closer."""
    if small is large or not (small.area < large.area and small.score < large.score):
        return False
    x0, y0, x1, y1 = small.box
    left, top, right, bottom = large.box
    across, along = (x0 + x1 - left - right) / (right - left), (y0 + y1 - top - bottom) / (bottom - top)
    return across**2 + along**2 < 1


def touching(face: Face, other: Face) -> bool:
    """Whether the two boxes have anything in common."""
    return bool(intersection(torch.tensor(face.box), torch.tensor([other.box])) > 0)


def nms(boxes: Tensor, scores: Tensor, limit: float = SAME_BOX) -> list[int]:
    """Non-maximum suppression: the indices of the boxes (N, 4) that stay, best first. scores: (N,)."""
    return best(scores, lambda index, others: iou(boxes[index], boxes[others]) > limit)


def best(scores: Tensor, same: Callable[[int, Tensor], Tensor]) -> list[int]:
    """The best of each group, greedily. ``same(one, others)`` tells which of the others are like one."""
    left, winners = scores.argsort(descending=True, stable=True), list[int]()
    while len(left):
        winners.append(int(left[0]))
        left = left[1:][~same(winners[-1], left[1:])]
    return winners


def iou(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one box (4,) with others (N, 4): (N,)."""
    common = intersection(box, boxes)
    return common / (area(boxes) + area(box) - common)


def intersection(box: Tensor, boxes: Tensor) -> Tensor:
    """Area that one box (4,) has in common with others (N, 4): (N,), square pixels."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    return (high - low).clamp(min=0).prod(-1)


def area(boxes: Tensor) -> Tensor:
    """Area of boxes (..., 4), in square pixels."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)

"""Are the faces still found where they were?"""

import torch
from torch import Tensor


def average_precision(scores: Tensor, hits: Tensor, count: int) -> float:
    """Area under precision over recall, every point kept (PASCAL VOC 2010).

    scores: (N,) of detections. hits: (N,) bool, whether each is a face that was there. count: of these, 1 or more.
    """
    if count < 1:
        raise ValueError(f"average precision needs a face that was there, got {count}")
    order = scores.argsort(descending=True)
    right = hits.double()[order].cumsum(0)
    precision = right / torch.arange(1, len(right) + 1, dtype=torch.float64)
    # At each recall the best precision of that recall or more.
    best = precision.flip(0).cummax(0).values.flip(0)
    recall = torch.cat([torch.zeros(1, dtype=torch.float64), right / count])
    return float((recall.diff() * best).sum())


def normalized_error(points: Tensor, reference: Tensor) -> Tensor:
    """Normalized mean error (N,) of five points (N, 5, 2) against others, in distances of the reference's eyes."""
    points, reference = points.double(), reference.double()
    apart = (reference[:, 1] - reference[:, 0]).norm(dim=1)
    return (points - reference).norm(dim=2).mean(1) / apart

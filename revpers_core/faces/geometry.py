"""Face templates and the fits between them."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Eyes, nose tip and mouth corners in the 112-pixel input of ArcFace recognisers (insightface)."""
FFHQ = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
"""The same points in an aligned 512-pixel FFHQ crop (facexlib)."""


def fit_scale_shift(source: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """Least-squares scale and shift (2,) with target = scale * source + shift, for points (N, 2)."""
    a, b = source - source.mean(0), target - target.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    return scale, target.mean(0) - scale * source.mean(0)


def face_of_aligned(image: Tensor, size: int = 112) -> Tensor:
    """Cut an aligned crop (B, 3, S, S), framed as FFHQ's are, down to the face that ArcFace sees: (B, 3, size, size).

    The templates differ by scale and shift alone, so the cut is a square; it is resized with antialiasing.
    """
    side = image.shape[-1]
    scale, shift = fit_scale_shift(torch.tensor(FFHQ) / 512, torch.tensor(ARCFACE) / 112)
    left, top = (-shift / scale * side).round().int().tolist()
    extent = round(side / scale)
    cut = image[..., top : top + extent, left : left + extent]
    return interpolate(cut, (size, size), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)

"""Structural similarity, for what should not have changed."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

SIGMA, RADIUS = 1.5, 5
C1, C2 = 0.01**2, 0.03**2


def ssim(a: Tensor, b: Tensor, where: Tensor | None = None) -> Tensor:
    """SSIM (Wang et al. 2004, Gaussian window of sigma 1.5, population statistics) of images: (B,), 1 is the same.

    a, b: (B, 3, H, W) in [0, 1], 11 pixels a side at least. where: (B, 1, H, W); only windows of which every
    pixel is above 0 there count, all inside the image unless given. NaN where none is left.
    """
    if a.shape != b.shape or min(a.shape[-2:]) <= 2 * RADIUS:
        raise ValueError(f"expected images of one size, 11 pixels or more, got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = a.double(), b.double()
    mean_a, mean_b = _mean(a), _mean(b)
    var_a, var_b = _mean(a * a) - mean_a**2, _mean(b * b) - mean_b**2
    shared = _mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + C1) * (2 * shared + C2)
    likeness = (likeness / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))).mean(1, keepdim=True)
    weight = torch.ones_like(likeness)
    if where is not None:
        weight = 1 - max_pool2d((where <= 0).to(likeness), 2 * RADIUS + 1, 1).expand_as(likeness)
    return (likeness * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _mean(x: Tensor) -> Tensor:
    """Under the window, where it fits in the image."""
    steps = torch.arange(-RADIUS, RADIUS + 1, dtype=x.dtype)
    line = torch.exp(-(steps**2) / (2 * SIGMA**2))
    line = line / line.sum()
    channels = x.shape[1]
    rows = conv2d(x, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1).contiguous(), groups=channels)
    return conv2d(rows, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1).contiguous(), groups=channels)

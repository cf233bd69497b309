"""How much of a picture changed, and where."""

import torch
from torch import Tensor


def change(result: Tensor, source: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean absolute difference of pixel values, 0...1, in the pixels ``where`` (B, 1, H, W) is above 0: (B,).

    result, source: (B, 3, H, W) in [0, 1]. NaN where no pixel counts.
    """
    if result.shape != source.shape:
        raise ValueError(f"sizes differ: {tuple(result.shape)} and {tuple(source.shape)}")
    difference = (result.double() - source.double()).abs().mean(1, keepdim=True)
    weight = torch.ones_like(difference) if where is None else (where > 0).to(difference)
    return (difference * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))

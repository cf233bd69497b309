"""Linear light, and a picture's mean colour in it."""

import torch
from torch import Tensor


def linear(srgb: Tensor) -> Tensor:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def encoded(light: Tensor) -> Tensor:
    """sRGB values of linear light, both cut to [0, 1]."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def mean_in(image: Tensor, weight: Tensor) -> Tensor:
    """Mean of each channel (C, S, S) under a weight (1, S, S) of a sum above 0: (C, 1, 1)."""
    return (image * weight).sum((1, 2), keepdim=True) / weight.sum()

"""How sharp a picture is: the variance of its Laplacian (Pech-Pacheco et al. 2000)."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))
LUMA = (0.299, 0.587, 0.114)


def sharpness(images: Tensor, inside: Tensor | None = None) -> Tensor:
    """(N,) variance of the brightness' Laplacian of images (N, 3, H, W) in [0, 1]; 0 where all is flat.

    inside: (H, W) bool, the pixels that count; the picture's border never does.
    """
    grey = (images.double() * torch.tensor(LUMA, dtype=torch.float64)[:, None, None]).sum(1, keepdim=True)
    bent = conv2d(grey, torch.tensor(LAPLACIAN, dtype=torch.float64)[None, None])[:, 0]
    if inside is None:
        return bent.flatten(1).var(1)
    return bent[:, inside[1:-1, 1:-1]].var(1)

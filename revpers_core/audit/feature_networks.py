"""Metrics whose definition is a trained network: the user gives its file, nothing is downloaded.

FID wants FID's own Inception (pool features), LPIPS its own AlexNet or VGG with the linear heads, both as ONNX.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.onnx_session import Network, open_network


def feature_network(path: str | Path) -> Callable[[Tensor], Tensor]:
    """Images (N, 3, H, W) in [0, 1] -> features (N, D), by an ONNX network with one input (N, 3, S, S) in [0, 1].

    A network of another scale must carry its own first layers. Raises ValueError for another form.
    """
    network = open_network(path)
    inputs = network.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(f"{Path(path).name} is no feature network: expected one input (N, 3, S, S)")
    return lambda images: torch.cat(
        [_run(network, [_sized(image[None], inputs[0].shape)]).flatten(1) for image in images]
    )


def perceptual_network(path: str | Path) -> Callable[[Tensor, Tensor], Tensor]:
    """Two batches of images (N, 3, H, W) in [0, 1] -> distances (N,), by an ONNX network of two inputs in [-1, 1], as
    LPIPS has (Zhang et al. 2018). Raises ValueError for another form."""
    network = open_network(path)
    inputs = network.get_inputs()
    if len(inputs) != 2 or any(len(feed.shape) != 4 for feed in inputs):
        raise ValueError(f"{Path(path).name} is no perceptual distance: expected two inputs (N, 3, S, S)")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        outputs = [
            _run(network, [_sized(x[None], f.shape) * 2 - 1 for x, f in zip(pair, inputs, strict=True)])
            for pair in zip(a, b, strict=True)
        ]
        return torch.cat([output.flatten() for output in outputs])

    return distance


def _sized(image: Tensor, shape: list[int | str]) -> Tensor:
    height, width = shape[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        return image
    return interpolate(image, (height, width), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _run(network: Network, images: list[Tensor]) -> Tensor:
    feeds = {
        f.name: x.float().cpu().numpy().astype(np.float32) for f, x in zip(network.get_inputs(), images, strict=True)
    }
    return torch.from_numpy(network.run(None, feeds)[0])

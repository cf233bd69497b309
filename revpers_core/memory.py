"""How many steps of an inversion share a call of the network."""

import logging
from collections.abc import Callable, Sequence

import torch

CPU_AREA, GPU_AREA = 1 << 14, 1 << 17
"""Latent pixels a call beyond which a batch is no faster: one 1024 x 1024 image on a CPU, eight on a GPU. More would
only make progress jump and cancelling slow."""
BYTES = 1 << 14
"""Of activations per latent pixel and byte of the dtype, with attention that stores no matrix: what SDXL's UNet takes,
doubled to be safe."""


def steps_at_once(shape: Sequence[int], device: str, fits: Callable[[int], bool]) -> int:
    """Steps a call, 1 or more, for latents of ``shape`` (B, C, h, w), both branches each.

    device: its type. fits(rows): whether the network's memory for so many rows is free.
    """
    batch, _, height, width = shape
    area = CPU_AREA if device == "cpu" else GPU_AREA
    steps = max(1, area // (2 * batch * height * width))
    while steps > 1 and not fits(2 * batch * steps):
        steps //= 2
    return steps


def warn_if_lossy(at_once: int, dtype: torch.dtype) -> None:
    """Say so where steps share a call although the network's precision lets batches of another size differ visibly."""
    if at_once > 1 and dtype.itemsize < torch.float32.itemsize:
        logging.warning(
            f"{at_once} inversion steps share a call in {dtype}: faster, but another result than one by one"
        )

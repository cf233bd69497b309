"""How many faces, and how many steps of an inversion, share a call of the network; less once memory runs out."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

CPU_AREA, GPU_AREA = 1 << 14, 1 << 17
"""Latent pixels a call beyond which a batch is no faster: one 1024 x 1024 image on a CPU, eight on a GPU. More would
only make progress jump and cancelling slow."""
BYTES = 1 << 14
"""Of activations per latent pixel and byte of the dtype, with attention that stores no matrix: what SDXL's UNet takes,
doubled to be safe."""
WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""What backends say that raise a plain RuntimeError: MPS, the CPU's allocator, asynchronous CUDA errors."""

Part = TypeVar("Part")
Fits = Callable[[int], bool]
"""rows -> whether the network's memory for so many rows is free."""


def faces_at_once(shape: Sequence[int], device: str, fits: Fits) -> int:
    """Faces a call, 1 or more, for latents of ``shape`` (B, C, h, w), both branches each; the others wait their turn.

    device: its type.
    """
    faces = min(shape[0], max(1, _area(device) // (2 * shape[2] * shape[3])))
    while faces > 1 and not fits(2 * faces):
        faces //= 2
    return faces


def steps_at_once(shape: Sequence[int], device: str, fits: Fits) -> int:
    """Steps a call, 1 or more, for latents of ``shape`` (B, C, h, w), both branches each. device: its type."""
    batch, _, height, width = shape
    steps = max(1, _area(device) // (2 * batch * height * width))
    while steps > 1 and not fits(2 * batch * steps):
        steps //= 2
    return steps


def _area(device: str) -> int:
    return CPU_AREA if device == "cpu" else GPU_AREA


def in_chunks(count: int, size: int, make: Callable[[slice], Part]) -> list[Part]:
    """What ``make`` makes of 0...count in slices of at most ``size``, halved for the rest once memory runs out.

    Raises whatever ``make`` raises, running out of memory over a single one included.
    """
    results: list[Part] = []
    start = 0
    while start < count:
        chunk = slice(start, min(start + size, count))
        try:
            results.append(make(chunk))
        except Exception as error:
            if chunk.stop - start == 1 or not is_out_of_memory(error):
                raise
            size = (chunk.stop - start) // 2
        else:
            start = chunk.stop
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine has no memory left; not every backend says so by torch.OutOfMemoryError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in WORDS)


def warn_if_lossy(at_once: int, dtype: torch.dtype) -> None:
    """Say so where steps share a call although the network's precision lets batches of another size differ visibly."""
    if at_once > 1 and dtype.itemsize < torch.float32.itemsize:
        logging.warning(
            f"{at_once} inversion steps share a call in {dtype}: faster, but another result than one by one"
        )

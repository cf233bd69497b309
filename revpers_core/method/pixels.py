"""Pictures as users give them, made into the core's tensors, or refused: NaN or 0...255 must not pass for a picture."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOM = 0.25
"""How far above 1 or below 0 a value may be: what resizing with bicubic filters overshoots. It is cut off."""
LEVELS = {torch.uint8: 255, torch.uint16: 65535, torch.bool: 1}
"""Highest value of the whole-number kinds."""
COLOURS = {1: 1, 2: 1, 3: 3, 4: 3}
"""By the number of channels, how many of them are colours; the other one is alpha, which is left out."""


def check_pixels(image: Tensor, name: str = "image") -> None:
    """Raises ValueError unless a floating point picture of any shape is finite and in [0, 1], overshoot apart."""
    if not image.is_floating_point():
        raise ValueError(f"{name}: its pixels must be floating point in [0, 1], got {image.dtype}")
    if not image.numel():
        raise ValueError(f"{name}: the batch is empty: connect at least one image")
    low, high = (float(value) for value in torch.aminmax(image.detach()))
    if low != low or high != high or float("inf") in (-low, high):
        raise ValueError(f"{name}: it holds NaN or infinite pixels: mend the step that made it, nothing is handed back")
    if low < -ROOM or high > 1 + ROOM:
        hint = "divide by 255" if high > 2 else "bring them to that range"
        raise ValueError(f"{name}: its pixels are from {low:g} to {high:g}, but they must be in [0, 1]: {hint}")


LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey picture (ITU-R BT.601)."""


def is_grey(image: Tensor) -> bool:
    """Whether every pixel of a picture (..., 3, H, W) is exactly as red as green and blue: black and white."""
    red, green, blue = image.unbind(-3)
    return bool((red == green).all() and (green == blue).all())


def grey(image: Tensor) -> Tensor:
    """The picture (..., 3, H, W) in black and white, its channels equal."""
    weights = image.new_tensor(LUMA)[:, None, None]
    return (image * weights).sum(-3, keepdim=True).expand_as(image)


def grey_where(result: Tensor, image: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in black and white where those that they were made from are."""
    return torch.stack(
        [grey(colour) if is_grey(source) else colour for colour, source in zip(result, image, strict=True)]
    )


def as_images(images: Any, name: str = "image") -> Tensor:
    """Pictures as (B, 3, H, W) float32 in [0, 1].

    images: a tensor (B, C, H, W) or (C, H, W); a numpy array or a PIL picture (H, W, C), (H, W) or, of several,
    (B, H, W, C); or a list of these of one size. Grey or in colour, with alpha, which is left out, or without; of any
    floating point kind in [0, 1], or 8 or 16 bit. Raises ValueError, saying what came.
    """
    if isinstance(images, (list, tuple)):
        parts = [as_images(image, f"{name} {i}") for i, image in enumerate(images, 1)]
        if not parts:
            raise ValueError(f"{name}: the list is empty: give at least one picture")
        if len({tuple(batch.shape[-2:]) for batch in parts}) > 1:
            raise ValueError(f"{name}: the pictures of a list must have one size: give them one by one")
        return torch.cat(parts)
    pixels = images if isinstance(images, Tensor) else _from_array(images, name)
    pixels = pixels[None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or pixels.shape[1] not in COLOURS:
        raise ValueError(
            f"{name}: expected (B, 3, H, W) or (3, H, W), got {tuple(images.shape)}: permute a tensor with its colours "
            "last"
        )
    if not pixels.is_floating_point():
        if pixels.dtype not in LEVELS:
            raise ValueError(f"{name}: pixels of the kind {pixels.dtype} are not known: give floats in [0, 1] or uint8")
        pixels = pixels.float() / LEVELS[pixels.dtype]
    check_pixels(pixels, name)
    colours = pixels[:, : COLOURS[pixels.shape[1]]].float().expand(-1, 3, -1, -1)
    return colours.clamp(0, 1)


def as_image(image: Any, name: str = "image") -> Tensor:
    """One picture as (3, H, W); see ``as_images``."""
    images = as_images(image, name)
    if len(images) != 1:
        raise ValueError(f"{name}: expected one picture, got {len(images)}")
    return images[0]


def _from_array(images: Any, name: str) -> Tensor:
    """Of numpy's order, colours last, to (B, C, H, W) or (C, H, W)."""
    if not isinstance(images, np.ndarray) and not hasattr(images, "__array_interface__"):
        raise ValueError(
            f"{name}: expected a tensor, a numpy array, a PIL picture or a list of these, got {type(images).__name__}"
        )
    array = np.asarray(images)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim not in (3, 4) or array.shape[-1] not in COLOURS or array.dtype.kind not in "fub":
        raise ValueError(
            f"{name}: expected (H, W, 3) of floats in [0, 1] or uint8, got {array.shape} of {array.dtype}: permute an "
            "array with its colours first"
        )
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, -3)))

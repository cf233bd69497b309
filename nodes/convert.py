"""ComfyUI's IMAGE and MASK to the core's tensors and back."""

import torch
from einops import rearrange
from torch.nn.functional import interpolate

from ..revpers_core.method.pixels import as_images, check_pixels

NO_ALPHA = torch.Size((64, 64))
"""Of the black mask that 'Load Image' gives where a picture has no alpha."""


def to_core(image, name="image"):
    """IMAGE (B, H, W, C), in colour or grey, with or without alpha, which is left out -> (B, 3, H, W) float32 in
    [0, 1]. Raises ValueError where pixels are not finite or of another range. name: of the input."""
    if image.ndim != 4:
        raise ValueError(f"{name}: expected an IMAGE (B, H, W, C), got {tuple(image.shape)}")
    return as_images(rearrange(image, "b h w c -> b c h w"), name)


def to_core_masks(mask, images):
    """MASK (B, H, W), one for each of the images (3, H, W) or one for all -> as many (1, H, W); None stays None.

    Other sizes are resized as ComfyUI's own nodes do; 'Load Image' gives a black one of 64 x 64 for a picture without
    alpha, which is none.
    """
    nothing = [None] * len(images)
    if mask is None:
        return nothing
    check_pixels(mask, "mask")
    masks = mask.reshape(-1, 1, *mask.shape[-2:])
    if len(masks) not in (1, len(images)):
        raise ValueError(f"mask: expected one for each of {len(images)} images or one for all, got {len(masks)}")
    sizes = {image.shape[-2:] for image in images}
    if masks.shape[-2:] == NO_ALPHA and NO_ALPHA not in sizes and not masks.any():
        return nothing
    masks = masks.expand(len(images), -1, -1, -1)
    return [resized(own, image.shape[-2:]) for own, image in zip(masks, images, strict=True)]


def resized(mask, size):
    """(1, h, w) -> (1, H, W), bilinear."""
    return mask if mask.shape[-2:] == size else interpolate(mask[None], size=size, mode="bilinear")[0]


def to_comfy(images):
    """(B, 3, H, W) -> IMAGE."""
    return rearrange(torch.stack(list(images)), "b c h w -> b h w c")

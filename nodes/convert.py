"""ComfyUI's IMAGE and MASK to the core's tensors and back."""

import torch
from einops import rearrange

from ..revpers_core.method.pixels import as_images, check_pixels


def to_core(image, name="image"):
    """IMAGE (B, H, W, C), in colour or grey, with or without alpha, which is left out -> (B, 3, H, W) float32 in
    [0, 1]. Raises ValueError where pixels are not finite or of another range. name: of the input."""
    if image.ndim != 4:
        raise ValueError(f"{name}: expected an IMAGE (B, H, W, C), got {tuple(image.shape)}")
    return as_images(rearrange(image, "b h w c -> b c h w"), name)


def to_core_masks(mask, images):
    """MASK (B, H, W), one for each of the images (3, H, W) or one for all -> as many (1, H, W); None stays None."""
    if mask is None:
        return [None] * len(images)
    check_pixels(mask, "mask")
    masks = mask.reshape(-1, 1, *mask.shape[-2:])
    if len(masks) not in (1, len(images)) or any(masks.shape[-2:] != one.shape[-2:] for one in images):
        raise ValueError(
            f"mask: expected {len(images)} of the images' size ({images[0].shape[-1]} x {images[0].shape[-2]} pixels) "
            f"or one for all, got {len(masks)} of {masks.shape[-1]} x {masks.shape[-2]}"
        )
    return list(masks.expand(len(images), -1, -1, -1))


def to_comfy(images):
    """(B, 3, H, W) -> IMAGE."""
    return rearrange(torch.stack(list(images)), "b c h w -> b h w c")

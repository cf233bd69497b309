"""Putting a changed crop back: no seam, nothing touched outside the mask, nothing of the source left inside.

Where the crop changed, the picture takes the new crop's pixels; where it did not, it takes the *difference* of the new
crop and the old, which is nothing. So the blur of cutting and pasting never reaches unchanged content, and cut then
paste gives the photo back. The difference alone would not do for changed content: the source's detail finer than the
crop would stay on the new face.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from ..method.pixels import check_pixels, grey, is_grey
from .geometry import Crop, check_image
from .keep import part_masks, with_parts
from .masks import Part, face_mask
from .tones import encoded, linear, mean_in
from .warp import BAND, blurred, inverted, shifted, warp

CHANGED = 4 / 255
"""A change of a pixel from which on the source's pixel is replaced as a whole."""
FAINT = 1 / 512
"""A mask below it is 0: it could not change an 8-bit pixel."""
MAX_GAIN = 2.0
NEAR, ALIKE = 0.08, 0.6
"""Mean difference of a place's pixels from the crop that was cut there up to which, or correlation from which on, it is
the same picture: its colours or the face may have been changed since."""


def paste(
    image: Tensor,
    crop: Crop,
    pixels: Tensor,
    mask: Tensor | None = None,
    *,
    match: bool = False,
    keep: Sequence[Part] = (),
) -> Tensor:
    """A new image (3, H, W) with the crop's place taken by ``pixels`` (3, S, S) in [0, 1], S the crop's own side.

    mask: (1, S, S) in the crop, the face's shape unless given; pixels of the image outside it stay bit for bit.
    match: fit the new crop's colours to the old one's around the face first. keep: parts that stay the old one's, in
    the new one's colours. ``image`` may hold faces that were pasted already. A black-and-white image stays one.
    """
    check_image(image)
    if tuple(pixels.shape) != tuple(crop.pixels.shape):
        raise ValueError(f"the pixels must be {tuple(crop.pixels.shape)}, as the crop is, got {tuple(pixels.shape)}")
    check_pixels(pixels, "the pixels to paste")
    mask = _checked(face_mask(crop) if mask is None else mask, crop)
    new, old = pixels.to(crop.pixels).clamp(0, 1), crop.pixels
    if match:
        new = matched(new, old, mask * crop.inside)
    new = with_parts(new, old, part_masks(crop, keep))
    if is_grey(image):
        new = grey(new)
    layers = torch.cat([mask, changed(new, old), new, new - old])
    out = image.clone()
    for top, left, weight, layer in _bands(layers, crop, image):
        window = out[:, top : top + layer.shape[-2], left : left + layer.shape[-1]]
        change, full, difference = layer[1:2].clamp(0, 1), layer[2:5].clamp(0, 1), layer[5:]
        blend = window + weight * torch.lerp(difference, full - window, change)
        window.copy_(torch.where(weight > 0, blend.clamp(0, 1).to(window), window))
    return out


def is_cut_from(crop: Crop, image: Tensor) -> bool:
    """Whether the image (3, H, W), at the crop's place, shows what was cut there."""
    check_image(image)
    place = warp(image, crop.matrix, (crop.side, crop.side))[:, crop.inside[0] > 0]
    cut = crop.pixels[:, crop.inside[0] > 0]
    near = not float((place - cut).abs().mean()) > NEAR
    return near or float(torch.corrcoef(torch.stack([place.flatten(), cut.flatten()]))[0, 1]) >= ALIKE


def footprint(image: Tensor, crop: Crop, mask: Tensor | None = None) -> Tensor:
    """The mask in the image's pixels, (1, H, W) in [0, 1]: where ``paste`` may change something."""
    mask = _checked(face_mask(crop) if mask is None else mask, crop)
    out = image.new_zeros(1, *image.shape[-2:])
    for top, left, weight, layer in _bands(mask, crop, image):
        out[:, top : top + layer.shape[-2], left : left + layer.shape[-1]] = weight
    return out


def within(after: Tensor, before: Tensor, where: Tensor | None) -> Tensor:
    """``after`` (C, H, W) where ``where`` (1, H, W) is above 0, else ``before`` bit for bit; None is everywhere."""
    return after if where is None else torch.where(where > 0, after, before)


def changed(new: Tensor, old: Tensor) -> Tensor:
    """(1, S, S) in [0, 1]: where a crop is a new one, widened a little and soft."""
    change = ((new - old).abs().amax(0, keepdim=True) / CHANGED).clamp(0, 1)
    reach = max(1, new.shape[-1] // 64)
    for kernel, room in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
        change = max_pool2d(change[None], kernel, 1, room)[0]
    return blurred(change, reach)


def matched(new: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """``new`` (3, S, S) with the mean and spread, per channel in linear light, that ``old`` has in the mask's rim.

    The rim, where the mask is between 0 and 1, is what both share: skin and hair at the face's edge.
    """
    rim = mask * (1 - mask)
    if not rim.sum() > 0:
        return new
    a, b = linear(new), linear(old)
    a_mean, b_mean = (mean_in(x, rim) for x in (a, b))
    a_std, b_std = (mean_in((x - mean) ** 2, rim).sqrt() for x, mean in ((a, a_mean), (b, b_mean)))
    gain = (b_std.clamp(min=1e-4) / a_std.clamp(min=1e-4)).clamp(1 / MAX_GAIN, MAX_GAIN)
    return encoded((a - a_mean) * gain + b_mean) if bool((a != b).any()) else new


def _checked(mask: Tensor, crop: Crop) -> Tensor:
    if tuple(mask.shape) != tuple(crop.inside.shape):
        raise ValueError(f"the mask must be {tuple(crop.inside.shape)}, as the crop is, got {tuple(mask.shape)}")
    return mask.to(crop.pixels).clamp(0, 1)


def _bands(layers: Tensor, crop: Crop, image: Tensor) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """The layers (C, S, S), mask first, in the image's pixels, some rows at a time: (top, left, mask, layers)."""
    back = inverted(crop.matrix)
    side = crop.side - 0.5
    corners = back.new_tensor([[-0.5, -0.5], [side, -0.5], [-0.5, side], [side, side]]) @ back[:, :2].T + back[:, 2]
    height, width = image.shape[-2:]
    left, top = (max(0, int(v)) for v in corners.amin(0).floor().tolist())
    right, bottom = (min(n, int(v) + 1) for n, v in zip((width, height), corners.amax(0).ceil().tolist(), strict=True))
    if left >= right or top >= bottom:
        return
    rows = max(1, BAND // (right - left))
    for start in range(top, bottom, rows):
        size = (min(rows, bottom - start), right - left)
        layer = warp(layers, shifted(back, left, start), size, beyond="black").to(image)
        weight = layer[:1].clamp(0, 1)
        yield start, left, torch.where(weight < FAINT, 0.0, weight), layer

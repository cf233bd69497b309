"""Is there a visible line where a face was pasted?"""

from torch import Tensor

from ..method.pixels import LUMA


def seam(result: Tensor, source: Tensor, mask: Tensor) -> float:
    """Mean jump in brightness across the mask's edge, over the same line's in the source: 1 is none, 2 twice as sharp.

    result, source: (3, H, W) in [0, 1]. mask: (1, H, W), its edge the line between 0 and above 0. The source's jump
    counts as one grey level (1/255) at least, so that flat surroundings do not divide by nothing. Raises ValueError
    where the mask has no edge.
    """
    if result.shape != source.shape or mask.shape[-2:] != source.shape[-2:]:
        raise ValueError(f"sizes differ: {tuple(result.shape)}, {tuple(source.shape)} and mask {tuple(mask.shape)}")
    after, before = jump(result, mask), jump(source, mask)
    return max(after, 1 / 255) / max(before, 1 / 255)


def jump(image: Tensor, mask: Tensor) -> float:
    """Mean absolute difference in luma of the neighbours on either side of the mask's edge."""
    luma = (image.double() * image.new_tensor(LUMA).double()[:, None, None]).sum(0)
    covered = mask[0] > 0
    total, count = 0.0, 0
    for axis in (0, 1):
        edge = covered.diff(dim=axis)
        total += float(luma.diff(dim=axis).abs()[edge].sum())
        count += int(edge.sum())
    if not count:
        raise ValueError("the mask covers nothing or everything: it has no edge")
    return total / count

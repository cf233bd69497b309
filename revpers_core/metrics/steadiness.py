"""Whether what is seen in a clip holds still: flicker, error along the flow, likeness from frame to frame."""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, cosine_similarity, pad

BLOCK, REACH, WINDOW = 8, 3, 9
"""Of the flow: pixels of a block, how far it is looked for, and pixels of the window around a single pixel."""


def flicker(clip: Tensor, source: Tensor) -> float:
    """Mean |second difference in time| of what a clip (T, C, H, W), T of 3 or more, has beyond its source: 0 where both
    change alike."""
    return float(_second(clip - source).abs().mean())


def warp_error(clip: Tensor, source: Tensor) -> float:
    """Mean |change| of a clip (T, C, H, W) along the source's movement, by matching blocks of the source."""
    errors = [
        float((_moved(clip[t], before, clip[t - 1]) - clip[t]).abs().mean()) for t, before in _flows(source) if t > 0
    ]
    return sum(errors) / len(errors)


def follow(image: Tensor, frames: Tensor) -> Tensor:
    """A picture (C, H, W) of the first frame carried to where the last one's (T, C, H, W) pixels are: each pixel by the
    move of the window around it that differs least, frame by frame."""
    for before, after in pairwise(frames):
        costs = [
            avg_pool2d((shifted - after).abs().mean(0, keepdim=True)[None], WINDOW, 1, WINDOW // 2)[0, 0]
            for shifted in _shifts(before)
        ]
        index = torch.stack(costs).argmin(0)
        image = torch.stack(_shifts(image)).gather(0, index[None, None].expand(1, len(image), -1, -1))[0]
    return image


def neighbours(embeddings: Tensor) -> float:
    """Mean cosine similarity of neighbouring frames, (T, D)."""
    return float(cosine_similarity(embeddings[1:], embeddings[:-1]).mean())


def farthest(embeddings: Tensor) -> float:
    """The least cosine similarity of any two frames, (T, D)."""
    return float(cosine_similarity(embeddings[:, None], embeddings[None], dim=-1).min())


def correlation_in_time(result: Tensor, source: Tensor) -> float:
    """Mean over points and axes of Pearson's r over time, of points (T, N, 2); those that stand still count for
    nothing."""
    a, b = (x.double().flatten(1) - x.double().flatten(1).mean(0) for x in (result, source))
    moving = b.std(0) > 0.1
    r = (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0)).clamp(min=1e-9)
    return float(r[moving].mean())


def _second(clip: Tensor) -> Tensor:
    return clip[2:] - 2 * clip[1:-1] + clip[:-2]


def _flows(source: Tensor) -> list[tuple[int, Tensor]]:
    """For every frame but the first its number and, for each block, the index of the shift that finds it before."""
    flows: list[tuple[int, Tensor]] = []
    for t in range(1, len(source)):
        costs = [
            avg_pool2d((shifted - source[t]).abs().mean(0, keepdim=True)[None], BLOCK)[0, 0]
            for shifted in _shifts(source[t - 1])
        ]
        flows.append((t, torch.stack(costs).argmin(0)))
    return flows


def _moved(frame: Tensor, flow: Tensor, before: Tensor) -> Tensor:
    """The frame before, each block from where the flow says; ``frame`` beyond whole blocks."""
    height, width = (side * BLOCK for side in flow.shape)
    shifts = torch.stack(_shifts(before))[..., :height, :width]
    index = flow.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    out = frame.clone()
    out[..., :height, :width] = shifts.gather(0, index[None, None].expand(1, len(frame), -1, -1))[0]
    return out


def _shifts(image: Tensor) -> list[Tensor]:
    wide = pad(image[None], (REACH,) * 4, mode="replicate")[0]
    height, width = image.shape[-2:]
    span = range(2 * REACH + 1)
    return [wide[:, y : y + height, x : x + width] for y in span for x in span]

"""InsightFace's detectors: SCRFD and RetinaFace in one ONNX form (det_10g of buffalo_l, scrfd_10g_bnkps of antelopev2).

arXiv:2105.04714. Outputs: scores, box distances and point offsets, each for every stride; offsets count in strides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .detector import FLOOR, enlarged, faces_of, padded
from .face import Face
from .onnx_session import Network
from .warp import resized

STRIDES = {9: (8, 16, 32), 15: (8, 16, 32, 64, 128)}
"""By the number of outputs; six or ten are the same nets without points."""
ANCHORS = {9: 2, 15: 1}
"""Detections for every place, by the number of outputs."""


@dataclass(frozen=True)
class Scrfd:
    """A detector of InsightFace's form. size: (h, w) where the file fixes its input, else None."""

    network: Network
    name: str
    size: tuple[int, int] | None = None
    floor: float = FLOOR

    def __call__(self, image: Tensor) -> list[Face]:
        if self.size is None:
            return self._run(image)
        height, width = image.shape[-2:]
        zoom = min(1.0, self.size[0] / height, self.size[1] / width)
        small = resized(image, (max(1, int(height * zoom)), max(1, int(width * zoom)))) if zoom < 1 else image
        room = (0, self.size[1] - small.shape[-1], 0, self.size[0] - small.shape[-2])
        return [
            enlarged(face, width / small.shape[-1], height / small.shape[-2]) for face in self._run(pad(small, room))
        ]

    def _run(self, image: Tensor) -> list[Face]:
        pixels = padded(image.float().cpu() * 255, max(self._strides))
        (feed,) = self.network.get_inputs()
        outputs = self.network.run(None, {feed.name: ((pixels - 127.5) / 128)[None].numpy()})
        maps = [torch.from_numpy(output).float() for output in outputs]
        return decode(maps, (pixels.shape[-2], pixels.shape[-1]), self.floor)

    @property
    def _strides(self) -> tuple[int, ...]:
        return STRIDES[len(self.network.get_outputs())]


def decode(maps: list[Tensor], size: tuple[int, int], floor: float = FLOOR) -> list[Face]:
    """Faces of the net's outputs for an input of ``size`` (h, w), a multiple of every stride.

    maps: for all strides the scores (N, 1), then the distances left, top, right, bottom (N, 4), then the offsets
    (N, 10); N = h/stride * w/stride * anchors, with or without a batch axis of 1.
    """
    strides, anchors = STRIDES[len(maps)], ANCHORS[len(maps)]
    n = len(strides)
    candidates: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, stride in enumerate(strides):
        scores = maps[i].reshape(-1)
        centres = _centres(size[0] // stride, size[1] // stride, anchors) * stride
        some = scores >= floor
        at, reach = centres[some], maps[i + n].reshape(-1, 4)[some] * stride
        boxes = torch.cat([at - reach[:, :2], at + reach[:, 2:]], -1)
        points = at[:, None] + maps[i + 2 * n].reshape(-1, 5, 2)[some] * stride
        candidates.append((boxes, points, scores[some]))
    boxes, points, scores = (torch.cat(parts) for parts in zip(*candidates, strict=True))
    return faces_of(boxes, points, scores)


def _centres(height: int, width: int, anchors: int) -> Tensor:
    """(x, y) of every detection, in strides: (height * width * anchors, 2)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2).repeat_interleave(anchors, 0).float()

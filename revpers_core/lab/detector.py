"""The pocket detector: a small net of CenterFace's form, and the pictures that it learns from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pocket import DETECTOR
from . import data
from .augment import disturbed
from .loop import Task
from .stages import begin_as_shipped

MAPS = ("heat", "extent", "offset", "points")
STRIDE = 4
CANVAS = 224  # pixels of a training picture's side
BATCH = 10
SMALLEST, LARGEST = 54, 300  # pixels of a photograph that is put into a picture; its face's box is .68 as high
SURE = 0.6  # of a face's heat, from which on its box and points are learnt
FOREHEAD, CHIN, CHEEK = 1.0, 0.65, 1.0  # the box around eyes and mouth, in distances between the two
EMPTY = 0.3  # share of the places that are kept from training: the threshold is chosen on them
MARGIN = 0.15  # in logits
RARE = -4.6  # logit of a face at one place of the map, before any training


class Detector(nn.Module):
    """Images (N, 3, H, W) in 0...255, sides multiples of 32, to CenterFace's maps at stride 4: heat (N, 1, h, w), log
    height and width (N, 2, h, w), the centre's offset (N, 2, h, w) and the points in the box (N, 10, h, w), y first."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 12, 24, 40, 64, 80)
        self.down = nn.ModuleList(
            nn.Sequential(_layer(entry, exit, 3, 2), *(_layer(exit, exit) for _ in range((k > 1) + (k > 3))))
            for k, (entry, exit) in enumerate(pairwise(widths))
        )
        self.across = nn.ModuleList(_layer(width, 32, 1) for width in widths[2:])
        self.smooth = _layer(32, 32)
        self.out = nn.Conv2d(32, 15, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        self.out.bias = nn.Parameter(torch.tensor([RARE] + 14 * [0.0]))

    def maps(self, images: Tensor) -> Tensor:
        """(N, 15, h, w): the heat's logit, then the other maps."""
        x, levels = images / 127.5 - 1, list[Tensor]()
        for layer in self.down:
            x = layer(x)
            levels.append(x)
        x = self.across[-1](levels[-1])
        for level, lateral in zip(levels[-2:0:-1], list(self.across)[-2::-1], strict=True):
            x = lateral(level) + F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.out(self.smooth(x))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        heat, *rest = self.maps(images).split((1, 2, 2, 10), 1)
        return heat.sigmoid(), *rest


def _layer(entry: int, exit: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(entry, exit, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(exit), nn.ReLU())


@torch.no_grad()
def decided(net: Detector, places: Tensor) -> Detector:
    """The net with its heat's bias moved so that .5 decides: ``MARGIN`` above all that places without anybody
    (N, 3, S, S), uint8, reach at two sizes. Changes the net, which it returns."""
    images = places.float()
    sizes = (images, F.interpolate(images, scale_factor=0.5, mode="area"))
    highest = max(float(net.eval().maps(chunk)[:, 0].max()) for size in sizes for chunk in size.split(25))
    assert net.out.bias is not None
    net.out.bias[0] -= highest + MARGIN
    return net


def empty(photos: data.Photos, training: bool) -> Tensor:
    """The places that training sees, or those on which the threshold is chosen."""
    held_out = round(EMPTY * len(photos.places))
    return photos.places[held_out:] if training else photos.places[:held_out]


class Scene(NamedTuple):
    """A picture (3, CANVAS, CANVAS) in [0, 1], and the five points (n, 5, 2) of everyone in it, in pixels."""

    image: Tensor
    points: Tensor


def boxes(points: Tensor) -> Tensor:
    """x0, y0, x1, y1 (..., 4) of faces from forehead to chin, from their points (..., 5, 2)."""
    eyes, mouth = points[..., :2, :].mean(-2), points[..., 3:, :].mean(-2)
    length = (mouth - eyes).norm(dim=-1)
    x, y0, y1 = (eyes[..., 0] + mouth[..., 0]) / 2, eyes[..., 1], mouth[..., 1]
    return torch.stack(
        [x - CHEEK * length, y0 - FOREHEAD * length, x + CHEEK * length, y1 + CHIN * length], -1
    )  # fmt: skip


def compose(background: Tensor, photos: Tensor, points: Tensor, generator: torch.Generator) -> Scene:
    """Photographs (n, 3, S, S), with points (n, 5, 2) in their unit squares, put onto a background (3, T, T): side by
    side as whole frames, or anywhere and at any size, some as ovals, turned a little. Nobody covers anybody."""
    canvas = F.interpolate(background[None], (CANVAS, CANVAS), mode="bilinear", align_corners=False)[0]
    luck = torch.rand(len(photos) + 1, 6, generator=generator).tolist()
    placed: list[Tensor] = []
    strip, first = luck[-1][0] < 0.5, _side(luck[-1][1])
    x, y = (-first * luck[-1][k] / 2 for k in (2, 3))
    for photo, face, chance in zip(photos, points, luck, strict=False):
        size, left, top, turn, oval, _ = chance
        side = first if strip else _side(size)
        if not strip:
            x, y = ((CANVAS - 0.7 * side) * at - 0.15 * side for at in (left, top))
        frame = _frame(photo, face, side, 0.0 if strip else 0.5 * (turn - 0.5), oval < 0.5 and not strip)
        corner = torch.tensor([round(x), round(y)])
        if _fits(frame, corner, placed):
            _put(canvas, frame, corner.tolist())
            placed.append(frame.points + corner)
        x += side
        if x > CANVAS - side / 2:
            x, y = x - side * round(x / side), y + side
    return Scene(canvas, torch.stack(placed) if placed else points[:0])


def _side(chance: float) -> int:
    return round(SMALLEST * (LARGEST / SMALLEST) ** chance)


class _Frame(NamedTuple):
    """A photograph (3, side, side), what of it shows (1, side, side), and the points (5, 2) in its pixels."""

    pixels: Tensor
    mask: Tensor
    points: Tensor


def _frame(photo: Tensor, points: Tensor, side: int, angle: float, oval: bool) -> _Frame:
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, -sin], [sin, cos]])
    if angle:
        grid = F.affine_grid(torch.cat([turn, torch.zeros(2, 1)], 1)[None], [1, 3, side, side], align_corners=False)
        pixels = F.grid_sample(photo[None], grid, padding_mode="border", align_corners=False)[0]
    else:
        pixels = F.interpolate(photo[None], (side, side), mode="bilinear", antialias=True, align_corners=False)[0]
    placed = ((points - 0.5) @ turn + 0.5) * side - 0.5
    if not oval:
        return _Frame(pixels, torch.ones(1, side, side), placed)
    box, at = boxes(placed), torch.arange(side)
    middle, reach = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * 1.25
    radius = (((at - middle[0]) / reach[0]) ** 2 + ((at[:, None] - middle[1]) / reach[1]) ** 2).sqrt()
    return _Frame(pixels, ((1.05 - radius) * 10).clamp(0, 1)[None], placed)


def _fits(frame: _Frame, corner: Tensor, placed: list[Tensor]) -> bool:
    """Whether the face is in the canvas, most of it, and its frame covers nobody's."""
    box, side = boxes(frame.points + corner), frame.pixels.shape[-1]
    inside = bool((box[:2] > -0.1 * side).all() & (box[2:] < CANVAS + 0.1 * side).all())
    end = corner + side
    return inside and all(bool((corner > other[2:]).any() | (end < other[:2]).any()) for other in map(boxes, placed))


def _put(canvas: Tensor, frame: _Frame, corner: list[int]) -> None:
    """Paint the frame into the canvas, in place, as far as it lies in it."""
    (x, y), side = corner, frame.pixels.shape[-1]
    left, top = max(0, -x), max(0, -y)
    rows, columns = slice(top, min(side, CANVAS - y)), slice(left, min(side, CANVAS - x))
    under = canvas[:, y + top : y + rows.stop, x + left : x + columns.stop]
    under.copy_(torch.lerp(under, frame.pixels[:, rows, columns], frame.mask[:, rows, columns]))


def targets(points: Tensor) -> tuple[Tensor, Tensor]:
    """What the maps should be for points (n, 5, 2): heat (1, h, w), a bell around each face's centre with its peak at
    one place, and the other 14 maps with, last, where they count (15, h, w)."""
    side = CANVAS // STRIDE
    at = torch.arange(side).float()
    heat, rest = torch.zeros(1, side, side), torch.zeros(15, side, side)
    for face in points:
        x0, y0, x1, y1 = boxes(face + 0.5).tolist()
        extent = torch.tensor([y1 - y0, x1 - x0])
        cy, cx = (y0 + y1) / 2 / STRIDE - 0.5, (x0 + x1) / 2 / STRIDE - 0.5
        peak = [min(max(round(c), 0), side - 1) for c in (cy, cx)]
        spread = (0.07 * extent / STRIDE).clamp_min(0.6)
        bell = torch.exp(
            -(((at[:, None] - peak[0]) / spread[0]) ** 2) / 2 - ((at - peak[1]) / spread[1]) ** 2 / 2
        )  # fmt: skip
        core = (bell > SURE) & (bell > heat[0])
        heat = torch.maximum(heat, bell[None])
        place = ((face + 0.5 - torch.tensor([x0, y0])) / extent.flip(0)).flip(-1).flatten()
        regression = torch.cat([(extent / STRIDE).log(), place])[:, None, None].expand(-1, side, side)
        offset = torch.stack([(cy - at)[:, None].expand(side, side), (cx - at).expand(side, side)])
        value = torch.cat([regression[:2], offset, regression[2:], torch.ones(1, side, side)])
        rest = torch.where(core, value, rest)
    return heat, rest


def focal(logit: Tensor, heat: Tensor) -> Tensor:
    """CornerNet's focal loss (arXiv:1808.01244, eq. 1), a face: heat is 1 at its peak."""
    peak = heat == 1
    p = logit.sigmoid()
    present = F.logsigmoid(logit) * (1 - p).square() * peak
    absent = F.logsigmoid(-logit) * p.square() * (1 - heat) ** 4 * ~peak
    return -(present + absent).sum() / peak.sum().clamp_min(1)


def detector(photos: data.Photos, device: torch.device, fresh: bool = False) -> Task:
    """Faces of up to six photographs in a picture, before one place or four; a third of the pictures show nobody.
    fresh: begin with random weights instead of those that ship."""
    torch.manual_seed(6)
    points, places_seen = photos.annotations.points, empty(photos, training=True)

    def scene(generator: torch.Generator) -> Scene:
        index = torch.randint(len(photos), (6,), generator=generator)
        indices = torch.randint(len(places_seen), (4,), generator=generator)
        many, apart = torch.randint(-2, 7, (1,), generator=generator), torch.randint(2, (1,), generator=generator)
        index = index[: max(0, int(many))]
        places = places_seen[indices].float() / 255
        background = places[0] if apart else torch.cat([torch.cat(list(row), -1) for row in places.split(2)], -2)
        return compose(background, photos[index] if len(index) else places[:0], points[index], generator)

    net = Detector()
    if not fresh:
        draw = torch.Generator().manual_seed(6)
        begin_as_shipped(net, DETECTOR, 255 * torch.stack([scene(draw).image for _ in range(BATCH)]))
    net.to(device)

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        del spent
        scenes = [scene(generator) for _ in range(BATCH)]
        pairs = [targets(composed.points) for composed in scenes]
        heat, rest = (torch.stack(maps).to(device) for maps in zip(*pairs, strict=True))
        images = torch.stack([composed.image for composed in scenes]).to(device)
        inputs = disturbed(images * 2 - 1, generator) * 127.5 + 127.5
        predicted = net.maps(inputs).float()
        counts = rest[:, 14:]
        off = ((predicted[:, 1:] - rest[:, :14]).abs() * counts).sum((0, 2, 3)) / counts.sum().clamp_min(1)
        return {
            "heat": focal(predicted[:, :1], heat), "size": off[:2].sum(), "offset": off[2:4].sum(),
            "points": 2 * off[4:].sum(),
        }  # fmt: skip

    return Task("detector", {"net": net}, loss, rate=3e-3, decay=0.01, ema=0.99)

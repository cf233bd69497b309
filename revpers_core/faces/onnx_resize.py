"""ONNX's Resize in torch, in all its modes: every axis by itself, as a choice or a mix of the places it reads."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .onnx_file import Unsupported
from .onnx_layers import Call, Operation, check_room

PLACES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
MODES = ("nearest", "linear", "cubic")


def resize(call: Call) -> Operation:
    """Opset 10 gives scales as its second input, later ones as the third or sizes as the fourth."""
    call.only(antialias=0, keep_aspect_ratio_policy="stretch")
    mode, place = call.get("mode", "nearest"), call.get("coordinate_transformation_mode", "half_pixel")
    if call.opset < 11 or call.node.operator == "Upsample":
        place, rounding = "asymmetric", "floor"
    else:
        rounding = call.get("nearest_mode", "round_prefer_floor")
    for name, value, allowed in (("mode", mode, MODES), ("places", place, PLACES), ("rounding", rounding, ROUNDINGS)):
        if value not in allowed:
            raise Unsupported(f"{call.node.operator} with {name} {value}")
    only_axes: list[int] | None = call.get("axes")
    slope, inside = call.get("cubic_coeff_a", -0.75), bool(call.get("exclude_outside", 0))

    def run(x: Tensor, *inputs: Tensor | None) -> Tensor:
        sizes, scales = _sizes_and_scales(call, x, inputs, only_axes)
        check_room(sizes)
        if mode == "nearest" and (place, rounding) == ("asymmetric", "floor") and _is_whole(x, sizes, scales):
            return F.interpolate(x, sizes[2:], mode="nearest")
        if (
            mode == "linear"
            and x.ndim == 4
            and place in ("half_pixel", "align_corners")
            and _is_plain(x, sizes, scales)
        ):
            return F.interpolate(x, sizes[2:], mode="bilinear", align_corners=place == "align_corners")
        for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
            if size == x.shape[axis] and scale == 1:
                continue
            at = _places(size, x.shape[axis], scale, place)
            if mode == "nearest":
                x = x.index_select(axis, _rounded(at, rounding).clamp(0, x.shape[axis] - 1).to(x.device))
            else:
                x = _mixed(x, axis, at, slope if mode == "cubic" else None, inside)
        return x

    return run


def _sizes_and_scales(
    call: Call, x: Tensor, inputs: "tuple[Tensor | None, ...]", axes: list[int] | None
) -> tuple[list[int], list[float]]:
    """Sizes and scales by axis."""
    values: list[Any] = [None if tensor is None or not tensor.numel() else tensor.tolist() for tensor in inputs]
    if call.opset < 11 or call.node.operator == "Upsample":
        scales, sizes = values[0] if values else call.get("scales"), None
    else:
        scales, sizes = (*values, None, None, None)[1:3]
    some = range(x.ndim) if axes is None else [axis % x.ndim for axis in axes]
    each = sizes or scales
    if not each or len(each) != len(some):
        raise ValueError(f"{call.node.operator} is told {each} for {len(some)} axes")
    full_sizes, full_scales = list(x.shape), [1.0] * x.ndim
    for axis, value in zip(some, each, strict=True):
        full_sizes[axis] = int(value) if sizes else int(np.float32(x.shape[axis]) * np.float32(value))
        full_scales[axis] = value / x.shape[axis] if sizes else value
    return full_sizes, full_scales


def _is_plain(x: Tensor, sizes: list[int], scales: list[float]) -> bool:
    """Whether torch's own resizing of the space would be the same: the scales are those of the sizes."""
    same = all(n * scale == size for n, size, scale in zip(x.shape, sizes, scales, strict=True))
    return 3 <= x.ndim <= 5 and list(x.shape[:2]) == sizes[:2] and same


def _is_whole(x: Tensor, sizes: list[int], scales: list[float]) -> bool:
    return _is_plain(x, sizes, scales) and all(scale == int(scale) for scale in scales)


def _places(size: int, length: int, scale: float, place: str) -> Tensor:
    """Where each of ``size`` results lies in an axis of that length; in float32, as onnxruntime rounds."""
    at = torch.arange(size, dtype=torch.float32)
    if place == "asymmetric":
        return at / scale
    if place == "align_corners":
        return at * (length - 1) / (size - 1) if size > 1 else at * 0
    if place == "pytorch_half_pixel" and size == 1:
        return at * 0
    if place == "half_pixel_symmetric":
        middle = length / 2 * (1 - size / (length * scale))
        return middle + (at + 0.5) / scale - 0.5
    return (at + 0.5) / scale - 0.5


def _rounded(at: Tensor, rounding: str) -> Tensor:
    if rounding in ("floor", "ceil"):
        return (at.floor() if rounding == "floor" else at.ceil()).long()
    return ((at - 0.5).ceil() if rounding == "round_prefer_floor" else (at + 0.5).floor()).long()


def _mixed(x: Tensor, axis: int, at: Tensor, slope: float | None, inside: bool) -> Tensor:
    """The mix of the two nearest places, or with a slope of the four nearest, along an axis."""
    length = x.shape[axis]
    if slope is None:
        at = at.clamp(0, length - 1)
    first = at.floor()
    fraction = at - first
    steps = (0, 1) if slope is None else (-1, 0, 1, 2)
    weights = [1 - fraction, fraction] if slope is None else [_cubic((fraction - step).abs(), slope) for step in steps]
    where = [first + step for step in steps]
    if inside:
        weights = [w * ((n >= 0) & (n < length)) for w, n in zip(weights, where, strict=True)]
        total = torch.stack(weights).sum(0)
        weights = [w / total for w in weights]
    shape = [1] * x.ndim
    shape[axis] = -1
    picked = [x.index_select(axis, n.long().clamp(0, length - 1).to(x.device)) for n in where]
    mixed = [values * w.to(x).reshape(shape) for values, w in zip(picked, weights, strict=True)]
    return torch.stack(mixed).sum(0)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' kernel (1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, far)

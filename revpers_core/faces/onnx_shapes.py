# The lambdas' arguments are what a file says they are.
# pyright: reportUnknownLambdaType=false
"""ONNX's operators on shapes and places in torch: nothing is computed but where numbers go."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .onnx_file import Unsupported
from .onnx_layers import Call, Operation, check_room


def axes_of(call: Call, axes_input: Tensor | None) -> list[int] | None:
    """Axes as an input (opset 13 and 18 on) or as an attribute."""
    return call.get("axes") if axes_input is None else axes_input.tolist()


def reshape(call: Call) -> Operation:
    keep = not call.get("allowzero", 0)

    def run(x: Tensor, shape: Tensor) -> Tensor:
        sides = shape.tolist()
        return x.reshape([x.shape[i] if side == 0 and keep else side for i, side in enumerate(sides)])

    return run


def flatten(call: Call) -> Operation:
    axis = call.get("axis", 1)

    def run(x: Tensor) -> Tensor:
        first = axis % x.ndim if axis < 0 else axis
        rows = x.shape[:first].numel()
        return x.reshape(rows, x.numel() // rows if rows else 0)

    return run


def transpose(call: Call) -> Operation:
    order = call.get("perm")
    return lambda x: x.permute(order or list(range(x.ndim))[::-1])


def squeeze(call: Call) -> Operation:
    def run(x: Tensor, axes_input: Tensor | None = None) -> Tensor:
        axes = axes_of(call, axes_input)
        return x.squeeze() if axes is None else x.squeeze(tuple(axes))

    return run


def unsqueeze(call: Call) -> Operation:
    def run(x: Tensor, axes_input: Tensor | None = None) -> Tensor:
        axes = axes_of(call, axes_input) or []
        for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
            x = x.unsqueeze(axis)
        return x

    return run


def split(call: Call) -> Operation:
    axis, parts = call.get("axis", 0), len(call.node.outputs)

    def run(x: Tensor, axes_input: Tensor | None = None) -> Sequence[Tensor]:
        sizes = call.get("split") if axes_input is None else axes_input.tolist()
        return x.split(sizes or -(-x.shape[axis] // parts), axis)

    return run


def slice_(call: Call) -> Operation:
    def run(x: Tensor, *axes_input: Tensor | None) -> Tensor:
        if axes_input:
            ranges: list[Any] = [None if tensor is None else tensor.tolist() for tensor in axes_input]
        else:
            ranges = [call.get("starts"), call.get("ends"), call.get("axes")]
        starts, ends, axes, steps = (ranges + [None] * 2)[:4]
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            axis, step = axes[i] % x.ndim if axes else i, steps[i] if steps else 1
            if step > 0:
                x = x[(slice(None),) * axis + (slice(start, end, step),)]
                continue
            kept = range(x.shape[axis])[slice(start, None if end < -x.shape[axis] else end, step)]
            x = x.index_select(axis, torch.tensor(kept, dtype=torch.int64, device=x.device))
        return x

    return run


def gather(call: Call) -> Operation:
    axis = call.get("axis", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        where = axis % x.ndim
        index = index.to(x.device)
        index = torch.where(index < 0, index + x.shape[where], index)
        return x.index_select(where, index.flatten()).reshape([*x.shape[:where], *index.shape, *x.shape[where + 1 :]])

    return run


def pad(call: Call) -> Operation:
    mode = call.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise Unsupported(f"Pad with mode {mode}")

    def run(x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        pads_list: list[int] = call.get("pads") if pads is None else pads.tolist()
        some = [axis % x.ndim for axis in axes.tolist()] if axes is not None else list(range(x.ndim))
        ends = dict(zip(some, zip(pads_list[: len(some)], pads_list[len(some) :], strict=True), strict=True))
        check_room([n + sum(ends.get(axis, (0, 0))) for axis, n in enumerate(x.shape)])
        if mode == "constant":
            fill = call.get("value", 0.0) if value is None else value.item()
            return F.pad(x, [n for axis in reversed(range(x.ndim)) for n in ends.get(axis, (0, 0))], value=fill)
        for axis, (begin, end) in ends.items():
            length = x.shape[axis]
            at = torch.arange(-begin, length + end, device=x.device)
            at = at.clamp(0, length - 1) if mode == "edge" else (length - 1) - ((length - 1) - at.abs()).abs()
            x = x.index_select(axis, at)
        return x

    return run


def shape(call: Call) -> Operation:
    start, end = call.get("start", 0), call.get("end")
    return lambda x: torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def expand(call: Call) -> Operation:
    def run(x: Tensor, sides: Tensor) -> Tensor:
        target = torch.broadcast_shapes(x.shape, sides.tolist())
        check_room(target)
        return x.expand(target)

    return run


def tile(call: Call) -> Operation:
    def run(x: Tensor, times: Tensor) -> Tensor:
        check_room([n * m for n, m in zip(x.shape, times.tolist(), strict=True)])
        return x.repeat(times.tolist())

    return run


def constant(call: Call) -> Operation:
    names = ("value", "value_float", "value_int", "value_floats", "value_ints")
    values = [call.get(name) for name in names if name in call.node.attributes]
    if len(values) != 1 or len(call.node.attributes) != 1:
        raise Unsupported(f"Constant with {', '.join(call.node.attributes)}")
    value = values[0] if isinstance(values[0], Tensor) else torch.tensor(values[0])
    return lambda: value


def constant_of_shape(call: Call) -> Operation:
    value = call.get("value", torch.zeros(1))

    def run(sides: Tensor) -> Tensor:
        check_room(sides.tolist())
        return value.reshape(()).expand(sides.tolist()).clone()

    return run


def range_(start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    check_room([int((limit - start) / step) + 1])
    return torch.arange(start.item(), limit.item(), step.item(), dtype=start.dtype)


def rearranged(call: Call) -> Operation:
    """DepthToSpace, in the order DCR (depth first) or CRD."""
    n, depth_first = call.get("blocksize", 1), call.get("mode", "DCR") == "DCR"

    def run(x: Tensor) -> Tensor:
        if not depth_first:
            return F.pixel_shuffle(x, n)
        batch, channels, height, width = x.shape
        parts = x.reshape(batch, n, n, channels // n**2, height, width).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(batch, channels // n**2, height * n, width * n)

    return run

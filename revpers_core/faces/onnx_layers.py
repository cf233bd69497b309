# The lambdas' arguments are what a file says they are.
# pyright: reportUnknownLambdaType=false
"""ONNX's layers in torch: convolutions, pooling, norms, matrix products; the operators with weights or windows.

A builder takes a ``Call`` (a node's attributes) and gives what runs it. Sides of tensors are (N, C, ...) as in torch;
ONNX gives pads as all beginnings, then all ends, which torch's functions do not know when they differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .onnx_file import Node, Unsupported

Operation = Callable[..., Any]
"""A node's inputs, None for those left out, to its output or outputs."""
ROOM = 2**28
"""Numbers in one tensor at most (a gigabyte), for operators that make large ones of small ones."""


@dataclass(frozen=True)
class Call:
    """A node, and the version of ONNX's operators by which it is to be understood."""

    node: Node
    opset: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default where it is left out. Raises Unsupported for one of another kind."""
        if name not in self.node.attributes:
            return default
        value = self.node.attributes[name]
        expected = (int, float) if isinstance(default, float) else type(default)
        if value is None or (default is not None and not isinstance(value, expected)):
            raise Unsupported(f"{self.node.operator} with {name}")
        return value

    def only(self, **allowed: Any) -> None:
        """Raises Unsupported where one of these attributes is there with another value than this."""
        for name, value in allowed.items():
            if self.get(name, value) != value:
                raise Unsupported(f"{self.node.operator} with {name} {self.get(name)}")


def check_room(shape: Sequence[int]) -> None:
    """Raises ValueError for a tensor larger than any face network makes."""
    count = 1
    for side in shape:
        count *= max(0, side)
    if count > ROOM:
        raise ValueError(f"a tensor of {' x '.join(map(str, shape))} numbers is larger than the {ROOM} allowed")


@dataclass(frozen=True)
class Window:
    """Where a kernel goes. pads: (begin, end) by axis."""

    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]

    @classmethod
    def of(cls, call: Call, sizes: Sequence[int], kernel: Sequence[int]) -> "Window":
        """sizes: of the input's space, which automatic pads depend on."""
        rank = len(kernel)
        strides, dilations = call.get("strides", [1] * rank), call.get("dilations", [1] * rank)
        pads, auto = call.get("pads", [0] * 2 * rank), call.get("auto_pad", "NOTSET")
        if len(sizes) != rank or {len(strides), len(dilations), len(pads) // 2} != {rank} or min(strides) < 1:
            raise ValueError(f"a kernel of {rank} axes, strides {strides} and pads {pads} over {len(sizes)} axes")
        if auto == "VALID":
            pads = [0] * 2 * rank
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
            total = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(sizes, strides, reach, strict=True)]
            smaller, larger = [n // 2 for n in total], [n - n // 2 for n in total]
            pads = smaller + larger if auto == "SAME_UPPER" else larger + smaller
        return cls(strides, dilations, list(zip(pads[:rank], pads[rank:], strict=True)))

    @property
    def even(self) -> list[int] | None:
        """The pads as torch takes them, or None where an axis has different ones."""
        if any(begin != end or begin < 0 for begin, end in self.pads):
            return None
        return [begin for begin, _ in self.pads]

    def padded(self, x: Tensor, value: float = 0.0, extra: Sequence[int] = ()) -> Tensor:
        """The input with its pads, and ``extra`` more at the end of each axis."""
        added = extra or [0] * len(self.pads)
        ends = [(begin, end + n) for (begin, end), n in zip(self.pads, added, strict=True)]
        check_room([*x.shape[:2], *(n + sum(pad) for n, pad in zip(x.shape[2:], ends, strict=True))])
        flat = [n for pad in reversed(ends) for n in pad]
        return F.pad(x, flat, value=value) if any(flat) else x


def conv(call: Call) -> Operation:
    group, kernels = call.get("group", 1), (F.conv1d, F.conv2d, F.conv3d)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        window = Window.of(call, x.shape[2:], weight.shape[2:])
        even = window.even
        x, pads = (window.padded(x), 0) if even is None else (x, even)
        function: Any = kernels[weight.ndim - 3]
        return function(x, weight, bias, window.strides, pads, window.dilations, group)

    return run


def conv_transpose(call: Call) -> Operation:
    call.only(auto_pad="NOTSET", output_shape=None)
    group, kernels = call.get("group", 1), (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        rank = weight.ndim - 2
        window = Window.of(call, x.shape[2:], weight.shape[2:])
        extra = call.get("output_padding", [0] * rank)
        function: Any = kernels[rank - 1]
        even = window.even
        if even is not None:
            return function(x, weight, bias, window.strides, even, extra, group, window.dilations)
        result = function(x, weight, bias, window.strides, 0, extra, group, window.dilations)
        for axis, (begin, end) in enumerate(window.pads, 2):
            result = result.narrow(axis, begin, result.shape[axis] - begin - end)
        return result

    return run


def max_pool(call: Call) -> Operation:
    call.only(storage_order=0)
    if len(call.node.outputs) > 1:
        raise Unsupported("MaxPool with indices")
    kernel, ceil = call.get("kernel_shape", [1]), bool(call.get("ceil_mode", 0))
    function: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]

    def run(x: Tensor) -> Tensor:
        window = Window.of(call, x.shape[2:], kernel)
        even = window.even
        if even is not None and all(2 * pad <= size for pad, size in zip(even, kernel, strict=True)):
            return function(x, kernel, window.strides, even, window.dilations, ceil)
        x = window.padded(x, -inf, _overhang(x, window, kernel) if ceil else ())
        return function(x, kernel, window.strides, 0, window.dilations)

    return run


def average_pool(call: Call) -> Operation:
    kernel, ceil = call.get("kernel_shape", [1]), bool(call.get("ceil_mode", 0))
    call.only(dilations=[1] * len(kernel))
    include_pad = bool(call.get("count_include_pad", 0))
    function: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]

    def run(x: Tensor) -> Tensor:
        window = Window.of(call, x.shape[2:], kernel)
        even = window.even
        if even is not None and all(2 * pad <= size for pad, size in zip(even, kernel, strict=True)):
            return function(x, kernel, window.strides, even, ceil, include_pad)
        # The mean over what counts: that of the sums, by that of ones.
        extra = _overhang(x, window, kernel) if ceil else [0] * len(kernel)
        weights = x.new_ones(1, 1, *x.shape[2:])
        weights = Window(window.strides, window.dilations, [(0, n) for n in extra]).padded(
            window.padded(weights, float(include_pad))
        )
        return function(window.padded(x, 0.0, extra), kernel, window.strides) / function(
            weights, kernel, window.strides
        )

    return run


def _overhang(x: Tensor, window: Window, kernel: Sequence[int]) -> list[int]:
    """How much longer each axis must be for a last window that hangs over its end, but begins before it."""
    overhangs: list[int] = []
    for n, size, stride, dilation, (begin, end) in zip(
        x.shape[2:], kernel, window.strides, window.dilations, window.pads, strict=True
    ):
        reach, padded = dilation * (size - 1) + 1, n + begin + end
        last = -(-max(0, padded - reach) // stride)
        last -= last * stride >= n + begin
        overhangs.append(max(0, last * stride + reach - padded))
    return overhangs


def batch_norm(call: Call) -> Operation:
    call.only(training_mode=0, spatial=1)
    epsilon = call.get("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)

    return run


def instance_norm(call: Call) -> Operation:
    epsilon = call.get("epsilon", 1e-5)
    return lambda x, scale, bias: F.group_norm(x, x.shape[1], scale, bias, epsilon)


def group_norm(call: Call) -> Operation:
    if call.opset < 21:
        raise Unsupported("GroupNormalization before opset 21")
    groups, epsilon = call.get("num_groups", 1), call.get("epsilon", 1e-5)
    return lambda x, scale, bias: F.group_norm(x, groups, scale, bias, epsilon)


def layer_norm(call: Call) -> Operation:
    if len(call.node.outputs) > 1:
        raise Unsupported("LayerNormalization with statistics")
    axis, epsilon = call.get("axis", -1), call.get("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        shape = x.shape[axis % x.ndim :]
        normal = F.layer_norm(x, shape, eps=epsilon) * scale
        return normal if bias is None else normal + bias

    return run


def lp_norm(call: Call) -> Operation:
    axis, p = call.get("axis", -1), call.get("p", 2)
    return lambda x: x / x.norm(p, dim=axis, keepdim=True)


def gemm(call: Call) -> Operation:
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    turn_a, turn_b = call.get("transA", 0), call.get("transB", 0)

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = a.T if turn_a else a, b if turn_b else b.T
        if alpha == beta == 1 and (c is None or c.shape == b.shape[:1]):
            return F.linear(a, b, c)
        product = alpha * F.linear(a, b)
        return product if c is None else product + beta * c

    return run


def prelu(call: Call) -> Operation:
    def run(x: Tensor, slope: Tensor) -> Tensor:
        a_channel = slope.ndim == x.ndim - 1 and slope.numel() == slope.shape[0] == x.shape[1]
        if x.ndim > 2 and (a_channel or slope.numel() == 1):
            return F.prelu(x, slope.flatten())
        return torch.where(x < 0, x * slope, x)

    return run


def dequantize(call: Call) -> Operation:
    """Signed or unsigned bytes with a scale, for all or one a channel, to float32."""
    axis = call.get("axis", 1)
    call.only(block_size=0)

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        shape = [1] * x.ndim
        if scale.numel() > 1:
            shape[axis] = -1
        moved = x.float() if zero is None else x.float() - zero.float().reshape(shape)
        return moved * scale.reshape(shape)

    return run


LAYERS: dict[str, Callable[[Call], Operation]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": lambda call: lambda x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda call: lambda x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "LpNormalization": lp_norm,
    "Gemm": gemm,
    "MatMul": lambda call: torch.matmul,
    "PRelu": prelu,
    "DequantizeLinear": dequantize,
}

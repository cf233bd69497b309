# The lambdas' arguments are what a file says they are.
# pyright: reportUnknownLambdaType=false
"""ONNX's operators in torch: ``OPERATORS`` has them all, those here work element by element or sum up.

Shapes, axes and other whole numbers that a graph computes stay in the machine's memory, so that no accelerator is
waited for to learn the size of the next tensor.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .onnx_file import TYPES, Unsupported
from .onnx_layers import LAYERS, Call, Operation
from .onnx_resize import resize
from .onnx_shapes import (
    axes_of,
    constant,
    constant_of_shape,
    expand,
    flatten,
    gather,
    pad,
    range_,
    rearranged,
    reshape,
    shape,
    slice_,
    split,
    squeeze,
    tile,
    transpose,
    unsqueeze,
)

HOST = {
    "Resize": (1, 2, 3), "Upsample": (1,), "Pad": (1, 2, 3), "Clip": (1, 2), "Reshape": (1,), "Slice": (1, 2, 3, 4),
    "Expand": (1,), "Tile": (1,), "Unsqueeze": (1,), "Squeeze": (1,), "Split": (1,), "ConstantOfShape": (0,),
    "Range": (0, 1, 2), "ReduceSum": (1,), "ReduceMean": (1,), "ReduceMax": (1,), "ReduceMin": (1,),
    "ReduceProd": (1,), "ReduceL2": (1,), "ReduceL1": (1,), "ReduceSumSquare": (1,), "Dropout": (1, 2),
}  # fmt: skip
"""Which inputs of an operator say how, not what: they are read as numbers."""


def plain(function: Operation) -> Callable[[Call], Operation]:
    """An operator without attributes."""
    return lambda call: function


def together(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Call], Operation]:
    """An operator on two or more tensors, which broadcast; whole numbers go where the others are."""

    def pair(a: Tensor, b: Tensor) -> Tensor:
        if a.device != b.device:
            a, b = (a.to(b.device), b) if a.device.type == "cpu" else (a, b.to(a.device))
        return function(a, b)

    return plain(lambda *tensors: reduce(pair, tensors))


def divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def clip(call: Call) -> Operation:
    low, high = call.get("min"), call.get("max")

    def run(x: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Tensor:
        bounds = [low if least is None else least.item(), high if most is None else most.item()]
        return x if bounds == [None, None] else x.clamp(*bounds)

    return run


def softmax(function: Any) -> Callable[[Call], Operation]:
    def build(call: Call) -> Operation:
        if call.opset >= 13:
            axis = call.get("axis", -1)
            return lambda x: function(x, axis)
        first = call.get("axis", 1)
        return lambda x: function(x.flatten(first % x.ndim), first % x.ndim).reshape(x.shape)

    return build


def cast(call: Call) -> Operation:
    kind = call.get("to", 0)
    if kind not in TYPES:
        raise Unsupported(f"Cast to ONNX's type {kind}")
    return lambda x: x.to(TYPES[kind][1])


def reduced(function: Callable[[Tensor, list[int], bool], Tensor]) -> Callable[[Call], Operation]:
    """An operator that reduces axes. function: of a tensor, axes and whether they stay."""

    def build(call: Call) -> Operation:
        keep, idle = bool(call.get("keepdims", 1)), bool(call.get("noop_with_empty_axes", 0))

        def run(x: Tensor, axes_input: Tensor | None = None) -> Tensor:
            axes = axes_of(call, axes_input)
            return x if idle and not axes else function(x, axes or list(range(x.ndim)), keep)

        return run

    return build


def product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def best(function: Any) -> Callable[[Call], Operation]:
    def build(call: Call) -> Operation:
        call.only(select_last_index=0)
        axis, keep = call.get("axis", 0), bool(call.get("keepdims", 1))
        return lambda x: function(x, axis, keep)

    return build


OPERATORS: dict[str, Callable[[Call], Operation]] = {
    **LAYERS,
    **{name: together(function) for name, function in {
        "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": divide, "Pow": torch.pow, "Sum": torch.add,
        "Min": torch.minimum, "Max": torch.maximum, "Equal": torch.eq, "Greater": torch.gt, "Less": torch.lt,
        "GreaterOrEqual": torch.ge, "LessOrEqual": torch.le, "And": torch.logical_and, "Or": torch.logical_or,
    }.items()},
    **{name: plain(function) for name, function in {
        "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Erf": torch.erf, "Exp": torch.exp,
        "Log": torch.log, "Sqrt": torch.sqrt, "Abs": torch.abs, "Neg": torch.neg, "Floor": torch.floor,
        "Ceil": torch.ceil, "Round": torch.round, "Reciprocal": torch.reciprocal, "Softplus": F.softplus,
        "Softsign": F.softsign, "HardSwish": F.hardswish, "Mish": F.mish, "Not": torch.logical_not,
        "Sin": torch.sin, "Cos": torch.cos, "Sign": torch.sign, "Range": range_,
        "Identity": lambda x: x, "Dropout": lambda x, *rest: x,
        "Where": lambda condition, a, b: torch.where(condition, a.to(condition.device), b.to(condition.device)),
    }.items()},
    **{name: reduced(function) for name, function in {
        "ReduceSum": lambda x, axes, keep: x.sum(axes, keep), "ReduceMean": lambda x, axes, keep: x.mean(axes, keep),
        "ReduceMax": lambda x, axes, keep: x.amax(axes, keep), "ReduceMin": lambda x, axes, keep: x.amin(axes, keep),
        "ReduceProd": product, "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
        "ReduceL2": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
        "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keep),
    }.items()},
    "LeakyRelu": lambda call: lambda x: F.leaky_relu(x, call.get("alpha", 0.01)),
    "Elu": lambda call: lambda x: F.elu(x, call.get("alpha", 1.0)),
    "Gelu": lambda call: lambda x: F.gelu(x, approximate=call.get("approximate", "none")),
    "HardSigmoid": lambda call: lambda x: (x * call.get("alpha", 0.2) + call.get("beta", 0.5)).clamp(0, 1),
    "Clip": clip, "Softmax": softmax(torch.softmax), "LogSoftmax": softmax(torch.log_softmax), "Cast": cast,
    "Reshape": reshape, "Flatten": flatten, "Transpose": transpose, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Concat": lambda call: lambda *tensors: torch.cat(tensors, call.get("axis", 1)),
    "Split": split, "Slice": slice_, "Gather": gather, "Pad": pad, "Shape": shape, "Expand": expand, "Tile": tile,
    "Size": lambda call: lambda x: torch.tensor(x.numel()),
    "Constant": constant, "ConstantOfShape": constant_of_shape, "Resize": resize, "Upsample": resize,
    "ArgMax": best(torch.argmax), "ArgMin": best(torch.argmin), "DepthToSpace": rearranged,
}  # fmt: skip
"""ONNX's name of an operator -> what makes an operation of a node."""

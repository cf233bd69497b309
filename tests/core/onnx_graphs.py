"""ONNX graphs for tests: single operators, and whole networks of the forms that people load, with random weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(bool): TensorProto.BOOL,
}


def model(
    nodes: Sequence[onnx.NodeProto], inputs: dict[str, Any], outputs: dict[str, Any], weights: dict[str, Any],
    opset: int = 11,
) -> bytes:  # fmt: skip
    """inputs and outputs: shapes by name, (dtype, shape) where it is no float32; None for an untold shape."""

    def value(name: str, description: Any) -> onnx.ValueInfoProto:
        kind, shape = description if isinstance(description, tuple) else (np.float32, description)
        return helper.make_tensor_value_info(name, KINDS[np.dtype(kind)], shape)

    graph = helper.make_graph(
        list(nodes), "g", [value(*one) for one in inputs.items()], [value(*one) for one in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return result.SerializeToString()


class Builder:
    """Nodes one after the other; weights are drawn so that signals keep their size."""

    def __init__(self, seed: int = 0):
        self.draw, self.nodes, self.weights = np.random.default_rng(seed), [], {}

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if count == 1 else names

    def weight(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array, dtype)
        return name

    def conv(
        self, x: str, into: int, out: int, kernel: int = 3, stride: int = 1, pad: int | None = None, group: int = 1
    ):
        fan = into // group * kernel**2
        weight = self.weight(self.draw.normal(0, (2 / fan) ** 0.5, (out, into // group, kernel, kernel)))
        bias = self.weight(self.draw.normal(0, 0.1, out))
        edge = kernel // 2 if pad is None else pad
        return self.add(
            "Conv", x, weight, bias, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[edge] * 4,
            dilations=[1, 1], group=group,
        )  # fmt: skip

    def norm(self, x: str, channels: int) -> str:
        d = self.draw
        parts = (d.uniform(0.5, 1.5, channels), d.normal(0, 0.2, channels), d.normal(0, 0.2, channels))
        names = [self.weight(part) for part in (*parts, d.uniform(0.5, 1.5, channels))]
        return self.add("BatchNormalization", x, *names, epsilon=1e-5, momentum=0.9)

    def group_norm(self, x: str, groups: int, channels: int) -> str:
        """As torch exports it before opset 18: the groups as channels of an instance norm."""
        size = self.add("Shape", x)
        flat = self.add("Reshape", x, self.weight([0, groups, -1], np.int64))
        ones, zeros = self.weight(np.ones(groups)), self.weight(np.zeros(groups))
        back = self.add("Reshape", self.add("InstanceNormalization", flat, ones, zeros, epsilon=1e-5), size)
        scaled = self.add("Mul", back, self.weight(self.draw.uniform(0.5, 1.5, (channels, 1, 1))))
        return self.add("Add", scaled, self.weight(self.draw.normal(0, 0.1, (channels, 1, 1))))


def scrfd(width: int = 8, sides: Sequence[Any] = ("h", "w")) -> bytes:
    """InsightFace's det_10g in small: a ResNet whose shortcuts pool (over the edge, as ``ceil_mode`` has it), a pyramid
    whose levels are resized to the size of the next one, heads with group norm; nine outputs, each a row a place."""
    b = Builder()
    x = b.add("Relu", b.conv("input.1", 3, width, 3, 2))
    x = b.add("MaxPool", b.add("Relu", b.conv(x, width, width)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    levels, channels = [], width
    for stage in range(4):
        out, stride = width * (stage + 1), 1 if stage == 0 else 2
        inner = b.conv(b.add("Relu", b.conv(x, channels, out, 3, stride)), out, out)
        if stride == 2:
            x = b.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, ceil_mode=1)
        x = b.add("Relu", b.add("Add", inner, b.conv(x, channels, out, 1) if channels != out else x))
        channels = out
        levels.append((x, channels))
    lateral = [b.conv(x, channels, 2 * width, 1) for x, channels in levels[1:]]
    for i in (1, 0):
        size = b.add("Shape", lateral[i])
        space = b.add("Slice", size, b.weight([2], np.int64), b.weight([4], np.int64), b.weight([0], np.int64))
        first = b.add("Slice", b.add("Shape", lateral[i + 1]), *(b.weight([n], np.int64) for n in (0, 2, 0)))
        sizes = b.add("Cast", b.add("Concat", first, space, axis=0), to=TensorProto.INT64)
        larger = b.add(
            "Resize", lateral[i + 1], b.weight([]), b.weight([]), sizes, mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )  # fmt: skip
        lateral[i] = b.add("Add", lateral[i], larger)
    heads: dict[str, list[str]] = {"score": [], "box": [], "point": []}
    for level in lateral:
        x = b.add("Relu", b.group_norm(b.conv(level, 2 * width, 2 * width), 4, 2 * width))
        for kind, columns in (("score", 1), ("box", 4), ("point", 10)):
            y = b.conv(x, 2 * width, 2 * columns)
            y = b.add("Sigmoid", y) if kind == "score" else y
            y = b.add("Mul", y, b.weight([0.7])) if kind == "box" else y
            rows = b.add("Reshape", b.add("Transpose", y, perm=[2, 3, 0, 1]), b.weight([-1, columns], np.int64))
            heads[kind].append(rows)
    outputs = {name: [None, {"score": 1, "box": 4, "point": 10}[kind]] for kind in heads for name in heads[kind]}
    return model(b.nodes, {"input.1": [1, 3, *sides]}, outputs, b.weights)


def iresnet(depths: Sequence[int] = (1, 2, 1, 1), width: int = 8, batch: Any = "None", shape: Any = "told") -> bytes:
    """InsightFace's w600k_r50 in small (depths 3, 4, 14, 3 and width 64 are its own size): batch norms before and after
    convolutions, PRelu, a flattened end with a matrix and a last norm."""
    b = Builder(1)
    x = b.add("PRelu", b.norm(b.conv("input.1", 3, width), width), slopes(b, width))
    channels = width
    for stage, depth in enumerate(depths):
        out = width * 2**stage
        for block in range(depth):
            stride = 2 if block == 0 else 1
            inner = b.norm(b.conv(b.norm(x, channels), channels, out), out)
            inner = b.norm(b.conv(b.add("PRelu", inner, slopes(b, out)), out, out, 3, stride), out)
            x = b.norm(b.conv(x, channels, out, 1, stride), out) if block == 0 else x
            x, channels = b.add("Add", inner, x), out
    x = b.add("Flatten", b.norm(x, channels), axis=1)
    flat = channels * 7 * 7
    matrix = b.weight(b.draw.normal(0, flat**-0.5, (512, flat)).astype(np.float32))
    x = b.add("Gemm", x, matrix, b.weight(np.zeros(512)), alpha=1.0, beta=1.0, transB=1)
    x = b.norm(x, 512)
    return model(b.nodes, {"input.1": [batch, 3, 112, 112]}, {x: [batch, 512] if shape == "told" else None}, b.weights)


def slopes(b: Builder, channels: int) -> str:
    return b.weight(b.draw.uniform(0.1, 0.4, (channels, 1, 1)))

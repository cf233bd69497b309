"""ONNX files of the small networks: batch norms folded, weights in 8 bits a channel, arithmetic in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

SMALL = 1024  # elements up to which a tensor stays float32


def write(net: nn.Module, example: Tensor, path: Path, entry: str, exits: Sequence[str]) -> None:
    """Export a network with a dynamic first axis named N."""
    axes = {name: {0: "N"} for name in (entry, *exits)}
    torch.onnx.export(
        net.eval().cpu(), (example,), str(path), input_names=[entry], output_names=list(exits), dynamic_axes=axes,
        opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(str(path))
    quantise(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def quantise(model: onnx.ModelProto) -> None:
    """Replace, in place, every large weight by signed bytes with a scale for each output channel."""
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.size <= SMALL or values.dtype != np.float32:
            continue
        scale = np.abs(values.reshape(len(values), -1)).max(1).clip(1e-12) / 127
        rounded = np.rint(values / scale.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
        names = [f"{weight.name}_{suffix}" for suffix in ("bytes", "scale", "zero")]
        parts = (rounded, scale.astype(np.float32), np.zeros(len(values), np.int8))
        model.graph.initializer.extend(numpy_helper.from_array(a, n) for a, n in zip(parts, names, strict=True))
        model.graph.initializer.remove(weight)
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", names, [weight.name], axis=0))

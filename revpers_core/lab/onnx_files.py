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


@torch.no_grad()
def read(net: nn.Module, path: Path, example: Tensor) -> None:
    """Fill a network with what `write` made of one like it, in its place; training may go on from there.

    The batch norms, which the file has no more, do nothing to ``example``, whose statistics they are given.
    """
    layers, pending = _folded(onnx.load(str(path))), list[Tensor]()

    def fill(layer: nn.Module, _: object) -> None:
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        weight, bias = layers.pop(0)
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)
        pending[:] = [bias]

    def undo(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + pending.pop())

    hooks = [
        module.register_forward_pre_hook(undo if isinstance(module, nn.BatchNorm2d) else fill)
        for module in net.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))
    ]
    net.eval()(example)
    net.train()
    for hook in hooks:
        hook.remove()


def _folded(model: onnx.ModelProto) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of every layer, in the order in which they compute."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            values, scale, _ = (arrays[name] for name in node.input)
            arrays[node.output[0]] = values.astype(np.float32) * scale.reshape(-1, *[1] * (values.ndim - 1))
    return [
        (torch.from_numpy(np.array(arrays[node.input[1]])), torch.from_numpy(np.array(arrays[node.input[2]])))
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm")
    ]


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

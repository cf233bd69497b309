"""ONNX networks run by torch, wherever torch runs: CUDA, ROCm, MPS, XPU, DirectML, CPU."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .onnx_file import STANDARD, Graph, Node, Port, Unsupported
from .onnx_layers import ROOM, Call, Operation, check_room
from .onnx_operators import HOST, OPERATORS

OLDEST = 7
"""The first version of ONNX's operators whose tensors broadcast as they do today."""
IN_PLACE = {"Relu": torch.relu_}
FRESH = {"Conv", "Add", "Sub", "Mul", "BatchNormalization", "ConvTranspose", "Gemm"}
"""Operators whose result is a tensor of its own, which the one that reads it last may overwrite."""


@dataclass(frozen=True)
class Step:
    """An operation, the places of what it reads (None for what is left out) and makes, and of what no later one
    reads."""

    operator: str
    operation: Operation
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]
    freed: tuple[int, ...]


class TorchGraph(nn.Module):
    """A network as a torch module in float32. Its weights are parameters that may be moved; whole numbers, which say
    shapes, stay in the machine's memory.

    Raises Unsupported, naming every operator that we do not know, and ValueError for a graph that cannot be run.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        values = {**graph.weights}
        operations = _with_norms(_folded(graph, values), values, {port.name for port in graph.outputs})
        uses = Counter(name for node, _ in operations for name in node.inputs)
        uses.update(port.name for port in graph.outputs)
        self._places: dict[str, int] = {}
        self._entries = [self._place(port.name) for port in graph.inputs]
        self._constants: dict[int, Tensor] = {}
        self._weights: dict[int, str] = {}
        makers: dict[str, str] = {}
        drafts: list[Step] = []
        for node, operation in operations:
            if node.operator in IN_PLACE and makers.get(node.inputs[0]) in FRESH and uses[node.inputs[0]] == 1:
                operation = IN_PLACE[node.operator]
            inputs = tuple(self._source(node, i, values) if name else None for i, name in enumerate(node.inputs))
            outputs = tuple(self._place(name) if name else None for name in node.outputs)
            drafts.append(Step(node.operator, operation, inputs, outputs, ()))
            makers.update(dict.fromkeys(node.outputs, node.operator))
        self._exits = [self._parameter(port.name, values) for port in graph.outputs]
        self._steps = self._freed(drafts)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs for all inputs, in the file's order."""
        values: list[Any] = [None] * len(self._places)
        for place, value in self._constants.items():
            values[place] = value
        for place, name in self._weights.items():
            values[place] = self._parameters[name]
        for place, value in zip(self._entries, inputs, strict=True):
            values[place] = value
        for step in self._steps:
            try:
                outputs = step.operation(*[None if at is None else values[at] for at in step.inputs])
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                raise RuntimeError(f"{step.operator}: {error}") from error
            for place, value in zip(step.outputs, [outputs] if isinstance(outputs, Tensor) else outputs, strict=False):
                if place is not None:
                    values[place] = value
            for place in step.freed:
                values[place] = None
        return [values[place] for place in self._exits]

    @property
    def place(self) -> torch.device:
        """Where the weights are, and so the inputs must be: a host may have found no room elsewhere."""
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    def _place(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places))

    def _source(self, node: Node, i: int, values: Mapping[str, Tensor]) -> int:
        """Where an operation finds an input."""
        name = node.inputs[i]
        if name not in values:
            return self._place(name)
        if i in HOST.get(node.operator, ()) or not values[name].is_floating_point():
            place = self._place(f"{name} as numbers")
            self._constants[place] = values[name]
            return place
        return self._parameter(name, values)

    def _parameter(self, name: str, values: Mapping[str, Tensor]) -> int:
        place = self._place(name)
        if name in values and place not in self._weights:
            self._weights[place] = f"weight_{place}"
            self.register_parameter(f"weight_{place}", nn.Parameter(values[name], False))
        return place

    def _freed(self, drafts: Sequence[Step]) -> list[Step]:
        """The steps, each with the places that it is the last to read."""
        steps: list[Step] = []
        later = {*self._exits, *self._constants, *self._weights}
        for step in reversed(drafts):
            freed = {place for place in (*step.inputs, *step.outputs) if place is not None} - later
            later |= freed
            steps.append(replace(step, freed=tuple(freed)))
        return steps[::-1]

    def measured(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[Port, ...]:
        """The outputs with the sides that the file does not tell, where the inputs' sizes settle them."""
        if all(port.shape and all(isinstance(side, int) for side in port.shape[1:]) for port in outputs):
            return tuple(outputs)
        if not all(port.shape and all(isinstance(side, int) for side in port.shape[1:]) for port in inputs):
            return tuple(outputs)
        sizes = [[side if isinstance(side, int) else 1 for side in port.shape] for port in inputs]
        for size in sizes:
            check_room(size)
        with torch.inference_mode():
            results = self(*(torch.zeros(size) for size in sizes))
        shapes = [port.shape or (None,) * output.ndim for port, output in zip(outputs, results, strict=True)]
        return tuple(
            Port(port.name, (*sides[:1], *output.shape[1:]))
            for port, sides, output in zip(outputs, shapes, results, strict=True)
        )


def _folded(graph: Graph, values: dict[str, Tensor]) -> list[tuple[Node, Operation]]:
    """The nodes that depend on the input, with their operations; what the others make is added to ``values``."""
    if graph.opset < OLDEST:
        raise Unsupported(f"operators of ONNX's version {graph.opset}")
    named = {node.operator if node.domain in STANDARD else f"{node.domain}.{node.operator}" for node in graph.nodes}
    if unknown := named - set(OPERATORS):
        raise Unsupported(", ".join(sorted(unknown)))
    left: list[tuple[Node, Operation]] = []
    for node in graph.nodes:
        operation = OPERATORS[node.operator](Call(node, graph.opset))
        if not all(name in values or not name for name in node.inputs):
            left.append((node, operation))
            continue
        try:
            outputs = operation(*[values[name] if name else None for name in node.inputs])
        except Unsupported:
            raise
        except Exception as error:
            raise ValueError(f"its {node.operator} cannot be run: {error}") from error
        results: list[Tensor] = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        if any(output.numel() > ROOM for output in results):
            raise ValueError(f"its {node.operator} makes more than {ROOM} numbers of nothing")
        values.update(zip(node.outputs, results, strict=False))
    return left


def _with_norms(
    operations: list[tuple[Node, Operation]], values: dict[str, Tensor], outputs: set[str]
) -> list[tuple[Node, Operation]]:
    """The same network with batch norms made part of the convolutions before them, where nothing else reads those."""
    uses = Counter(name for node, _ in operations for name in node.inputs)
    made_by: dict[str, int] = {}
    left: list[tuple[Node, Operation] | None] = []
    for node, operation in operations:
        source = node.inputs[0] if node.inputs else ""
        if (
            node.operator == "BatchNormalization"
            and source in made_by
            and uses[source] == 1
            and source not in outputs
            and all(name in values for name in node.inputs[1:])
        ):
            at = made_by[source]
            conv, run = left[at] or (node, operation)
            values.update(_merged(conv, node, values))
            left[at] = (replace(conv, inputs=(conv.inputs[0], *_names(node)), outputs=node.outputs[:1]), run)
            continue
        if node.operator == "Conv" and all(name in values for name in node.inputs[1:] if name):
            made_by[node.outputs[0]] = len(left)
        left.append((node, operation))
    return [entry for entry in left if entry]


def _names(norm: Node) -> tuple[str, str]:
    return f"{norm.outputs[0]} merged weight", f"{norm.outputs[0]} merged bias"


def _merged(conv: Node, norm: Node, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    scale, shift, mean, variance = (values[name].double() for name in norm.inputs[1:5])
    weight = values[conv.inputs[1]].double()
    bias = values[conv.inputs[2]].double() if len(conv.inputs) > 2 and conv.inputs[2] else torch.zeros_like(mean)
    by = scale / (variance + norm.attributes.get("epsilon", 1e-5)).sqrt()
    merged = weight * by.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * by + shift
    return {name: value.float() for name, value in zip(_names(norm), merged, strict=True)}


@dataclass(frozen=True)
class TorchNetwork:
    """A network with the ways of an onnxruntime session: arrays in, arrays out.

    bring: takes the module to where it runs, before every run.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    module: TorchGraph
    bring: Callable[[], Any]

    def get_inputs(self) -> tuple[Port, ...]:
        return self.inputs

    def get_outputs(self) -> tuple[Port, ...]:
        return self.outputs

    @torch.inference_mode()
    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, "np.ndarray[Any, Any]"]) -> list[Any]:
        """The outputs of these names, or all. Raises RuntimeError where the feeds do not fit or the network fails."""
        names = [port.name for port in self.outputs]
        try:
            arrays = [self._fed(port, feeds) for port in self.inputs]
            self.bring()
            results = self.module(*(array.to(self.module.place) for array in arrays))
            by_name = dict(zip(names, results, strict=True))
            return [by_name[name].cpu().numpy() for name in (outputs or names)]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise RuntimeError(f"{self.name} failed: {error}") from error

    def _fed(self, port: Port, feeds: Mapping[str, "np.ndarray[Any, Any]"]) -> Tensor:
        array = torch.from_numpy(np.ascontiguousarray(feeds[port.name]))
        expected = port.shape
        if expected and (
            len(expected) != array.ndim
            or any(isinstance(a, int) and a != b for a, b in zip(expected, array.shape, strict=True))
        ):
            raise ValueError(f"its input {port.name} takes {list(expected)}, got {list(array.shape)}")
        return array.float() if array.is_floating_point() else array

"""Reading ONNX files: the protobuf message by hand, so that users need neither the onnx package nor protobuf.

Numbers of fields are those of onnx.proto (github.com/onnx/onnx). Nothing in a file is believed: every length is checked
against what is there, no file beside it is opened, and nothing is taken for larger than its bytes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGEST = 2**31
"""Bytes of a protobuf message at most, by protobuf's own rule."""
STANDARD = ("", "ai.onnx")
"""How the domain of ONNX's own operators is written."""
# TensorProto.DataType: how its bytes are stored, and what they become. Floats are computed in float32, whole numbers
# in int64; bytes stay bytes, of which quantised weights are made.
TYPES = {
    1: (np.float32, torch.float32),
    2: (np.uint8, torch.uint8),
    3: (np.int8, torch.int8),
    4: (np.uint16, torch.int64),
    5: (np.int16, torch.int64),
    6: (np.int32, torch.int64),
    7: (np.int64, torch.int64),
    9: (np.uint8, torch.bool),
    10: (np.float16, torch.float32),
    11: (np.float64, torch.float32),
    12: (np.uint32, torch.int64),
}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED64: 8, FIXED32: 4}


class Unsupported(ValueError):
    """A sound file that asks for what we cannot do, and onnxruntime can."""


@dataclass(frozen=True)
class Port:
    """What goes into a network or comes out. shape: a number, a name or None for every axis; () where none is told."""

    name: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Node:
    """One operation: names of what it reads ("" for what is left out) and makes, and its attributes by name, as float,
    int, str, Tensor, or lists of numbers."""

    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A network: its nodes in the order in which they can run, and its weights by name. opset: the version of ONNX's
    operators that it is written in."""

    opset: int
    nodes: tuple[Node, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, Tensor]


def read_graph(content: bytes) -> Graph:
    """The network inside an ONNX file.

    Raises ValueError for what is no such file, and Unsupported for one that keeps its weights in other files or in a
    form of its own.
    """
    if len(content) > LARGEST:
        raise ValueError(f"it has {len(content)} bytes, more than a network's file can have")
    try:
        model = _fields(memoryview(content))
        (graph,) = model.get(7, [None])
        if not isinstance(graph, memoryview):
            raise ValueError("there is no network in it")
        opsets = [_fields(_message(opset_message)) for opset_message in model.get(8, [])]
        versions = [_int(fields, 2) for fields in opsets if _text(fields, 1) in STANDARD]
        return _graph(_fields(graph), max(versions, default=1))
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"its content is garbled: {error}") from error


def _graph(fields: "Fields", opset: int) -> Graph:
    if fields.get(15):
        raise Unsupported("sparse weights")
    weights: dict[str, Tensor] = {}
    for initializer in fields.get(5, []):
        tensor = _fields(_message(initializer))
        weights[_text(tensor, 8)] = _tensor(tensor)
    nodes = tuple(_node(_fields(_message(node))) for node in fields.get(1, []))
    inputs, outputs = (tuple(_port(_fields(_message(port))) for port in fields.get(number, [])) for number in (11, 12))
    # Old files list their weights among the inputs.
    inputs = tuple(port for port in inputs if port.name not in weights)
    produced = {"", *weights, *(port.name for port in inputs)}
    for node in nodes:
        if missing := [name for name in node.inputs if name not in produced]:
            raise ValueError(f"its {node.operator} reads {missing[0]!r}, which nothing before it makes")
        if repeated := [name for name in node.outputs if name and name in produced]:
            raise ValueError(f"{repeated[0]!r} is made twice in it")
        produced.update(node.outputs)
    if not outputs:
        raise ValueError("it makes nothing")
    if missing := [port.name for port in outputs if port.name not in produced]:
        raise ValueError(f"nothing in it makes its output {missing[0]!r}")
    return Graph(opset, nodes, inputs, outputs, weights)


def _node(fields: "Fields") -> Node:
    names = [tuple(_string(name) for name in fields.get(number, [])) for number in (1, 2)]
    attributes = dict(_attribute(_fields(_message(attribute))) for attribute in fields.get(5, []))
    return Node(_text(fields, 4), _text(fields, 7), names[0], names[1], attributes)


def _attribute(fields: "Fields") -> tuple[str, Any]:
    """Name and value; graphs inside graphs, strings' lists and what is rarer are left out as None."""
    readers = {
        1: lambda: _floats(fields.get(2, []))[0],
        2: lambda: _int(fields, 3),
        3: lambda: _text(fields, 4),
        4: lambda: _tensor(_fields(_message(fields[5][0]))),
        6: lambda: _floats(fields.get(7, [])),
        7: lambda: _ints(fields.get(8, [])),
    }
    kind = _int(fields, 20) or next((kind for kind, number in _VALUES.items() if number in fields), 0)
    try:
        return _text(fields, 1), readers[kind]() if kind in readers else None
    except (LookupError, TypeError) as error:
        raise ValueError(f"its attribute {_text(fields, 1)!r} has no value") from error


_VALUES = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8}
"""By an attribute's type, the number of the field with its value; the first files had no type."""


def _port(fields: "Fields") -> Port:
    axes = [_fields(_message(axis)) for axis in _inner(_inner(_inner(fields, 2), 1), 2).get(1, [])]
    return Port(_text(fields, 1), tuple(max(0, _int(axis, 1)) or _text(axis, 2) or None for axis in axes))


def _tensor(fields: "Fields") -> Tensor:
    name, kind, shape = _text(fields, 8), _int(fields, 2), _ints(fields.get(1, []))
    if _int(fields, 14) or fields.get(13):
        raise Unsupported("weights in another file")
    if kind not in TYPES:
        raise Unsupported(f"weights of ONNX's type {kind}")
    stored, computed = TYPES[kind]
    if any(side < 0 for side in shape):
        raise ValueError(f"its weights {name!r} have the shape {shape}")
    values = _values(fields, np.dtype(stored))
    if values.size != prod(shape):
        raise ValueError(f"its weights {name!r} have {values.size} numbers for the shape {shape}")
    return torch.from_numpy(values.reshape(shape)).to(computed)


def _values(fields: "Fields", stored: "np.dtype[Any]") -> "np.ndarray[Any, Any]":
    """A tensor's numbers, a copy: as raw bytes, or in the field of their kind."""
    if 9 in fields:
        raw = _message(fields[9][-1])
        if len(raw) % stored.itemsize:
            raise ValueError("its weights end within a number")
        return np.frombuffer(raw, stored.newbyteorder("<")).astype(stored)
    for number, form in ((4, "<f4"), (10, "<f8")):
        if number in fields:
            return np.frombuffer(_joined(fields[number], np.dtype(form).itemsize), form).astype(stored)
    numbers = np.array(_ints([*fields.get(5, []), *fields.get(7, []), *fields.get(11, [])]), np.int64)
    return numbers.astype(np.uint16).view(np.float16) if stored == np.float16 else numbers.astype(stored)


Fields = dict[int, list[int | memoryview]]
"""A message's fields by number, in the file's order: numbers, or bytes (four or eight for those of fixed size)."""


def _fields(message: memoryview) -> Fields:
    fields: Fields = {}
    for number, value in _parts(message):
        fields.setdefault(number, []).append(value)
    return fields


def _parts(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at, end = 0, len(message)
    while at < end:
        tag, at = varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if wire == BYTES:
            length, at = varint(message, at)
        elif wire in SIZES:
            length = SIZES[wire]
        else:
            raise ValueError("its content is garbled")
        if length > end - at:
            raise ValueError("it is cut off, or its content is garbled")
        yield number, message[at : at + length]
        at += length


def varint(message: memoryview | bytes, at: int) -> tuple[int, int]:
    """The number at a place of a protobuf message, unsigned, and the place after it. Raises ValueError."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value & (2**64 - 1), at
    raise ValueError("it is cut off, or its content is garbled")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("its content is garbled")
    return value


def _inner(fields: Fields, number: int) -> Fields:
    return _fields(_message(fields[number][-1])) if number in fields else {}


def _string(value: int | memoryview) -> str:
    return bytes(_message(value)).decode()


def _text(fields: Fields, number: int) -> str:
    return _string(fields[number][-1]) if number in fields else ""


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _int(fields: Fields, number: int) -> int:
    value = fields[number][-1] if number in fields else 0
    if not isinstance(value, int):
        raise ValueError("its content is garbled")
    return _signed(value)


def _ints(values: list[int | memoryview]) -> list[int]:
    """Whole numbers, one a field or packed."""
    numbers: list[int] = []
    for value in values:
        if isinstance(value, int):
            numbers.append(_signed(value))
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            numbers.append(_signed(number))
    return numbers


def _floats(values: list[int | memoryview]) -> list[float]:
    return np.frombuffer(_joined(values, 4), "<f4").tolist()


def _joined(values: list[int | memoryview], size: int) -> bytes:
    joined = b"".join(_message(value) for value in values)
    if len(joined) % size:
        raise ValueError("its weights end within a number")
    return joined

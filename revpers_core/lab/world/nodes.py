"""A few words for Blender's shader nodes."""

from __future__ import annotations

from typing import Any

import bpy


class Graph:
    """A material's node tree while it is put together."""

    def __init__(self, name: str):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.principled = self.tree.nodes["Principled BSDF"]

    def add(self, kind: str, **settings: Any) -> Any:
        """A node with some of its settings."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, out: Any, to: Any) -> None:
        self.tree.links.new(out, to)

    def attribute(self, name: str) -> Any:
        return self.add("ShaderNodeAttribute", attribute_name=name)

    def noise(self, vector: Any, scale: float, detail: float) -> Any:
        node = self.add("ShaderNodeTexNoise")
        node.inputs["Scale"].default_value = scale
        node.inputs["Detail"].default_value = detail
        self.link(vector, node.inputs["Vector"])
        return node

    def math(self, operation: str, a: Any, b: Any) -> Any:
        """An arithmetic node of two sockets or numbers."""
        node = self.add("ShaderNodeMath", operation=operation)
        for socket, value in zip(node.inputs, (a, b), strict=False):
            if isinstance(value, (int, float)):
                socket.default_value = value
            else:
                self.link(value, socket)
        return node

    def ramp(self, factor: Any, stops: tuple[tuple[float, tuple[float, ...]], ...]) -> Any:
        """Colours by position, 0 to 1, falling or rising."""
        node = self.add("ShaderNodeValToRGB")
        self.link(factor, node.inputs[0])
        paint(node, stops)
        return node

    def mix(self, blend: str, a: Any, b: Any, factor: float) -> Any:
        """A node that mixes a colour socket with another or with a colour; output 2 is the result."""
        node = self.add("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        node.inputs[0].default_value = factor
        self.link(a, node.inputs[6])
        if isinstance(b, tuple):
            node.inputs[7].default_value = b
        else:
            self.link(b, node.inputs[7])
        return node


def paint(ramp: Any, stops: tuple[tuple[float, tuple[float, ...]], ...]) -> None:
    """Give a colour ramp these stops."""
    elements = ramp.color_ramp.elements
    while len(elements) > 1:
        elements.remove(elements[0])
    for k, (position, colour) in enumerate(stops):
        element = elements[0] if k == 0 else elements.new(position)
        element.position, element.color = position, (*colour, 1)

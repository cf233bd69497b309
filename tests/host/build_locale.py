"""The page's own words for the nodes, locales/en/nodeDefs.json, from /object_info (make workflows writes them)."""

from typing import Any


def node_definitions(info: dict[str, Any]) -> dict[str, Any]:
    """Node id -> display name, description, inputs by id and outputs by place, as ComfyUI's page reads them."""
    return {name: _node(node) for name, node in info.items()}


def _node(node: dict[str, Any]) -> dict[str, Any]:
    inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    outputs = zip(node["output_name"], node["output_tooltips"], strict=True)
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "inputs": {key: {"name": key, "tooltip": spec[1]["tooltip"]} for key, spec in inputs.items()},
        "outputs": {str(i): {"name": name, "tooltip": tooltip} for i, (name, tooltip) in enumerate(outputs)},
    }

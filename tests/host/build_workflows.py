"""The workflows that the canvas opens, made from their API forms (make workflows writes them).

The API forms in workflows/api/ are what we write by hand. Sockets and widgets come from a running ComfyUI's
/object_info; boxes stand in columns, each behind what it reads.
"""

import uuid
from typing import Any

from workflow_notes import MODELS, NOTES

COLUMN, GAP, PICTURE = 400, 70, 260
SHOWS_A_PICTURE = {"LoadImage", "PreviewImage", "RevPersSave", "PreviewAny"}
NOTE_HEIGHT = 260


def columns(api: dict[str, Any]) -> dict[str, int]:
    """The column of every box: one behind the furthest of those that it reads."""
    found: dict[str, int] = {}

    def column(key: str) -> int:
        if key not in found:
            sources = [value[0] for value in api[key]["inputs"].values() if isinstance(value, list)]
            found[key] = max((column(source) + 1 for source in sources), default=0)
        return found[key]

    return {key: column(key) for key in api}


def widgets(info: dict[str, Any]) -> list[tuple[str, Any]]:
    """(name, specification) of the inputs that are widgets on the box, in order."""
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    order = [n for part in ("required", "optional") for n in info["input_order"].get(part, [])]
    return [(n, inputs[n]) for n in order if isinstance(inputs[n][0], list) or inputs[n][0] in WIDGETS]


WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def canvas(name: str, api: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The canvas form of an API form."""
    links: list[list[Any]] = []
    nodes: dict[str, dict[str, Any]] = {}
    filled: dict[int, float] = {}
    for order, (key, column) in enumerate(columns(api).items()):
        place = [column * COLUMN, filled.get(column, 0.0)]
        nodes[key] = _box(int(key), api[key], info[api[key]["class_type"]], place, order)
        filled[column] = place[1] + nodes[key]["size"][1] + GAP
    for key, node in api.items():
        for slot in nodes[key]["inputs"]:
            value = node["inputs"].get(slot["name"])
            if not isinstance(value, list):
                continue
            source, output = value
            link = [len(links) + 1, int(source), output, int(key), nodes[key]["inputs"].index(slot)]
            link.append(nodes[source]["outputs"][output]["type"])
            links.append(link)
            slot["link"] = link[0]
            nodes[source]["outputs"][output].setdefault("links", []).append(link[0])
    note = {
        "id": len(api) + 1, "type": "Note", "pos": [0, -NOTE_HEIGHT - GAP], "size": [2 * COLUMN - 60, NOTE_HEIGHT],
        "flags": {}, "order": len(api), "mode": 0, "inputs": [], "outputs": [], "properties": {},
        "widgets_values": [NOTES[name]], "title": "Read me",
    }  # fmt: skip
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "revision": 0, "last_node_id": len(api) + 1,
        "last_link_id": len(links), "nodes": [*nodes.values(), note], "links": links, "groups": [], "config": {},
        "extra": {}, "version": 0.4,
    }  # fmt: skip


def _box(number: int, node: dict[str, Any], info: dict[str, Any], place: list[float], order: int) -> dict[str, Any]:
    kind, on_box = node["class_type"], dict(widgets(info))
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    values: list[Any] = []
    for name, spec in on_box.items():
        values.append(node["inputs"][name])
        options = spec[1] if len(spec) > 1 else {}
        if options.get("control_after_generate"):
            values.append("randomize")
        if options.get("image_upload"):
            values.append("image")
    files = [file for file in MODELS.get(kind, []) if file["name"] in values]
    models = {"models": files} if files else {}
    height = 40 + 22 * max(len(inputs) - len(on_box), len(info["output"])) + 26 * len(on_box)
    height += PICTURE if kind in SHOWS_A_PICTURE else 0
    height += sum(60 for spec in on_box.values() if len(spec) > 1 and spec[1].get("multiline"))
    return {
        "id": number, "type": kind, "pos": place, "size": [COLUMN - 60, height],
        "flags": {}, "order": order, "mode": 0,
        "inputs": [
            {"name": n, "type": "COMBO" if isinstance(spec[0], list) else spec[0], "link": None}
            for n, spec in inputs.items() if n not in on_box
        ],
        "outputs": [
            {"name": n, "type": t, "links": []} for n, t in zip(info["output_name"], info["output"], strict=True)
        ],
        "properties": {"Node name for S&R": kind, **models},
        "widgets_values": values,
    }  # fmt: skip

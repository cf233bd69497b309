"""The workflows that the canvas opens, made from their API forms (make workflows writes them).

The API forms in workflows/api/ are what we write by hand. Sockets and widgets come from a running ComfyUI's
/object_info.
"""

import uuid
from typing import Any

from workflow_layout import WIDE, fitting, height
from workflow_notes import MODELS, NOTES


def widgets(info: dict[str, Any]) -> list[tuple[str, Any]]:
    """(name, specification) of the inputs that are widgets on the box, in order."""
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    order = [n for part in ("required", "optional") for n in info["input_order"].get(part, [])]
    return [(n, inputs[n]) for n in order if isinstance(inputs[n][0], list) or inputs[n][0] in WIDGETS]


APPS = {
    "0_start_here": ([("2", "image"), ("3", "strength"), ("3", "person")], ["4"]),
    "0_start_here.pocket": ([("2", "person"), ("3", "strength"), ("3", "who")], ["4"]),
    "anonymize_everyone": ([("2", "image"), ("7", "strength"), ("7", "person")], ["9"]),
    "anonymize_clip": ([("2", "file"), ("7", "strength"), ("7", "preset")], ["8"]),
}
"""Workflows that ComfyUI's app mode shows as a form: (box, widget) of what is asked for, boxes whose results show."""
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def canvas(name: str, api: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The canvas form of an API form."""
    links: list[list[Any]] = []
    nodes = {key: box(int(key), node, info[node["class_type"]]) for key, node in api.items()}
    layout, folded = fitting(api, {key: node["size"][1] for key, node in nodes.items()}, NOTES[name])
    for key in folded:
        nodes[key]["flags"] = {"collapsed": True}
    for node in nodes.values():
        node["size"][0] = layout.width
    for order, (key, place) in enumerate(layout.places.items()):
        nodes[key] |= {"pos": place, "order": order}
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
    free = max(map(int, api)) + 1
    note = {
        "id": free, "type": "MarkdownNote", "pos": layout.note[:2], "size": layout.note[2:], "flags": {},
        "order": len(api), "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [NOTES[name]],
        "title": "Read me", "color": "#432", "bgcolor": "#653",
    }  # fmt: skip
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "revision": 0, "last_node_id": free,
        "last_link_id": len(links), "nodes": [*nodes.values(), note], "links": links, "groups": layout.groups,
        "config": {}, "extra": _extra(name), "version": 0.4,
    }  # fmt: skip


def _extra(name: str) -> dict[str, Any]:
    """How app mode shows the workflow; it opens as boxes all the same."""
    if name not in APPS:
        return {}
    inputs, outputs = APPS[name]
    return {
        "linearData": {"inputs": [[int(box), widget] for box, widget in inputs], "outputs": [int(o) for o in outputs]}
    }


def _title(node: dict[str, Any], info: dict[str, Any]) -> str:
    """By its role where there are two of a kind (the API form says which), else its short name: the box would be as
    wide as a long one."""
    return node.get("_meta", {}).get("title") or info["display_name"].split(" (")[0]


def _is_shown(name: str, node: dict[str, Any]) -> bool:
    """Whether a widget is on the box as it opens: steps and skip follow the preset."""
    return name not in ("steps", "skip") or node["inputs"].get("preset", "custom") == "custom"


def box(number: int, node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The canvas form of one box without links. info: of its kind, from /object_info."""
    kind, on_box = node["class_type"], dict(widgets(info))
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    values: list[Any] = []
    for name, spec in on_box.items():
        options = spec[1] if len(spec) > 1 else {}
        value = node["inputs"].get(name, options.get("default"))
        values.append(options["default"] if isinstance(value, list) else value)
        if options.get("control_after_generate"):
            values.append("randomize" if name == "person" else "fixed")
        if options.get("image_upload") or options.get("video_upload"):
            values.append("image")
    files = [file for file in MODELS.get(kind, []) if file["name"] in values]
    models = {"models": files} if files else {}
    slots = [
        {
            "name": name, "type": "COMBO" if isinstance(spec[0], list) else spec[0], "link": None,
            **({"widget": {"name": name}} if name in on_box else {}),
        }
        for name, spec in inputs.items() if name not in on_box or isinstance(node["inputs"].get(name), list)
    ]  # fmt: skip
    shown = {name: spec[1] if len(spec) > 1 else {} for name, spec in on_box.items() if _is_shown(name, node)}
    texts = sum(bool(options.get("multiline")) for options in shown.values())
    rows = len(shown) - texts + sum(bool(options.get("control_after_generate")) for options in shown.values())
    folded = sum(bool(options.get("advanced")) for options in shown.values())
    size = [WIDE.width, height(kind, max(len(inputs) - len(on_box), len(info["output"])), rows, folded, texts)]
    return {
        "id": number, "type": kind, "pos": [0, 0], "size": size,
        "flags": {}, "order": 0, "mode": 0, "inputs": slots,
        "outputs": [
            {"name": n, "type": t, "links": []} for n, t in zip(info["output_name"], info["output"], strict=True)
        ],
        "properties": {"Node name for S&R": kind, **models}, "title": _title(node, info),
        "widgets_values": values,
    }  # fmt: skip

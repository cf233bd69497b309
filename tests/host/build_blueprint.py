"""The subgraph that ComfyUI's node library offers, made from /object_info (make workflows writes it)."""

import uuid
from typing import Any

from build_workflows import box

NAME = "Anonymize a Photo"
DESCRIPTION = "A photo in, everyone in it made somebody else: loader and box in one. Save with Save Anonymous Image."
LOADER, ANONYMIZE, OUTSIDE, INPUT, OUTPUT = 1, 2, 3, -10, -20
DIALS = [
    (LOADER, "checkpoint"), (ANONYMIZE, "strength"), (ANONYMIZE, "size"), (ANONYMIZE, "preset"), (ANONYMIZE, "person"),
]  # fmt: skip
"""(box, widget) of what can be set from outside."""
GIVEN = ("model", "clip", "vae", "adapter", "face_model", "detector")
"""What the loader gives, in the order of its outputs."""
OUTPUTS = ("image", "mask", "verdict")


def blueprint(info: dict[str, Any]) -> dict[str, Any]:
    """A workflow of one box that is a subgraph."""
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"subgraph {NAME}"))
    kinds = {LOADER: "RevPersLoadEverything", ANONYMIZE: "RevPersAnonymizeFaces"}
    inside = {number: box(number, {"class_type": kind, "inputs": {}}, info[kind]) for number, kind in kinds.items()}
    inside[LOADER]["pos"], inside[ANONYMIZE]["pos"] = [0, 0], [400, 0]
    slots = [slot["name"] for slot in inside[ANONYMIZE]["inputs"]]
    wires = [(LOADER, i, ANONYMIZE, slots.index(name)) for i, name in enumerate(GIVEN)]
    wires.append((INPUT, 0, ANONYMIZE, slots.index("image")))
    found = [one["name"] for one in inside[ANONYMIZE]["outputs"]]
    wires += [(ANONYMIZE, found.index(name), OUTPUT, i) for i, name in enumerate(OUTPUTS)]
    links: list[dict[str, Any]] = []
    for number, (source, output, target, place) in enumerate(wires, 1):
        slot = inside[target]["inputs"][place] if target in inside else inside[source]["outputs"][output]
        one = {"id": number, "origin_id": source, "origin_slot": output, "target_id": target, "target_slot": place}
        links.append({**one, "type": slot["type"]})
        if target in inside:
            slot["link"] = number
        if source in inside:
            inside[source]["outputs"][output].setdefault("links", []).append(number)
    ends = {"inputs": [_end("image", "IMAGE", links, INPUT, 0)]}
    types = {one["name"]: one["type"] for one in inside[ANONYMIZE]["outputs"]}
    ends["outputs"] = [_end(name, types[name], links, OUTPUT, i) for i, name in enumerate(OUTPUTS)]
    graph = {
        "id": identity, "version": 1, "revision": 0, "config": {}, "name": NAME, "description": DESCRIPTION,
        "category": "ReversePersonalization", "widgets": [], "groups": [], "extra": {},
        "state": {"lastGroupId": 0, "lastNodeId": ANONYMIZE, "lastLinkId": len(links), "lastRerouteId": 0},
        "inputNode": {"id": INPUT, "bounding": [-240, 0, 120, 60]},
        "outputNode": {"id": OUTPUT, "bounding": [760, 0, 120, 100]},
        **ends, "nodes": list(inside.values()), "links": links,
    }  # fmt: skip
    outside = {
        "id": OUTSIDE, "type": identity, "pos": [0, 0], "size": [300, 220], "flags": {}, "order": 0, "mode": 0,
        "inputs": [{"name": "image", "type": "IMAGE", "link": None}],
        "outputs": [{"name": name, "type": types[name], "links": []} for name in OUTPUTS],
        "properties": {"proxyWidgets": [[str(number), name] for number, name in DIALS]},
        "widgets_values": [], "title": NAME,
    }  # fmt: skip
    return {
        "revision": 0, "last_node_id": OUTSIDE, "last_link_id": 0, "nodes": [outside], "links": [], "version": 0.4,
        "definitions": {"subgraphs": [graph]}, "extra": {},
    }  # fmt: skip


def _end(name: str, kind: str, links: list[dict[str, Any]], node: int, place: int) -> dict[str, Any]:
    """A socket of the subgraph, as its inside knows it."""
    side = ("origin_id", "origin_slot") if node == INPUT else ("target_id", "target_slot")
    numbers = [link["id"] for link in links if (link[side[0]], link[side[1]]) == (node, place)]
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME} {node} {name}"))
    return {"id": identity, "name": name, "type": kind, "linkIds": numbers, "pos": [0, 20 * place]}

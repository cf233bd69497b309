"""The workflows that the canvas opens, made from their API forms (make workflows writes them).

The API forms in workflows/api/ are what we write by hand; columns and rows below say where the boxes stand. Sockets and
widgets come from a running ComfyUI's /object_info.
"""

import uuid
from typing import Any

COLUMN, ROW = 400, 60

LAYOUT: dict[str, dict[str, tuple[float, float]]] = {
    "anonymize_aligned_face": {
        "1": (0, 0), "4": (0, 3), "5": (0, 6), "2": (0, 8.5), "3": (1, 8.5), "6": (1, 6), "7": (1, 0), "8": (2, 8.5),
        "9": (2, 3), "10": (3, 3), "11": (4, 3), "12": (2, 11), "13": (4, 5.5), "note": (0, -5),
    },
    "anonymize_aligned_face.pocket": {
        "1": (0, 0), "2": (0, 4), "3": (1, 5), "4": (1, 0), "5": (1, 8), "6": (2, 3), "7": (3, 3), "8": (4, 3),
        "9": (0, 7), "10": (4, 5.5), "note": (0, -5),
    },
    "anonymize_everyone": {
        "1": (0, 0), "3": (0, 3), "4": (0, 5.5), "5": (0, 7.5), "2": (0, 10), "6": (1, 0), "7": (2, 0), "8": (1, 10),
        "9": (3, 0), "note": (0, -5),
    },
    "anonymize_everyone.pocket": {
        "1": (0, 0), "2": (0, 4), "3": (0, 6.5), "4": (0, 9), "5": (1, 5), "6": (1, 9), "7": (1, 13), "8": (1, 0),
        "9": (2, 0), "10": (2, 13), "11": (3, 0), "note": (0, -5),
    },
    "anonymize_keep_one": {
        "1": (0, 0), "4": (0, 3), "5": (0, 5.5), "6": (0, 7.5), "2": (0, 10), "3": (0, 17), "7": (1, 8), "8": (1, 12.5),
        "9": (2, 8), "10": (2, 15), "11": (3, 12), "12": (1, 0), "13": (3, 15), "14": (3, 4), "15": (4, 4),
        "16": (5, 4), "17": (5, 7), "18": (2, 18), "19": (5, 11), "note": (0, -5),
    },
    "anonymize_keep_one.pocket": {
        "1": (0, 0), "2": (0, 4), "3": (0, 6.5), "4": (0, 9), "7": (0, 11.5), "5": (1, 5), "6": (1, 9), "8": (1, 13),
        "9": (2, 8), "10": (2, 12.5), "11": (3, 8), "12": (3, 15), "13": (4, 12), "14": (1, 0), "15": (4, 15),
        "16": (4, 4), "17": (5, 4), "18": (6, 4), "19": (6, 7), "20": (2, 17), "21": (6, 11), "note": (0, -5),
    },
}  # fmt: skip
NOTES = {
    "anonymize_aligned_face": (
        "An aligned face crop becomes somebody else.\n\n"
        "1. Load a square photo of one face, framed as in FFHQ (eyes just above the middle).\n"
        "2. Say in 'New Face Looks Like' who the new face may look like, or leave it open.\n"
        "3. 'guidance' is how far from the person: -10 is the paper's. Changing it runs the sampler alone.\n\n"
        "Files: SDXL base 1.0, ip-adapter-faceid_sdxl.bin, buffalo_l. ComfyUI's own 'Save Image' would write this "
        "workflow into the picture, and the seed in it helps to undo the result: keep 'Save Anonymous Image'."
    ),
    "anonymize_aligned_face.pocket": (
        "The same with the pocket model that comes with the pack: queue it, it runs in seconds and needs no file.\n"
        "Change 'person' and 'photo' for another face, 'guidance' for how far from the person.\n"
        "It shows how everything works; it does not anonymize real photos."
    ),
    "anonymize_everyone": (
        "Everyone in a photo becomes somebody else.\n\n"
        "1. Load a photo of any size. Every face that is found is cut out, made into somebody else and put back; then "
        "the result is searched again, and a face that was missed is an error.\n"
        "2. 'strength' 1 is the paper's guidance of -10.\n"
        "3. Connect 'Load Judge' to 'judge' for a second opinion: without one the verdict is 'unverified'.\n"
        "4. Connect photos of people to 'keep' to leave them alone.\n\n"
        "A tool is as good as the face it misses: look at the result, faces in the background too."
    ),
    "anonymize_everyone.pocket": (
        "The same with the pocket model and three rendered people side by side: queue it, it needs no file.\n"
        "Its detector finds rendered faces only; it does not anonymize real photos."
    ),
    "anonymize_keep_one": (
        "Everyone but one person becomes somebody else.\n\n"
        "1. Above, the photo; below it, another photo of the person to leave alone.\n"
        "2. 'Choose Faces' compares: 'likeness' is from where on two faces are one person's. The preview shows who was "
        "found.\n"
        "3. The others are cut out, made into somebody else in one batch, and put back. The kept face and the rest of "
        "the photo stay bit for bit.\n\n"
        "This path has no second look: 'Anonymize Everyone' with 'keep' has one."
    ),
    "anonymize_keep_one.pocket": (
        "The same with the pocket model and three rendered people side by side, of whom the middle one stays: queue "
        "it, it needs no file.\nIts detector finds rendered faces only; it does not anonymize real photos."
    ),
}
HUGGINGFACE = "https://huggingface.co"
MODELS = {
    "CheckpointLoaderSimple": [
        {
            "name": "sd_xl_base_1.0.safetensors",
            "url": f"{HUGGINGFACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
            "directory": "checkpoints",
        }
    ],
    "RevPersLoadFaceIDAdapter": [
        {
            "name": "ip-adapter-faceid_sdxl.bin",
            "url": f"{HUGGINGFACE}/h94/IP-Adapter-FaceID/resolve/main/ip-adapter-faceid_sdxl.bin",
            "directory": "ipadapter",
        }
    ],
}


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
    for order, (key, node) in enumerate(api.items()):
        nodes[key] = _box(int(key), node, info[node["class_type"]], LAYOUT[name][key], order)
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
        "id": len(api) + 1, "type": "Note", "pos": _place(LAYOUT[name]["note"]), "size": [COLUMN - 40, 4 * ROW],
        "flags": {}, "order": len(api), "mode": 0, "inputs": [], "outputs": [], "properties": {},
        "widgets_values": [NOTES[name]], "title": "Read me",
    }  # fmt: skip
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "revision": 0, "last_node_id": len(api) + 1,
        "last_link_id": len(links), "nodes": [*nodes.values(), note], "links": links, "groups": [], "config": {},
        "extra": {}, "version": 0.4,
    }  # fmt: skip


def _place(cell: tuple[float, float]) -> list[float]:
    return [cell[0] * COLUMN, cell[1] * ROW]


def _box(
    number: int, node: dict[str, Any], info: dict[str, Any], cell: tuple[float, float], order: int
) -> dict[str, Any]:
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
    models = {"models": MODELS[kind]} if kind in MODELS else {}
    height = 40 + 22 * max(len(inputs) - len(on_box), len(info["output"])) + 26 * len(on_box)
    return {
        "id": number, "type": kind, "pos": _place(cell), "size": [COLUMN - 60, height],
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

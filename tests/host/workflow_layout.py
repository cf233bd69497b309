"""Where a workflow's boxes stand: in numbered rooms from left to right, in each room in columns, so that no box covers
another while live previews are shown and a whole workflow can be read on one screen."""

from typing import Any, NamedTuple

WIDTH, GAP, TALL = 340, 50, 1200
"""Of a box; between boxes; of a column, in the canvas's pixels."""
BORDER, TITLE = 20, 60
PICTURE, PREVIEW = 300, 260
NOTE = 380

ROOMS = ("Load the files", "Photo", "Who, and who instead", "Make somebody else", "Work on it", "Look and save")
MODELS, PHOTO, WHO, MAKE, AFTER, SEE = range(len(ROOMS))
ROOM = {
    "CheckpointLoaderSimple": MODELS, "LoadImage": PHOTO, "LoadImageDataSetFromFolder": PHOTO, "ImageScale": PHOTO,
    "ImageStitch": PHOTO, "RevPersPocketFace": PHOTO, "RevPersDetectFaces": WHO, "RevPersSelectFaces": WHO,
    "RevPersCropFaces": WHO, "FaceIDEmbed": WHO, "AttributePrompt": WHO, "RevPersSeveralStrengths": WHO,
    "RevPersSave": SEE, "RevPersBeforeAfter": SEE, "RevPersAudit": SEE, "PreviewImage": SEE, "PreviewAny": SEE,
    "CLIPTextEncode": AFTER, "LoadVideo": PHOTO, "CreateVideo": PHOTO, "RepeatImageBatch": PHOTO,
    "RevPersSaveVideo": SEE,
}  # fmt: skip
"""What is not named: loaders load, the rest makes somebody else, and works on it behind 'Anonymize Everyone'."""
SHOWS_A_PICTURE = {"LoadImage", "PreviewImage", "RevPersSave", "RevPersBeforeAfter", "LoadVideo", "RevPersSaveVideo"}
SHOWS_A_PREVIEW = {
    "NullIDInvertDPMPP",
    "NegativeIDGuidanceSampler",
    "RevPersAnonymizeFaces",
    "RevPersAnonymizeVideo",
    "KSampler",
}
SHOWS_TEXT = {"PreviewAny": 120}


class Plan(NamedTuple):
    """places: box -> [x, y]. groups: as the canvas reads them. note: [x, y, width, height]."""

    places: dict[str, list[float]]
    groups: list[dict[str, Any]]
    note: list[float]


def height(kind: str, slots: int, widgets: int, texts: int) -> float:
    """What a box needs in either renderer: rows of sockets and of widgets, many-lined texts, what it shows."""
    shown = PICTURE * (kind in SHOWS_A_PICTURE) + PREVIEW * (kind in SHOWS_A_PREVIEW) + SHOWS_TEXT.get(kind, 0)
    return 75 + 21 * slots + 28 * widgets + 70 * texts + shown


def rooms(api: dict[str, Any]) -> dict[str, int]:
    """The room of every box, in the order in which they read each other."""
    found: dict[str, int] = {}

    def room(key: str) -> int:
        if key not in found:
            kind, sources = api[key]["class_type"], [v[0] for v in api[key]["inputs"].values() if isinstance(v, list)]
            behind = max((room(source) for source in sources), default=MODELS)
            late = behind >= AFTER or any(api[source]["class_type"] == "RevPersAnonymizeFaces" for source in sources)
            usual = ROOM.get(kind, MODELS if kind.startswith("RevPersLoad") else MAKE)
            found[key] = AFTER if late and usual != SEE else usual
        return found[key]

    for key in api:
        room(key)
    return found


def plan(api: dict[str, Any], heights: dict[str, float], note: str) -> Plan:
    """Rooms from left to right behind the note, one under another where there is room; in each of them the boxes from
    top to bottom, as they read each other."""
    of, x, lowest = rooms(api), float(NOTE + 2 * GAP), 0.0
    places: dict[str, list[float]] = {}
    groups: list[dict[str, Any]] = []
    for number, title in enumerate(ROOMS):
        keys = [key for key, room in of.items() if room == number]
        if not keys:
            continue
        start = lowest + GAP + TITLE + BORDER if lowest else 0.0
        if start and start + sum(heights[key] + GAP for key in keys) - GAP > TALL:
            x, start = x + WIDTH + 2 * GAP, 0.0
        left, top, lowest = x, start, 0.0
        for key in keys:
            if top > start and top + heights[key] > TALL:
                x, top = x + WIDTH + GAP, start
            places[key] = [x, top]
            lowest = max(lowest, top + heights[key])
            top += heights[key] + GAP
        box = [
            left - BORDER,
            start - TITLE - BORDER,
            x + WIDTH - left + 2 * BORDER,
            lowest - start + TITLE + 2 * BORDER,
        ]
        titled = {"id": len(groups) + 1, "title": f"{len(groups) + 1}  {title}", "bounding": box}
        groups.append({**titled, "color": "#3f789e", "font_size": 24, "flags": {}})
    lines = sum(1 + len(line) // 55 for line in note.splitlines() if line)
    return Plan(places, groups, [0, -TITLE, NOTE, 80 + 22 * lines])

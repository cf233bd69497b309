"""Where a workflow's boxes stand: under their note in numbered rooms, in columns from left to right, so that all of it
can be read as it opens and no box covers another while live previews are shown."""

import re
from typing import Any, NamedTuple

SCREEN = (1650, 930)
"""What a workflow may take, in the canvas's pixels: on a screen of 1280 x 720 the page shows that much of it, with a
quarter of the screen around, at the zoom of 57% under which the classic renderer leaves words out."""
BESIDE = (330, 400, 470)
"""Widths of a note beside the rooms, where there is no height for one above them."""
TITLE, BAR = 38, 30
"""Of a room; of a box."""
BADGE = 16
"""What the classic renderer paints above another pack's boxes than ComfyUI's, over whatever is there."""
STOCK_NAMES = ("FaceIDEmbed", "AttributePrompt", "NullIDInvertDPMPP", "NegativeIDGuidanceSampler")
"""Boxes of ours whose names do not begin with the pack's."""
LINE, LETTERS = 19, 7.5
"""Of the note: pixels of a line, and of a letter in it."""

ROOMS = ("Load the files", "Photo", "Who, and who instead", "Make somebody else", "Work on it", "Look and save")
MODELS, PHOTO, WHO, MAKE, AFTER, SEE = range(len(ROOMS))
ROOM = {
    "CheckpointLoaderSimple": MODELS,
    **dict.fromkeys(
        ("LoadImage", "LoadImageDataSetFromFolder", "LoadVideo", "CreateVideo", "RepeatImageBatch", "ImageBatch"), PHOTO
    ),
    **dict.fromkeys(
        ("ImageScale", "ImageScaleBy", "ImageScaleToTotalPixels", "ImageStitch", "RevPersPocketFace"), PHOTO
    ),
    **dict.fromkeys(("RevPersDetectFaces", "RevPersSelectFaces", "RevPersCropFaces", "FaceIDEmbed"), WHO),
    **dict.fromkeys(("AttributePrompt", "RevPersPseudonym", "RevPersSeveralStrengths"), WHO),
    "CLIPTextEncode": AFTER,
    **dict.fromkeys(("RevPersSave", "RevPersSaveVideo", "RevPersBeforeAfter", "RevPersAudit", "RevPersSeal"), SEE),
    **dict.fromkeys(("PreviewImage", "PreviewAny"), SEE),
}
"""What is not named: loaders load, the rest makes somebody else, and works on it behind 'Anonymize Everyone'."""
GIVES_BACK = ("VAEDecode", "RevPersPasteFaces")
"""They stand before what shows their pictures, where nothing else reads them."""
FOLDED = (
    ("VAEEncode", "VAEDecode", "ImageScale", "ImageScaleToTotalPixels", "ImageStitch", "RebatchLatents", "GrowMask",
     "SetLatentNoiseMask", "ImageCompositeMasked", "CreateVideo", "RepeatImageBatch"),
    ("CLIPTextEncode", "FaceIDEmbed"),
    ("RevPersSave",),
    ("RevPersCropFaces", "PreviewAny", "RevPersLoadFaceDetector", "RevPersLoadFaceModel"),
    ("RevPersPasteFaces", "PreviewImage", "RevPersLoadFaceIDAdapter"),
    ("RevPersLoadEverything",),
)  # fmt: skip
"""Folded to their titles: the first always, since nobody changes anything in them, the others one after another where
a workflow does not fit the screen."""
SHOWS_A_PICTURE = {
    "LoadImage": 250, "LoadVideo": 250, "PreviewImage": 220, "RevPersSave": 150, "RevPersSaveVideo": 200,
    "RevPersBeforeAfter": 224,
}  # fmt: skip
GROWS = {
    "NullIDInvertDPMPP", "NegativeIDGuidanceSampler", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo",
    "RevPersAnonymizeFolder", "KSampler", "RevPersSave", "RevPersSaveVideo",
}  # fmt: skip
"""Taller once they show a preview or a picture of unknown shape: nothing stands below them."""
SHOWS_TEXT = {"PreviewAny": 80}


class Spacing(NamedTuple):
    """width: of a box. border: of a room. gap: between rooms."""

    width: int
    border: int
    gap: int


WIDE, NARROW = Spacing(250, 8, 10), Spacing(224, 4, 4)


class Plan(NamedTuple):
    """places: box -> [x, y]. groups: as the canvas reads them. note: [x, y, width, height]. size: of the whole.
    width: of a box."""

    places: dict[str, list[float]]
    groups: list[dict[str, Any]]
    note: list[float]
    size: tuple[float, float]
    width: int


def height(kind: str, slots: int, widgets: int, folded: int, texts: int) -> float:
    """What a box needs in either renderer. folded: of its widgets, those for experts, which Nodes 2.0 puts behind a
    button; the classic one shows all. texts: widgets of many lines."""
    classic = 14 + 20 * slots + 24 * widgets
    modern = 46 + 20 * slots + 27 * (widgets - folded) + 28 * bool(folded)
    shown = SHOWS_A_PICTURE.get(kind, 0) + SHOWS_TEXT.get(kind, 0)
    return max(classic, modern) + 8 + 68 * texts + shown


def rooms(api: dict[str, Any]) -> dict[str, int]:
    """The room of every box, in the order in which they read each other."""
    found: dict[str, int] = {}

    def room(key: str) -> int:
        if key not in found:
            kind, above = api[key]["class_type"], sources(api[key])
            behind = max((room(source) for source in above), default=MODELS)
            late = behind >= AFTER or any(api[source]["class_type"] == "RevPersAnonymizeFaces" for source in above)
            usual = ROOM.get(kind, MODELS if kind.startswith("RevPersLoad") else MAKE)
            found[key] = AFTER if late and usual != SEE else usual
        return found[key]

    for key in sorted(api, key=lambda one: depth(api, one), reverse=True):
        room(key)
        readers = [other for other, node in api.items() if key in sources(node)]
        if api[key]["class_type"] in GIVES_BACK and readers and all(found[reader] == SEE for reader in readers):
            found[key] = SEE
    return found


def sources(node: dict[str, Any]) -> list[str]:
    """The boxes that a box reads."""
    return [value[0] for value in node["inputs"].values() if isinstance(value, list)]


def depth(api: dict[str, Any], key: str) -> int:
    """Boxes in the longest way to a box."""
    return 1 + max((depth(api, source) for source in sources(api[key])), default=0)


def lift(kind: str) -> int:
    """What a box's badge takes above it."""
    return BADGE if kind.startswith("RevPers") or kind in STOCK_NAMES else 0


def note_height(note: str, width: float) -> float:
    """Of a note that is so wide."""
    letters, shown = (width - 30) / LETTERS, re.sub(r"\]\([^)]*\)", "]", note)
    return 50 + LINE * sum(1 + int(len(line) // letters) for line in shown.splitlines() if line)


def fitting(api: dict[str, Any], heights: dict[str, float], note: str) -> tuple[Plan, set[str]]:
    """The plan with as few folded boxes as fit the screen, and their keys; in narrower columns before the last are."""
    ways = [(spacing, count) for spacing, most in ((WIDE, len(FOLDED) - 1), (NARROW, len(FOLDED)))
            for count in range(1, most + 1)]  # fmt: skip
    for spacing, count in ways:
        for beside in (0, *(width for width in BESIDE if note_height(note, width) <= SCREEN[1])):
            kinds = {kind for some in FOLDED[:count] for kind in some}
            folded = {
                key for key, node in api.items()
                if node["class_type"] in kinds or node.get("_meta", {}).get("collapsed")
            }  # fmt: skip
            needed = {key: 0.0 if key in folded else value for key, value in heights.items()}
            found = plan(api, needed, note, spacing, beside)
            if found.size[0] <= SCREEN[0] and found.size[1] <= SCREEN[1]:
                return found, folded
    return found, folded


def plan(api: dict[str, Any], heights: dict[str, float], note: str, spacing: Spacing = WIDE, beside: float = 0) -> Plan:
    """Columns as tall as the screen allows under the note, filled from top to bottom with one room after another; a
    room that goes on in the next column has its title there again. beside: width of a note on the left of them."""
    of, (width, border, gap) = rooms(api), spacing
    top = 0 if beside else note_height(note, SCREEN[0] - 100) + BAR + gap
    places: dict[str, list[float]] = {}
    groups: list[dict[str, Any]] = []
    x, y, grows = beside and float(beside + gap), top, False

    def grower(key: str) -> bool:
        return heights[key] > 0 and api[key]["class_type"] in GROWS

    def begin(title: str) -> None:
        color = {"color": "#3f789e", "font_size": 20, "flags": {}}
        groups.append({"id": len(groups) + 1, "title": title, "bounding": [x, y, width + 2 * border, 0], **color})

    def order(key: str) -> tuple[int, bool, bool]:
        flows = of[key] in (MAKE, AFTER) or (of[key] == SEE and api[key]["class_type"] not in ROOM)
        return depth(api, key) if flows else 99, grower(key), api[key]["class_type"] != "PreviewAny"

    for number, (room, title) in enumerate(((k, name) for k, name in enumerate(ROOMS) if k in of.values()), 1):
        titled = f"{number}  {title}"
        for i, key in enumerate(sorted((key for key, where in of.items() if where == room), key=order)):
            above = lift(api[key]["class_type"])
            need = above + BAR + heights[key] + border
            if not i:
                y += gap if y > top else 0
            if grows or (y > top and y + (0 if i else TITLE) + need > SCREEN[1]):
                x, y = x + width + 2 * border + gap, top
                begin(titled)
                y += TITLE
            elif not i:
                begin(titled)
                y += TITLE
            places[key] = [x + border, y + above + BAR]
            y, grows = y + need, grower(key)
            groups[-1]["bounding"][3] = y - groups[-1]["bounding"][1]
    right = max(group["bounding"][0] + group["bounding"][2] for group in groups)
    down = max(group["bounding"][1] + group["bounding"][3] for group in groups)
    tall = max(note_height(note, beside) - BAR, 0) if beside else top - BAR - gap
    return Plan(places, groups, [0, BAR, beside or right, tall], (right, max(down, BAR + tall)), width)

"""A contact sheet of the face world: whom it shows, and what its factors do."""

import torch
from PIL import Image, ImageDraw, ImageFont

from ..media import gallery, images
from ..pocket import HELD_OUT, world

COLUMNS, SIDE, LABEL, GAP = 8, 128, 150, 4  # pictures; pixels
SWEEPS = {
    "smile": (-1, 1), "open": (0, 1), "brow": (-1, 1), "lid": (0, 1), "gaze_x": (-1, 1), "gaze_y": (-1, 1),
    "yaw": (-30, 30), "pitch": (-18, 18), "roll": (-8, 8), "light_x": (-1, 1),
}  # fmt: skip
CALM = {"lid": 0.9, "light_x": 0.1, "light_y": 0.4, "ambient": 0.5, "power": 0.6}  # of a sweep; all other factors 0


def rows() -> dict[str, world.Faces]:
    """Label -> the COLUMNS faces of a row: held-out people, photos of one of them, one factor from end to end."""
    first, scenes = HELD_OUT + 40, list(range(COLUMNS))
    repeated = [first + 20] * COLUMNS
    neutral = world.edited(world.sample(repeated, [3] * COLUMNS), **dict.fromkeys(world.FACTORS, 0.0) | CALM)
    by_label = {f"people {k * COLUMNS + 1}-{(k + 1) * COLUMNS}": _people(first + k * COLUMNS) for k in range(3)}
    by_label["photos of one person"] = world.sample(repeated, scenes)
    return by_label | {
        name: world.edited(neutral, **{name: torch.linspace(*ends, COLUMNS)}) for name, ends in SWEEPS.items()
    }


def _people(first: int) -> world.Faces:
    return world.sample(range(first, first + COLUMNS), range(first, first + COLUMNS))


def sheet() -> Image.Image:
    """The rows under one another, each behind its label."""
    by_label = rows()
    page = Image.new("RGB", (LABEL + COLUMNS * (SIDE + GAP), len(by_label) * (SIDE + GAP)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for i, (label, faces) in enumerate(by_label.items()):
        top = i * (SIDE + GAP)
        draw.text((LABEL - 8, top + SIDE / 2), label, font=font, fill="black", anchor="rm")
        for k, face in enumerate(world.render(faces, SIDE)):
            page.paste(images.to_pil(face), (LABEL + k * (SIDE + GAP), top))
    return page


def gallery_sheet(side: int = 192) -> Image.Image:
    """Everyone in the gallery, and all photos of some of them."""
    people = [gallery.photo(k).pixels for k in range(gallery.people())]
    for person in range(0, gallery.people(), 8):
        people += [gallery.photo(person, k).pixels for k in range(1, gallery.photos(person))]
    rows = -(-len(people) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (side + GAP), rows * (side + GAP)), "white")
    for i, pixels in enumerate(people):
        small = images.to_pil(images.resized(pixels, side))
        page.paste(small, (i % COLUMNS * (side + GAP), i // COLUMNS * (side + GAP)))
    return page

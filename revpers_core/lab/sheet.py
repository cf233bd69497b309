"""A contact sheet of the gallery."""

from PIL import Image

from ..media import gallery, images

COLUMNS, GAP = 8, 4  # pictures; pixels


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

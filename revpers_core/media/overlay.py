"""The faces that were found, drawn over the image and numbered."""

from collections.abc import Sequence

from PIL import ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from ..faces.face import Face
from . import images

SHOWN = 768
"""Longer side in pixels of what a box shows."""
COLOUR = (255, 196, 0)
TINT = (0.0, 0.8, 0.4)
"""Red, green and blue of what may have changed."""
TINTED = 0.3
"""How much of the colour lies over a picture where its mask is 1."""


def overlay(image: Tensor, faces: Sequence[Face]) -> Tensor:
    """The image (3, H, W) with box, points and number (1 for the first) of every face."""
    picture = images.to_pil(image)
    draw, unit = ImageDraw.Draw(picture), max(2, min(picture.size) // 300)
    for number, face in enumerate(faces, 1):
        draw.rectangle(face.box, outline=COLOUR, width=unit)
        for x, y in face.points.tolist():
            draw.ellipse((x - unit, y - unit, x + unit, y + unit), fill=COLOUR)
        font = ImageFont.load_default(size=max(12, round((face.box[3] - face.box[1]) / 5)))
        draw.text(face.box[:2], str(number), font=font, fill=COLOUR, stroke_width=unit, stroke_fill="black")
    return images.from_pil(picture)


def small(image: Tensor, longest: int = SHOWN) -> Tensor:
    """(3, H, W) with its longer side no longer than ``longest`` pixels."""
    scale = longest / max(image.shape[-2:])
    if scale >= 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return interpolate(image[None], size, mode="area")[0]


def tinted(image: Tensor, mask: Tensor) -> Tensor:
    """The image (3, H, W) under a colour where a mask (1, h, w) of any size, in [0, 1], is not black."""
    amount = TINTED * interpolate(mask[None].to(image), tuple(image.shape[-2:]), mode="area")[0]
    return image + amount * (image.new_tensor(TINT)[:, None, None] - image)

"""The main job on the embedded default, shown in one picture and a few numbers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .. import pocket
from ..media import images
from ..method.identity import cosine, null_identity
from ..method.trajectory import OnStep
from ..method.types import NoFaceError, Plan

if TYPE_CHECKING:
    from ..hosts.diffusers import ReversePersonalizationPipeline

PANEL, MARGIN, HEAD = 384, 12, 40  # pixels
PERSON = 9  # of the held-out people, unless a photo is given
GUIDANCE = -5.0
"""Half the paper's: the pocket's pictures break sooner than SDXL's."""
LABELS = ("input", "null-identity reconstruction", "anonymized")


class Demo(NamedTuple):
    """A picture of three panels, and what to print."""

    picture: Image.Image
    lines: list[str]


def run(
    pipeline: "ReversePersonalizationPipeline", plan: Plan, photo: Path | None = None, on_step: OnStep | None = None
) -> Demo:
    """A rendered held-out face, or the middle square of a photo (its result is marked), through the whole chain."""
    start = time.perf_counter()
    image = _input(photo, pipeline.size)[None]
    try:
        result = pipeline.anonymize(image, plan, on_step)
    except NoFaceError:
        raise NoFaceError(f"no face is seen in the middle of {photo or 'the rendered picture'}") from None
    null = pipeline.sample(result.trajectory, null_identity(1), plan, on_step)
    lines = [
        f"{plan.steps} steps, guidance {plan.guidance:g}: {pipeline.unet_evaluations} network evaluations, "
        f"{time.perf_counter() - start:.0f} s",
        f"null replay: {(null - result.reconstruction).abs().max():.1e} from the VAE's own picture at most",
        "likeness to the input, as the conditioning recogniser sees it (1 the same, 0 unrelated):",
        f"  null-identity reconstruction {_likeness(pipeline, image, null)}",
        f"  anonymized                   {_likeness(pipeline, image, result.image)}",
    ]
    if photo is None:
        lines += [
            f"  another photo of the person  {_likeness(pipeline, image, _face(PERSON, 1, pipeline.size))}",
            f"  a photo of somebody else     {_likeness(pipeline, image, _face(PERSON + 1, 0, pipeline.size))}",
        ]
    lines.append("The pocket model shows the machinery; it proves no anonymity.")
    anonymous = images.to_pil(result.image[0])
    panels = [
        images.to_pil(image[0]),
        images.to_pil(null[0]),
        anonymous if photo is None else images.watermarked(anonymous),
    ]
    return Demo(_sheet(panels), lines)


def _input(photo: Path | None, size: int) -> Tensor:
    if photo is None:
        return _face(PERSON, 0, size)[0]
    try:
        return images.resized(images.centre_square(images.read(photo)), size)
    except ValueError as error:
        raise ValueError(f"{photo}: {error}") from error


def _face(person: int, shot: int, size: int) -> Tensor:
    return pocket.held_out_face(person, shot, size)[None]


def _likeness(pipeline: "ReversePersonalizationPipeline", a: Tensor, b: Tensor) -> str:
    try:
        with torch.inference_mode():
            return f"{float(cosine(pipeline.embed(a), pipeline.embed(b))):.2f}"
    except NoFaceError:
        return "no face seen"


def _sheet(panels: list[Image.Image]) -> Image.Image:
    """The panels side by side under their labels."""
    width = len(panels) * (PANEL + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, HEAD + PANEL + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    for i, (panel, label) in enumerate(zip(panels, LABELS, strict=True)):
        left = MARGIN + i * (PANEL + MARGIN)
        sheet.paste(panel.resize((PANEL, PANEL), Image.Resampling.BICUBIC), (left, HEAD))
        draw.text((left + PANEL / 2, HEAD / 2), label, font=font, fill="black", anchor="mm")
    return sheet

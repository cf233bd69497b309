"""``revpers demo``: the pocket model at work, shown in one picture and a few numbers."""

import argparse
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..media import gallery, images
from ..method.identity import cosine, null_identity
from ..method.trajectory import OnStep
from ..method.types import NoFaceError, Plan
from .model import pipeline
from .options import run_options, settle_preset
from .terminal import progress

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


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("demo", help="the pocket model at work on a rendered face or a photo")
    parser.set_defaults(run=_run)
    parser.add_argument("--image", type=Path, help="a photo; its middle square is taken")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="DIR")
    run_options(parser, GUIDANCE)


def _run(args: argparse.Namespace) -> int:
    settle_preset(args)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed, at_once=args.at_once or 1)  # a null replay is exact then
    model = pipeline((None, None, None), torch.float32, "cpu")
    with progress(3 * plan.steps, "demo") as on_step:
        demo = demonstrate(model, plan, args.image, on_step)
    args.output.mkdir(parents=True, exist_ok=True)
    images.write_png(demo.picture, args.output / "demo.png")
    print(*demo.lines, f"picture: {args.output / 'demo.png'}", sep="\n")
    return 0


def demonstrate(
    model: "ReversePersonalizationPipeline", plan: Plan, photo: Path | None = None, on_step: OnStep | None = None
) -> Demo:
    """A rendered held-out face, or the middle square of a photo (its result is marked), through the whole chain."""
    start = time.perf_counter()
    image = _input(photo, model.size)[None]
    try:
        result = model.anonymize(image, plan, on_step)
    except NoFaceError:
        raise NoFaceError(f"no face is seen in the middle of {photo or 'the rendered picture'}") from None
    null = model.sample(result.trajectory, null_identity(1), plan, on_step)
    lines = [
        f"{plan.steps} steps, guidance {plan.guidance:g}: {model.unet_evaluations} network evaluations, "
        f"{time.perf_counter() - start:.0f} s",
        f"null replay: {(null - result.reconstruction).abs().max():.1e} from the VAE's own picture at most",
        "likeness to the input, as the conditioning recogniser sees it (1 the same, 0 unrelated):",
        f"  null-identity reconstruction {_likeness(model, image, null)}",
        f"  anonymized                   {_likeness(model, image, result.image)}",
    ]
    if photo is None:
        lines += [
            f"  another photo of the person  {_likeness(model, image, _face(PERSON, 1, model.size))}",
            f"  a photo of somebody else     {_likeness(model, image, _face(PERSON + 1, 0, model.size))}",
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
    return images.resized(images.centre_square(images.read(photo)), size)


def _face(person: int, shot: int, size: int) -> Tensor:
    return gallery.aligned_face(person, shot, size)[None]


def _likeness(model: "ReversePersonalizationPipeline", a: Tensor, b: Tensor) -> str:
    try:
        with torch.inference_mode():
            return f"{float(cosine(model.embed(a), model.embed(b))):.2f}"
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

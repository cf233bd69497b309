"""``revpers demo``: the pocket model at work, shown in one picture and a few numbers."""

import argparse
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..media import gallery, images
from ..method.identity import cosine, null_identity
from ..method.trajectory import OnStep
from ..method.types import Attribute, NoFaceError, Plan
from .model import pipeline
from .options import run_options, settle_preset
from .terminal import progress

if TYPE_CHECKING:
    from ..hosts.diffusers import ReversePersonalizationPipeline

PANEL, MARGIN, HEAD = 256, 12, 40  # pixels
PEOPLE = (14, 22, 8, 12)
"""Of the gallery, unless a photo is given."""
GUIDANCE, STEPS, SKIP = -4.0, 20, 0.5
"""Less guidance than the paper's, and less of the noise left out: the pocket's pictures break sooner than SDXL's."""
ASKED = Attribute(age="old", sex="woman")
LABELS = ("input", "null-identity reconstruction", "anonymized", "anonymized as old woman")


class Demo(NamedTuple):
    """A picture with a row of panels a person, and what to print."""

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
    if args.preset is None:
        args.steps = STEPS if args.steps is None else args.steps
        args.skip = SKIP if args.skip is None else args.skip
    settle_preset(args)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed, at_once=args.at_once or 1)  # a null replay is exact then
    model = pipeline((None, None, None), torch.float32, "cpu")
    with progress(5 * plan.steps, "demo") as on_step:
        demo = demonstrate(model, plan, args.image, on_step)
    args.output.mkdir(parents=True, exist_ok=True)
    images.write_png(demo.picture, args.output / "demo.png")
    print(*demo.lines, f"picture: {args.output / 'demo.png'}", sep="\n")
    return 0


def demonstrate(
    model: "ReversePersonalizationPipeline", plan: Plan, photo: Path | None = None, on_step: OnStep | None = None
) -> Demo:
    """Rendered held-out faces, or the middle square of a photo (its results are marked), through the whole chain."""
    start = time.perf_counter()
    inputs = _faces(PEOPLE, 0, model.size) if photo is None else _square(photo, model.size)
    try:
        result = model.anonymize(inputs, plan, on_step)
        asked = model.anonymize(inputs, replace(plan, attribute=ASKED), on_step).image  # which looks whether it changed
    except NoFaceError:
        raise NoFaceError(f"no face is seen in the middle of {photo or 'the rendered picture'}") from None
    null = model.sample(result.trajectory, null_identity(len(inputs)), plan, on_step)
    lines = [
        f"{plan.steps} steps, guidance {plan.guidance:g}: {model.unet_evaluations} network evaluations, "
        f"{time.perf_counter() - start:.0f} s",
        f"null replay: {(null - result.reconstruction).abs().max():.1e} from the VAE's own picture at most",
        "likeness to the input, as the conditioning recogniser sees it (1 the same, 0 unrelated):",
        f"  null-identity reconstruction {_likeness(model, inputs, null)}",
        f"  anonymized                   {_likeness(model, inputs, result.image)}",
        f"  anonymized as old woman      {_likeness(model, inputs, asked)}",
    ]
    if photo is None:
        others = _faces([person + 1 for person in PEOPLE], 0, model.size)
        lines += [
            f"  another photo of the person  {_likeness(model, inputs, _faces(PEOPLE, 1, model.size))}",
            f"  a photo of somebody else     {_likeness(model, inputs, others)}",
        ]
    lines.append("The pocket model shows the machinery; it proves no anonymity.")
    return Demo(
        _sheet([_row(panels, photo is not None) for panels in zip(inputs, null, result.image, asked, strict=True)]),
        lines,
    )


def _row(panels: Sequence[Tensor], real: bool) -> list[Image.Image]:
    """A person's panels; what was made of somebody real is marked."""
    before, after = [images.to_pil(panel) for panel in panels[:2]], [images.to_pil(panel) for panel in panels[2:]]
    return before + ([images.watermarked(panel) for panel in after] if real else after)


def _square(photo: Path, size: int) -> Tensor:
    return images.resized(images.centre_square(images.read(photo)), size)[None]


def _faces(people: Sequence[int], shot: int, size: int) -> Tensor:
    return torch.stack([gallery.aligned_face(person, shot, size) for person in people])


def _likeness(model: "ReversePersonalizationPipeline", before: Tensor, after: Tensor) -> str:
    """Of each picture (B, 3, S, S) to its input."""

    def one(a: Tensor, b: Tensor) -> str:
        try:
            with torch.inference_mode():
                return f"{float(cosine(model.embed(a[None]), model.embed(b[None]))):.2f}"
        except NoFaceError:
            return "no face seen"

    return ", ".join(one(a, b) for a, b in zip(before, after, strict=True))


def _sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """The panels of a row side by side, under their labels."""
    step = PANEL + MARGIN
    sheet = Image.new("RGB", (len(LABELS) * step + MARGIN, HEAD + len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=17)
    for i, label in enumerate(LABELS):
        draw.text((MARGIN + i * step + PANEL / 2, HEAD / 2), label, font=font, fill="black", anchor="mm")
    for k, panels in enumerate(rows):
        for i, panel in enumerate(panels):
            sheet.paste(panel.resize((PANEL, PANEL), Image.Resampling.BICUBIC), (MARGIN + i * step, HEAD + k * step))
    return sheet

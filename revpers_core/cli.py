"""The command ``revpers``: ``anonymize`` for pictures, ``demo`` to see the machinery at work."""

import argparse
import json
import os
import secrets
import sys
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import demo, images
from .identity import similarity
from .schedule import PAPER_SKIP, PAPER_STEPS, timesteps
from .trajectory import OnStep
from .types import PAPER_GUIDANCE, Attribute, Identity, NoFaceError, Plan

if TYPE_CHECKING:
    from .hosts.diffusers import ReversePersonalizationPipeline

FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ImportError)
"""What a user's file, model or machine can cause: told in a sentence. Anything else is a bug and may show itself."""
UNVERIFIED = "unverified"
"""The verdict while only the recogniser that steered the run has looked at its result."""


@dataclass(frozen=True)
class Job:
    """What is the same for every picture of a call."""

    pipeline: "ReversePersonalizationPipeline"
    plan: Plan
    settings: dict[str, Any]
    is_pocket: bool
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 when all went well, 1 when any picture failed, 2 for wrong usage."""
    args = _parser().parse_args(arguments)
    _quiet()
    try:
        with torch.inference_mode():
            return args.run(args)
    except FAILURES as error:
        return _complain(error)
    except KeyboardInterrupt:
        return 130


def _anonymize(args: argparse.Namespace) -> int:
    timesteps(args.steps, args.skip)  # refuses impossible runs before the model is loaded
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"{args.output} is a file: name a folder to write into")
    job = _job(args)
    job.folder.mkdir(parents=True, exist_ok=True)
    taken: set[Path] = {path.resolve() for path in args.images}
    code = 0
    for path in args.images:
        output = job.folder / f"{path.stem}_anonymous.png"
        try:
            if output.resolve() in taken:
                raise ValueError(f"its output {output} would overwrite another picture of this call: run it apart")
            record = _one(job, path, output)
            taken.add(output.resolve())
        except FAILURES as error:
            code = _complain(error, path)
            continue
        print(json.dumps(record) if args.json else _sentence(record), flush=True)
    return code


def _one(job: Job, path: Path, output: Path) -> dict[str, Any]:
    """One picture, from file to file; returns its record."""
    start, before = time.perf_counter(), job.pipeline.unet_evaluations
    image = square(images.read(path))
    image = images.resized(image, job.pipeline.size)[None]
    with progress(2 * job.plan.steps, path.name) as on_step:
        result = job.pipeline.anonymize(image, job.plan, on_step)
    record = {
        "image": str(path),
        "output": str(output),
        "unet_evaluations": job.pipeline.unet_evaluations - before,
        "seconds": round(time.perf_counter() - start, 2),
        "similarity_null": likeness(job.pipeline, result.source, result.reconstruction),
        "similarity_after": likeness(job.pipeline, result.source, result.image),
        "verdict": UNVERIFIED,
        "settings": job.settings,
    }
    picture = images.picture(result.image[0])
    images.write_png(images.marked(picture) if job.is_pocket else picture, output)
    return record


def square(image: Tensor) -> Tensor:
    """The picture (3, S, S), or ValueError where it is not square."""
    height, width = image.shape[-2:]
    if height != width:
        raise ValueError(
            f"it is {width} x {height} pixels, but the input must be an aligned square crop of one face: "
            "crop it to a square with the upright face in its middle, chin to hairline about two thirds of the side"
        )
    return image


def likeness(pipeline: "ReversePersonalizationPipeline", source: Identity, image: Tensor) -> float | None:
    """Cosine similarity of a picture (1, 3, S, S) to the source, to 4 digits; None where no face is seen in it."""
    try:
        return round(float(similarity(source, pipeline.embed(image))), 4)
    except NoFaceError:
        return None


def _job(args: argparse.Namespace) -> Job:
    files = (args.model, args.adapter, args.face_model)
    if any(files) and not all(files):
        raise ValueError("--model, --adapter and --face-model belong together: give all three, or none for the pocket")
    attribute = Attribute(args.age, args.sex, args.look, args.text)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed, attribute)
    said = {name: getattr(args, name) for name in ("age", "sex", "look", "text")}
    settings = {"model": args.model.name if args.model else "pocket", "steps": args.steps, "skip": args.skip}
    settings |= {"guidance": args.guidance, "dtype": args.dtype, **{k: v for k, v in said.items() if v}}
    if args.seed is not None:
        settings["seed"] = args.seed  # a drawn one is not told: it helps to undo the run
    return Job(pipeline(files, args.dtype, args.device), plan, settings, not any(files), args.output)


def pipeline(files: Sequence[Path | None], dtype: str, device: str) -> "ReversePersonalizationPipeline":
    """From (checkpoint, adapter, recogniser), or the pocket model where they are None."""
    try:
        from .hosts.diffusers import ReversePersonalizationPipeline as Pipeline
        from .hosts.diffusers_files import quiet
    except ImportError as error:
        raise ImportError(f"diffusers is needed ({error}): pip install revpers[diffusers]") from error
    quiet()
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device!r} cannot be used here: {error}") from error
    checkpoint, adapter, face_model = files
    kind: torch.dtype = getattr(torch, dtype)
    if checkpoint is None or adapter is None or face_model is None:
        return Pipeline.from_pocket(dtype=kind, device=device)
    return Pipeline.from_single_file(checkpoint, adapter, face_model, dtype=kind, device=device)


@contextmanager
def progress(total: int, name: str) -> Generator[OnStep]:
    """A bar on the terminal (none where there is no terminal); yields what the pipeline tells its steps to."""
    from tqdm import tqdm

    with tqdm(total=total, desc=name, unit="step", leave=False, disable=not sys.stderr.isatty()) as bar:

        def on_step(k: int, x0: Tensor, x: Tensor) -> None:
            bar.update()

        yield on_step


def _sentence(record: dict[str, Any]) -> str:
    def digits(value: float | None) -> str:
        return "no face seen" if value is None else f"{value:.2f}"

    return (
        f"{record['image']} -> {record['output']}: likeness to the source {digits(record['similarity_after'])} "
        f"(of the untouched reconstruction {digits(record['similarity_null'])}), {record['verdict']}, "
        f"{record['seconds']:.0f} s"
    )


def _complain(error: BaseException, path: Path | None = None) -> int:
    what = " ".join(str(error).split()) or type(error).__name__
    print(f"revpers: {path}: {what}" if path else f"revpers: {what}", file=sys.stderr)
    return 1


def _quiet() -> None:
    """Libraries keep their remarks to themselves, and never look at the network."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", DIFFUSERS_VERBOSITY="error")
    warnings.filterwarnings("ignore")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="revpers", description="Face anonymization by reverse personalization.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("anonymize", help="aligned square crops of one face each, made into somebody else")
    one.set_defaults(run=_anonymize)
    one.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    one.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NAME_anonymous.png go")
    one.add_argument("--json", action="store_true", help="one JSON line an image")
    files = one.add_argument_group(
        "model", "local files; without them the pocket model, which only shows the machinery"
    )
    files.add_argument("--model", type=Path, help="SDXL checkpoint, e.g. sd_xl_base_1.0.safetensors")
    files.add_argument("--adapter", type=Path, help="ip-adapter-faceid_sdxl.bin")
    files.add_argument("--face-model", type=Path, help="ArcFace recogniser (ONNX), e.g. w600k_r50.onnx")
    files.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="the network's")
    files.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    words = one.add_argument_group("who the new face may look like")
    for name in ("age", "sex", "look", "text"):
        words.add_argument(f"--{name}", default="", metavar="WORDS")
    _run_options(one)
    show = commands.add_parser("demo", help="the pocket model at work on a rendered face or a photo")
    show.set_defaults(run=_demo)
    show.add_argument("--image", type=Path, help="a photo; its middle square is taken")
    show.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="DIR")
    _run_options(show)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    run = parser.add_argument_group("run")
    run.add_argument("--guidance", type=float, default=PAPER_GUIDANCE, help="below 0 leads away (default %(default)s)")
    run.add_argument("--steps", type=int, default=PAPER_STEPS, help="per phase (default %(default)s)")
    run.add_argument("--skip", type=float, default=PAPER_SKIP, help="part of the noise left out (default %(default)s)")
    run.add_argument("--seed", type=int, help="0 or more; drawn and not told unless given")


def _demo(args: argparse.Namespace) -> int:
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed)
    model = pipeline((None, None, None), "float32", "cpu")
    with progress(3 * plan.steps, "demo") as on_step:
        shown = demo.run(model, plan, args.image, on_step)
    args.output.mkdir(parents=True, exist_ok=True)
    images.write_png(shown.picture, args.output / "demo.png")
    print(*shown.lines, f"picture: {args.output / 'demo.png'}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

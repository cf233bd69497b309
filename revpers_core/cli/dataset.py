"""``revpers dataset``: anonymize a folder, parquet files or webdataset shards in one process, in several, or on Ray."""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..datasets.checkpoints import Checkpoints, read_secret, settings_hash
from ..datasets.encode import FORMATS, Encoder
from ..datasets.engine_ray import OnRay, ray_modules
from ..datasets.engines import Engine, Processes, run_here
from ..datasets.folders import versions
from ..datasets.records import Block, Columns, blocks_of
from ..datasets.run import KINDS, Progress, open_sink, open_source, run_blocks, summary
from ..datasets.task import AnonymizeTask
from ..faces import registry
from ..method.students import visited
from . import identity_options
from .anonymize import load_job, other_settings, photo_options, run_settings, settle_detector
from .marks import mark_of
from .options import check_model_files, settle_preset
from .terminal import quiet

NAMES = (registry.CENTERFACE, registry.DLIB, registry.POCKET)
ENGINES = ("local", "processes", "ray")


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("dataset", help="anonymize a data set: a folder, parquet files or webdataset shards")
    parser.set_defaults(run=anonymize_dataset)
    parser.add_argument("input", type=Path, metavar="INPUT", help="a folder of pictures, parquet files or tar shards")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR",
        help="where the same kind of data set goes; a run that was stopped goes on there",
    )  # fmt: skip
    input_options(parser)
    engine_options(parser)
    out = parser.add_argument_group("output")
    out.add_argument("--format", choices=tuple(FORMATS), default="png", help="of the pictures (default %(default)s)")
    out.add_argument(
        "--layout", choices=("same", "fdeid"), default="same",
        help="of a folder: as the input's, or FDeID-Toolbox's data/ and config.yaml (take --format jpg for LFW)",
    )  # fmt: skip
    out.add_argument(
        "--carry", action="append", default=[], metavar="COLUMN",
        help="a column that goes into the output as it is; none do unless asked for: a caption may tell who it was",
    )  # fmt: skip
    secret_option(out)
    out.add_argument("--retry-failed", action="store_true", help="do blocks again in which a row failed")
    out.add_argument("--json", action="store_true", help="the summary as one JSON line")
    photo_options(parser)


def secret_option(parser: Any) -> None:
    """Add the option by which two runs give the same results."""
    parser.add_argument(
        "--secret", type=Path, metavar="FILE",
        help="what every row's seed is made of (HMAC); drawn where there is no such file. Without, it lies beside the "
        "output until the run is done",
    )  # fmt: skip


def input_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a data set's columns."""
    columns = parser.add_argument_group("input")
    columns.add_argument("--kind", choices=KINDS, default="auto", help="of the input (default: by what lies there)")
    for role, content in (
        ("image", "the files' bytes"),
        ("id", "of a row, unlike any other's"),
        ("boxes", "known faces, [x0, y0, x1, y1] each, in pixels or in shares of the sides"),
        ("keep", "boxes of faces that stay as they are"),
        ("words", "who the new faces may look like"),
    ):
        columns.add_argument(f"--{role}-column", default="", metavar="NAME", help=content)


def engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the work is done."""
    engine = parser.add_argument_group("engine")
    engine.add_argument("--engine", choices=ENGINES, default="local", help="where rows are worked on (default local)")
    engine.add_argument("--workers", type=int, default=0, metavar="N", help="a model each (default: as many as fit)")
    engine.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster (default: one on this machine)")
    engine.add_argument("--gpus", type=float, metavar="SHARE", help="of a GPU for each Ray worker, such as 0.5")
    engine.add_argument("--cpus", type=float, default=1.0, metavar="N", help="for each Ray worker (default 1)")
    engine.add_argument("--block-rows", type=int, default=32, metavar="N", help="rows that are written together "
                        "(default %(default)s)")  # fmt: skip
    engine.add_argument("--threads", type=int, default=1, metavar="N", help="of each worker on a CPU (default 1)")


def columns_of(args: argparse.Namespace) -> Columns:
    named = {role: getattr(args, f"{role}_column") for role in ("image", "id", "boxes", "keep", "words")}
    return Columns(**named, carry=tuple(dict.fromkeys(getattr(args, "carry", ()))))


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine that was asked for. Raises ImportError where Ray is missing."""
    if args.threads < 1:
        raise ValueError(f"threads must be 1 or more, got {args.threads}")
    if args.engine != "ray" and (args.address or args.gpus is not None):
        raise ValueError("--address and --gpus are for --engine ray")
    if args.engine == "processes":
        gpus = torch.cuda.device_count() if args.device == "cuda" else 0
        return Processes(args.workers or gpus or os.cpu_count() or 1, gpus)
    if args.engine == "ray":
        ray_modules()  # says what to install before anything is read
        gpus = args.gpus if args.gpus is not None else float(args.device.startswith("cuda"))
        return OnRay(args.address, args.workers, args.cpus, gpus)
    if args.workers > 1:
        raise ValueError("one process is one worker: take --engine processes or --engine ray for more")
    return run_here


def _absolute(args: argparse.Namespace) -> None:
    """Paths as workers see them, who may start in another folder."""
    for name in ("input", "output", "secret", "model", "adapter", "face_model", "certificate", "private_key"):
        if getattr(args, name):
            setattr(args, name, getattr(args, name).resolve())
    args.keep = [path.resolve() for path in args.keep]
    args.lora = [lora._replace(path=lora.path.resolve()) for lora in args.lora]
    for name in ("detector", "judge", "instead"):
        named: list[str] = getattr(args, name) or []
        setattr(args, name, [_whole_path(name_or_path) for name_or_path in named])


def _whole_path(name: str) -> str:
    return str(Path(name).resolve()) if name not in NAMES and Path(name).exists() else name


def load_quietly(args: argparse.Namespace) -> Any:
    """Load the job in a worker; libraries keep their remarks to themselves there too."""
    quiet()
    return load_job(args)


def anonymize_dataset(args: argparse.Namespace) -> int:
    """The command, by its options. Exit code 1 where a row failed."""
    settle_preset(args)
    visited(args.student, args.steps, args.skip)  # refuses impossible runs before anything is read
    if args.seed is not None:
        raise ValueError("--seed would tell how to undo rows: each has one of its own, made from --secret and its id")
    if args.person is not None or args.pseudonyms is not None:
        raise ValueError(
            "--person and --pseudonyms are not for data sets, whose rows depend on no other: each row's strangers are "
            "made from --secret and its id; for the same stranger in every picture take revpers anonymize"
        )
    identity_options.check(args)
    check_model_files(args)
    settle_detector(args)
    _absolute(args)
    source = open_source(args.input, columns_of(args), args.kind, args.output)
    engine, points, encode = engine_of(args), Checkpoints(args.output), Encoder(args.format, mark_of(args))
    settings = run_settings(args) | other_settings(args)
    settings |= {"kind": source.kind, "format": args.format, "layout": args.layout, "threads": args.threads}
    settings |= {"columns": vars(columns_of(args)), "block_rows": args.block_rows}
    labels = {"settings_hash": settings_hash(settings), "version": versions().get("revpers", "")}
    blocks = blocks_of(source, args.block_rows)
    sink = open_sink(source, args.output, encode.suffix, labels, args.layout == "fdeid")
    points.begin(settings)
    secret = args.secret or args.output.with_name(f"{args.output.name}.secret")
    task = AnonymizeTask(
        source, sink, args.output, partial(load_quietly, args), encode, read_secret(secret), args.threads
    )
    try:
        progress = run_blocks(engine, task, sink, blocks, points, _say, args.retry_failed)
    finally:
        if args.layout == "fdeid":
            _fdeid_config(args, blocks)
    if not args.secret:
        secret.unlink(missing_ok=True)  # nobody can draw the same seeds again
    print(json.dumps(summary(progress)) if args.json else f"{progress}: {args.output}")
    for reason, count in [] if args.json else progress.reasons.most_common(5):
        print(f"  {count:,} failed: {reason}", file=sys.stderr)
    return 1 if progress.failed else 0


def _say(progress: Progress) -> None:
    print(f"revpers: {progress}", file=sys.stderr, flush=True)


def _fdeid_config(args: argparse.Namespace, blocks: list[Block]) -> None:
    """The config.yaml that FDeID-Toolbox's evaluation reads beside data/."""
    settings = {"steps": args.steps, "skip": args.skip, "guidance": args.guidance}
    lines = ["method_type: generative", "method_name: reverse_personalization", "parameters:"]
    lines += [f"  {name}: {value}" for name, value in settings.items()]
    lines += ["statistics:", f"  total_images: {sum(len(block.rows) for block in blocks)}"]
    (args.output / "config.yaml").write_text("\n".join(lines) + "\n")

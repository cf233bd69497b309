"""``revpers pocket train|check|gallery`` and ``revpers curve``: the laboratory on the command line."""

import argparse
import csv
from pathlib import Path
from typing import Any

import torch

from ..faces import recognise
from ..lab import distil, tables, train
from ..lab.evaluation import OBEYED, PRESERVED
from ..lab.tables import table
from ..method.types import Plan
from ..metrics.interval import Estimate
from ..pocket import FACE_MODEL, GALLERY
from . import lab_options
from .model import pipeline


def add(commands: Any) -> None:
    """Register the commands with the parser's subcommands."""
    pocket = commands.add_parser("pocket", help="the embedded model: train, check, see").add_subparsers(required=True)
    training = pocket.add_parser("train", help="train it stage by stage; resumes")
    training.set_defaults(run=_train)
    train.options(training)
    student = pocket.add_parser("distil", help="teach it to run in few steps, as a LoRA; resumes")
    student.set_defaults(run=_distil)
    distil.options(student)
    check = pocket.add_parser("check", help="measure its gates on held-out people; exit code 1 where one fails")
    check.set_defaults(run=_check)
    check.add_argument("--people", type=int, default=64, help="for the slow gates (default %(default)s)")
    lab_options.add_world(check)
    check.add_argument("-o", "--output", type=Path, metavar="DIR", help="where gates.json and gates.md go")
    gallery_parser = pocket.add_parser(
        "gallery", help="the rendered people that ship: a contact sheet, and their photos"
    )
    gallery_parser.set_defaults(run=_gallery)
    gallery_parser.add_argument("-o", "--output", type=Path, default=Path("gallery.jpg"), metavar="FILE")
    gallery_parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="also copy all photos, group photos and clips there"
    )
    curve = commands.add_parser("curve", help="privacy and preservation over guidance, as table and plot")
    curve.set_defaults(run=_curve)
    lab_options.add_world(curve, judge=False)  # which `cli.curve` adds, with the option of photos
    curve.add_argument("--people", type=int, default=64, help="held-out people (default %(default)s)")
    curve.add_argument("--steps", type=int, default=20, help="per phase (default %(default)s)")
    curve.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    curve.add_argument("-o", "--output", type=Path, default=Path("curve"), metavar="DIR")


def _train(args: argparse.Namespace) -> int:
    train.run(args)
    return 0


def _distil(args: argparse.Namespace) -> int:
    reached = distil.run(args)
    print(f"{args.output} after {reached} steps")
    return 0


def _check(args: argparse.Namespace) -> int:
    from ..lab.check import Examiners, Gate, gates
    from ..lab.real_nets import find_detector

    by = Examiners(lab_options.judges(args), find_detector(), recognise.load(FACE_MODEL))
    if by.detector is None:
        print("CENTERFACE IS NOT THERE, AND WAS NOT ASKED: `make judges` fetches it", flush=True)
    measured: list[Gate] = []
    model = pipeline((None, None, None), torch.float32, "cpu")
    for gate in gates(model, lab_options.album(args), lab_options.crowd(args), by):
        print(gate, flush=True)
        measured.append(gate)
    failed = sum(not gate.passed for gate in measured)
    verdict = f"{failed} of {len(measured)} gates failed" if failed else "every gate passed"
    print(verdict)
    if args.output:
        command = f"revpers pocket check --people {args.people} {lab_options.flags(args)} -o docs"
        rows = [(gate.name, f"{gate.value:.4g}", gate.wanted, "ok" if gate.passed else "FAIL") for gate in measured]
        text = f"# Gates of the pocket model\n\n`{command}`\n\nOn held-out people: {verdict}.\n\n"
        text += table(("gate", "measured", "wanted", ""), rows)
        tables.write(args.output, "gates", command, [gate._asdict() for gate in measured], text)
    return bool(failed)


def _gallery(args: argparse.Namespace) -> int:
    from ..lab.sheet import gallery_sheet

    gallery_sheet().save(args.output, quality=88)
    print(f"contact sheet: {args.output}")
    if args.photos:
        args.photos.mkdir(parents=True, exist_ok=True)
        files = sorted(GALLERY.iterdir())
        for path in files:
            (args.photos / path.name).write_bytes(path.read_bytes())
        print(f"{len(files)} files: {args.photos} (gallery.json says what is known of each)")
    return 0


def _curve(args: argparse.Namespace) -> int:
    from ..lab.evaluation import curve

    args.output.mkdir(parents=True, exist_ok=True)
    model, plan = pipeline((None, None, None), torch.float32, "cpu"), Plan(args.steps, args.skip)
    rows: list[dict[str, Any]] = []
    for row in curve(lab_options.crowd(args), model, lab_options.judges(args), plan):
        rows.append(row)
        summary = ", ".join(
            f"{key} {value}" for key, value in row.items() if key in ("auc", "rank1", "r_yaw", "r_smile")
        )
        print(
            row["judge"], row["method"], "" if row["guidance"] is None else f"{row['guidance']:+g}", summary, flush=True
        )
    write(rows, args.output, args)
    print(f"tables and plot: {args.output}")
    return 0


SHOWN = ("auc", "rank1", *(f"r_{name}" for name in PRESERVED), "distance")


def write(rows: list[dict[str, Any]], folder: Path, args: argparse.Namespace) -> None:
    """curve.json and curve.csv (all figures), curve.md (most of them) and curve.png."""
    command = (
        f"revpers curve {lab_options.flags(args)} --people {args.people} --steps {args.steps} --skip {args.skip:g} "
        "-o docs/curve"
    )
    text = (
        f"# Privacy and preservation over guidance, on the pocket model\n\n`{command}`\n\n"
        f"{lab_options.ABOUT[args.world]}: {args.people}; no judge took part. 95% intervals: bootstrap by image, "
        "Wilson's for shares.\n\n![plot](curve.png)\n\n## Do the judges still know them, and do the factors stay?\n\n"
        f"AUC: the person's other photo against everyone else's, chance .50. Rank 1 in a gallery of all {args.people}, "
        f"chance {1 / args.people:.3f}. r: correlation of the factor that is read with the true one. Distance: mean "
        "difference of pixels, 0 to 1.\n\n"
    )
    text += table(("method", "guidance", "judge", *(name.removeprefix("r_") for name in SHOWN)), [
        (row["method"], _signed(row["guidance"]), row["judge"], *(row[name] for name in SHOWN)) for row in rows
    ])  # fmt: skip
    text += "\n## Are the words obeyed?\n\nWords that do not fit the person, read off the results by regressors.\n\n"
    text += table(("guidance", *(f"{name}, chance {chance:.2f}" for name, chance in OBEYED.items())), [
        (_signed(row["guidance"]), *(row[f"obeyed_{name}"] for name in OBEYED))
        for row in rows if "obeyed_age" in row and row["judge"] == rows[0]["judge"]
    ])  # fmt: skip
    tables.write(folder, "curve", command, rows, text)
    flat = [
        {
            name: value
            for key, v in row.items()
            for name, value in (
                {key: v.value, f"{key}_low": v.low, f"{key}_high": v.high} if isinstance(v, Estimate) else {key: v}
            ).items()
        }
        for row in rows
    ]
    with (folder / "curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in flat for key in row)))
        writer.writeheader()
        writer.writerows(flat)
    plot(rows, args.people).savefig(folder / "curve.png", dpi=120)


def _signed(guidance: float | None) -> str:
    return "" if guidance is None else f"{guidance:+g}"


def plot(rows: list[dict[str, Any]], people: int) -> Any:
    """Privacy on the left, a colour a judge; what stays on the right, over guidance; shades are 95% intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    privacy, stays = figure.subplots(1, 2)
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    lines = [(privacy, judge, name) for judge in judges for name in ("auc", "rank1")]
    lines += [(stays, judges[0], name) for name in ("r_yaw", "r_smile", "r_gaze_x", "r_light_x")]
    for k, (axes, judge, name) in enumerate(lines):
        label = f"{name}, {judge}" if axes is privacy else name
        for method, style in (("ours", "-"), ("wrong identity", "--")):
            curve_rows = [row for row in rows if (row["method"], row["judge"]) == (method, judge)]
            points = sorted(curve_rows, key=lambda row: row["guidance"])
            x = [row["guidance"] for row in points]
            axes.plot(x, [row[name].value for row in points], style, color=f"C{k}", label=f"{label} ({method})")
            if method == "ours":
                low, high = [row[name].low for row in points], [row[name].high for row in points]
                axes.fill_between(x, low, high, color=f"C{k}", alpha=0.15)
    privacy.axhline(0.5, color="grey", lw=0.8)
    privacy.axhline(1 / people, color="grey", lw=0.8, ls=":")
    for axes, title in ((privacy, "do judges still know them?"), (stays, "do the factors stay?")):
        axes.set(title=title, xlabel="guidance")
        axes.invert_xaxis()
        axes.legend(fontsize=6)
    return figure

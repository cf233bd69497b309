"""``revpers curve --photos``: privacy over guidance on people of one's own."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..faces import registry
from ..lab.photo_curve import curve, plot, read_people
from ..lab.real_nets import FR_FEATURE, USUAL
from ..lab.tables import table, write
from ..method.types import Plan
from .options import JUDGES, check_model_files, load_judges, load_model, load_search, model_options, search_options


def add(commands: Any) -> None:
    """Give ``curve``, which draws people of the face world, the option of photos."""
    parser: argparse.ArgumentParser = commands.choices["curve"]
    of_world: Callable[[argparse.Namespace], int] = parser.get_default("run")

    def run(args: argparse.Namespace) -> int:
        return _run(args) if args.photos else of_world(args)

    parser.set_defaults(run=run)
    parser.add_argument("--photos", type=Path, metavar="DIR", help="people of your own instead, by sub-folder")
    parser.add_argument("--crops", action="store_true", help="these photos are aligned crops with one face each")
    parser.add_argument(
        "--judge", action="append", metavar=f"{FR_FEATURE}|{JUDGES}",
        help=f"who judges; repeatable (default dlib for --photos, else {', '.join(USUAL)}, those that are there)",
    )  # fmt: skip
    model_options(parser)
    search_options(parser)


def _run(args: argparse.Namespace) -> int:
    check_model_files(args)
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    search, judges = load_search(args), load_judges(args.judge or ["dlib"])
    model = load_model(args)
    people = read_people(args.photos, model.size, search)
    plan, rows = Plan(args.steps, args.skip), list[dict[str, Any]]()
    for row in curve(people, model, judges, plan, search):
        rows.append(row)
        at = "" if row["guidance"] is None else f" {row['guidance']:+g}"
        print(f"{row['judge']}: {row['method']}{at}: AUC {row['auc']}, rank 1 {row['rank1']}", flush=True)
    about = f"# Privacy over guidance on {len(people)} people\n\nChance: AUC .50, rank 1 {1 / len(people):.3f}.\n\n"
    command = f"revpers curve --photos DIR --steps {args.steps} --skip {args.skip:g}"
    write(args.output, "curve", command, rows, about + table(list(rows[0]), [list(row.values()) for row in rows]))
    plot(rows, len(people)).savefig(args.output / "curve.png", dpi=120)
    print(f"table and plot: {args.output / 'curve.md'}, .json and .png")
    return 0

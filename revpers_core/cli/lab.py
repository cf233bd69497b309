"""``revpers attacks`` and ``revpers baselines``: the tables under docs/, each made by one command."""

import argparse
from pathlib import Path
from typing import Any

import torch

from ..faces import detect, recognise
from ..lab import steps
from ..lab.attacks import FAR, FPIR, STRANGERS, Eyes, attacks, confirmed, groups, searches, telling_files
from ..lab.laboratory import People
from ..lab.methods_compared import compare_methods
from ..lab.people import FIRST, HeldOutPeople, anonymize_people, seeded
from ..lab.tables import table, write
from ..method.types import Plan
from ..metrics.interval import Estimate
from ..pocket import DETECTOR, FACE_MODEL, JUDGE, world
from .model import pipeline

WORDS = {"age": world.AGES, "sex": world.SEXES, "skin": world.SKINS}
LABELS = {"auc": "AUC", "rank1": "rank 1", "r_smile": "smile", "r_open": "mouth", "r_gaze_x": "gaze", "r_yaw": "yaw"}
SHOWN = (
    "auc",
    "rank1",
    "found_last",
    "face_found",
    "r_yaw",
    "r_smile",
    "r_open",
    "r_gaze_x",
    "ssim_outside",
    "frechet",
)
SEARCHED = (
    f"Among another photo of everyone; thresholds from {STRANGERS} people who are not in that gallery. FNIR: the "
    "person is not the first above the threshold.\n"
)
ABOUT = (
    "Rendered, held-out people of the pocket world; judge B took no part in the anonymization; 95% intervals "
    "(bootstrap by person, Wilson's for rates). The pocket model is a miniature: the table shows what an attack or a "
    "method does, not how anonymous SDXL's results are.\n"
)


def add(commands: Any) -> None:
    """Register the commands with the parser's subcommands."""
    attack = commands.add_parser("attacks", help="what attackers get out of the results, as a table")
    attack.set_defaults(run=_attacks)
    _options(attack, 60)
    compared = commands.add_parser("baselines", help="blur, inpainting and other methods beside this one, as a table")
    compared.set_defaults(run=_baselines)
    _options(compared, 60)

    study = commands.add_parser("steps", help="what fewer evaluations of the network cost, as a table and a plot")
    study.set_defaults(run=_steps)
    _options(study, 60, steps=100)


def _options(parser: argparse.ArgumentParser, people: int, steps: int = 10) -> None:
    parser.add_argument("--world", choices=("pocket",), default="pocket", help="whose faces")
    parser.add_argument("--people", type=int, default=people, help="held-out people (default %(default)s)")
    parser.add_argument("--steps", type=int, default=steps, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-6.0, help="below 0 (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _attacks(args: argparse.Namespace) -> int:
    crowd, plan, ports = HeldOutPeople(args.people), _plan(args), pipeline((None, None, None), torch.float32, "cpu")
    eyes = Eyes(recognise.load(JUDGE), recognise.load(FACE_MODEL))
    made = anonymize_people(ports, crowd.photo(0), seeded(plan, 1))
    rows: list[dict[str, Any]] = []
    for row in attacks(crowd, made, ports, eyes, plan):
        rows.append({"attack": row.attack, "knows": row.knows, **vars(row.found)})
        print(f"{row.attack}: AUC {row.found.auc}, rank 1 {row.found.rank1} of {row.found.people}", flush=True)
    rates = {
        "confirmation": ("photo, settings and seed", confirmed(crowd, made, ports, plan)),
        "metadata": ("the file", telling_files(crowd.photo(0)[:20])),
    }
    found, searched = groups(crowd, made, eyes.judge, WORDS), searches(crowd, made, eyes.judge)
    command = _command("attacks", args)
    text = f"# Attacks on the pocket world\n\n`{command}`\n\n{ABOUT}\n"
    text += table(
        ("attack", "the attacker has", "AUC (chance 0.50)", "rank 1", "rank 5", "rank 1 by chance"),
        [
            (row["attack"], row["knows"], row["auc"], row["rank1"], row["rank5"], 1 / row["people"])
            for row in rows
        ],
    )  # fmt: skip
    text += (
        "\nAn AUC well below .50 is no privacy either: ranking by the least alike (anti-match) then finds the person.\n"
    )
    text += "\n" + table(
        ("attack", "the attacker has", "share that works (chance 0)"),
        [(name, knows, rate) for name, (knows, rate) in rates.items()],
    )
    text += f"\n## Verification and open-set search\n\n{SEARCHED}\n"
    text += table(
        ("searched for", f"TAR at FAR {FAR:g} (chance {FAR:g})", f"FNIR at FPIR {FPIR:g} (1 is privacy)"), searched
    )
    text += (
        "\n## By attribute group\n\nAUC among people of one attribute value only, so that it cannot help; photos and "
        "results. Few people a group make wide intervals.\n\n"
    )
    text += table(("group", "people", "photo", "result"), found)
    more = [{"attack": name, "knows": knows, "rate": rate} for name, (knows, rate) in rates.items()]
    write(args.output, "attacks", command, [*rows, *more, *(one._asdict() for one in (*searched, *found))], text)
    return _told(args, "attacks")


def _baselines(args: argparse.Namespace) -> int:
    people, plan = People(args.people, first=FIRST), _plan(args)
    ports, rows = pipeline((None, None, None), torch.float32, "cpu"), list[dict[str, Any]]()
    for name, row in compare_methods(people, ports, recognise.load(JUDGE), plan, detect=detect.load(DETECTOR, "cpu")):
        rows.append({"method": name, **row})
        print(f"{name}: AUC {row['auc']}, yaw {row['r_yaw']}, smile {row['r_smile']}", flush=True)
    command = _command("baselines", args)
    text = f"# Methods side by side on the pocket world\n\n`{command}`\n\n{ABOUT}\n"
    heads = ["method", *(LABELS.get(name, name.replace("_", " ")) for name in SHOWN)]
    text += table(heads, [[row["method"], *(_shown(row[name]) for name in SHOWN)] for row in rows])
    text += (
        "\nAUC: the person's other photo against everyone else's (chance .50; lower is overshoot). Rank 1, found last: "
        f"the person's photo is the most, the least alike of {args.people} (chance {1 / args.people:.2f}). Face "
        "found: by the pocket detector; the judge is shown the face's place in any case, so that none is missed. Yaw, "
        "smile, mouth and gaze: correlation with the truth. SSIM outside the face; all but blur and pixelation pay the "
        "VAE. Frechet: of the judge's features against other photos', no FID.\n"
    )
    write(args.output, "baselines", command, rows, text)
    return _told(args, "baselines")


def _steps(args: argparse.Namespace) -> int:
    people, ports = People(args.people, first=2 * FIRST), pipeline((None, None, None), torch.float32, "cpu")
    rows: list[dict[str, Any]] = []
    for row in steps.table(people, ports, recognise.load(JUDGE), _plan(args), lambda: ports.unet_evaluations):
        rows.append(row)
        print(f"{row['evaluations']} evaluations, {row['way']}: AUC {row['auc']}, kept {row['kept']}", flush=True)
    command = _command("steps", args)
    text = f"# How many evaluations of the network?\n\n`{command}`\n\n{ABOUT}\n{steps.ABOUT}\n"
    shown = ("auc", "rank1", "kept", "r_yaw", "r_smile", "apart")
    heads = ("way", "steps", "evaluations", "AUC (chance 0.50)", "rank 1", "factors kept", "yaw", "smile", "distance")
    cells = [[row["way"], row["steps"], row["evaluations"], *(row[name] for name in shown)] for row in rows]
    text += table(heads, cells) + "\n![Privacy, factors and distance over evaluations](steps.png)\n"
    write(args.output, "steps", command, rows, text)
    steps.plot(rows).savefig(args.output / "steps.png", dpi=120)
    return _told(args, "steps")


def _shown(value: Any) -> Any:
    return value if isinstance(value, Estimate) else float(value)


def _plan(args: argparse.Namespace) -> Plan:
    return Plan(args.steps, args.skip, args.guidance)


def _command(name: str, args: argparse.Namespace) -> str:
    return (
        f"revpers {name} --world {args.world} --people {args.people} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g} -o docs"
    )


def _told(args: argparse.Namespace, name: str) -> int:
    print(f"{args.output / name}.json and .md")
    return 0

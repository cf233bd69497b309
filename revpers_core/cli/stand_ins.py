"""``revpers stand-ins``: what it does to privacy and to linking who comes instead, as a part of docs/attacks.md."""

import argparse
from pathlib import Path
from typing import Any

import torch

from ..faces import recognise
from ..lab.people import FIRST
from ..lab.stand_ins import CROWD, Releases, clashes, known_stand_in, links, privacy, reroll
from ..lab.tables import table, write
from ..method.types import Plan
from ..pocket import FACE_MODEL
from . import lab_options
from .model import pipeline

TITLE = "\n## Who comes instead\n"
"""Of the part of attacks.md that this command writes, its last."""


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("stand-ins", help="privacy and linking by who comes instead, as tables")
    parser.set_defaults(run=_run)
    lab_options.add_world(parser)
    parser.add_argument("--people", type=int, default=48, help="held-out people (default %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-4.0, help="of the links (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _run(args: argparse.Namespace) -> int:
    judges, ports = lab_options.judges(args), pipeline((None, None, None), torch.float32, "cpu")
    steering = recognise.load(FACE_MODEL)
    releases = Releases(lab_options.crowd(args, 3 * FIRST), ports, Plan(args.steps, args.skip, args.guidance))
    parts: dict[str, list[dict[str, Any]]] = {}
    for name, rows in (
        ("privacy", privacy(releases, judges)),
        ("links", links(releases, judges)),
        ("reroll", reroll(releases, judges)),
        ("known", known_stand_in(releases, steering)),
    ):
        parts[name] = []
        for row in rows:
            parts[name].append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    rates = clashes(steering)
    command = (
        f"revpers stand-ins {lab_options.flags(args)} --people {args.people} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g} -o docs"
    )
    text = f"{TITLE}\n`{command}`\n\n{lab_options.ABOUT[args.world]}, {args.people} of them.\n\n"
    text += _text(parts, args.guidance) + table(
        (f"among {CROWD} people under one key", "share"), [(name, rate) for name, rate in rates.items()]
    )
    rows = [row for table_rows in parts.values() for row in table_rows] + [
        {"clash": k, "rate": v} for k, v in rates.items()
    ]
    write(args.output, "stand_ins", command, rows, text.lstrip())
    (args.output / "stand_ins.md").unlink()  # the words belong to attacks.md
    page = args.output / "attacks.md"
    before = page.read_text(encoding="utf-8").split(TITLE)[0] if page.is_file() else "# Attacks\n"
    page.write_text(before.rstrip() + "\n" + text, encoding="utf-8")
    print(f"{args.output / 'stand_ins.json'} and {page}")
    return 0


def _text(parts: dict[str, list[dict[str, Any]]], guidance: float) -> str:
    text = (
        "AUC and rank 1: the result against another photo of everyone. Kept: mean correlation of expression, gaze, "
        "pose and light with the truth.\n\n"
    )
    heads = ("who comes instead", "guidance", "judge", "AUC", "rank 1", "kept", "smile", "mouth", "gaze", "pitch")
    columns = ("instead", "guidance", "judge", "auc", "rank1", "kept", "r_smile", "r_open", "r_gaze_x", "r_pitch")
    text += table(heads, [[_plain(row[key]) for key in columns] for row in parts["privacy"]])
    text += f"\nTwo results of one person against results of two people, guidance {guidance:g}:\n\n"
    text += table(
        ("results", "judge", "AUC", "rank 1", "cosine of one person's"), [list(r.values()) for r in parts["links"]]
    )
    text += (
        "\nA re-roll: results of the same person seed (another noise seed) against those of another person seed:\n\n"
    )
    text += table(
        ("judge", "AUC (1: always told apart)", "cosine, same", "cosine, other"),
        [list(r.values()) for r in parts["reroll"]],
    )
    text += "\nWhoever knows the stand-in, by the recogniser that steers:\n\n"
    text += table(("the attacker", "AUC (chance 0.50)", "rank 1"), [list(row.values()) for row in parts["known"]])
    return text + "\n"


def _plain(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value

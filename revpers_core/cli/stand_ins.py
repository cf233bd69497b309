"""``revpers stand-ins``: what it does to privacy and to linking who comes instead, as a part of docs/attacks.md."""

import argparse
from pathlib import Path
from typing import Any

import torch

from ..faces import recognise
from ..lab.stand_ins import CROWD, Releases, at_equal_preservation, clashes, known_stand_in, links, privacy, reroll
from ..lab.tables import table, write
from ..method.types import Plan
from ..pocket import FACE_MODEL
from . import lab_options
from .model import pipeline

TITLE = "\n## Who comes instead\n"
"""Of the part of attacks.md that this command writes, its last."""


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser(
        "stand-ins", help="privacy and linking by who comes instead, as tables; a run that was stopped goes on"
    )
    parser.set_defaults(run=_run)
    lab_options.add_world(parser)
    parser.add_argument("--people", type=int, default=48, help="held-out people (default %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-4.0, help="of the links (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _run(args: argparse.Namespace) -> int:
    judges, ports = lab_options.judges(args), pipeline((None, None, None), torch.float32, "cpu")
    steering, scratch = recognise.load(FACE_MODEL), args.output / "stand_ins.parts"
    plan = Plan(args.steps, args.skip, args.guidance)
    releases = Releases(lab_options.crowd(args), ports, plan, scratch)
    parts: dict[str, list[dict[str, Any]]] = {}
    for name, rows in (
        ("clashes", ({"people": what, "share": rate} for what, rate in clashes(steering).items())),
        ("privacy", privacy(releases, judges)),
        ("links", links(releases, judges)),
        ("reroll", reroll(releases, judges)),
        ("known", known_stand_in(releases, steering)),
    ):
        parts[name] = []
        for row in rows:
            parts[name].append(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if name == "privacy":
            parts["equal"] = at_equal_preservation(parts[name])
        _write(args, parts)
    for part in scratch.iterdir():
        part.unlink()
    scratch.rmdir()
    print(f"{args.output / 'stand_ins.json'} and {args.output / 'attacks.md'}")
    return 0


def _write(args: argparse.Namespace, parts: dict[str, list[dict[str, Any]]]) -> None:
    """What is there so far, so that a run that is stopped has its finished parts to show."""
    command = (
        f"revpers stand-ins {lab_options.flags(args)} --people {args.people} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g} -o docs"
    )
    text = f"{TITLE}\n`{command}`\n\n{lab_options.ABOUT[args.world]}, {args.people} of them; 95% intervals "
    text += "(bootstrap by person, Wilson's for rates).\n\n"
    text += "\n".join(_part_text(name, rows, args.guidance) for name, rows in parts.items())
    rows = [{"part": name, **row} for name, part in parts.items() for row in part]
    write(args.output, "stand_ins", command, rows, "")
    (args.output / "stand_ins.md").unlink()  # the words belong to attacks.md
    page = args.output / "attacks.md"
    before = page.read_text(encoding="utf-8").split(TITLE)[0] if page.is_file() else "# Attacks\n"
    page.write_text(before.rstrip() + "\n" + text, encoding="utf-8")


def _part_text(part: str, rows: list[dict[str, Any]], guidance: float) -> str:
    """A part's words and table."""
    cells = [[_plain(value) for value in row.values()] for row in rows]
    if part == "clashes":
        shares = [(row["people"], "{:.4f} ({:.4f} to {:.4f})".format(*row["share"])) for row in rows]
        return (
            f"Stand-ins of {CROWD} people under one key, who are drawn as the recogniser that steers sees people; no "
            "photo is made:\n\n" + table(("to that recogniser", "share"), shares)
        )
    if part == "privacy":
        heads = ("who comes instead", "guidance", "judge", "AUC", "rank 1", "kept", "smile", "mouth", "gaze", "pitch")
        columns = ("instead", "guidance", "judge", "auc", "rank1", "kept", "r_smile", "r_open", "r_gaze_x", "r_pitch")
        return (
            "AUC and rank 1: the result against another photo of everyone. Kept: mean correlation of expression, gaze, "
            "pose and light with the truth.\n\n" + table(heads, [[_plain(row[key]) for key in columns] for row in rows])
        )
    if part == "equal":
        return (
            "The same where as much of the factors stays (a stranger's figures lie on the straight line between the "
            "two guidances around it):\n\n"
            + table(
                ("judge", "kept", "guidance, nobody", "guidance, a stranger", *EQUAL_HEADS),
                [[*row.values()] for row in rows],
            )
        )
    words, heads = {
        "links": (
            f"Two results of one person against results of two people, guidance {guidance:g}; who is who is given:",
            ("results", "judge", "AUC", "rank 1", "cosine of one person's"),
        ),
        "reroll": (
            "A re-roll: results of the same person seed (another noise seed) against those of another person seed:",
            ("judge", "AUC (1: always told apart)", "cosine, same", "cosine, other"),
        ),
        "known": (
            "Whoever knows the stand-in, by the recogniser that steers:",
            ("the attacker", "AUC (chance 0.50)", "rank 1"),
        ),
    }[part]
    return f"{words}\n\n{table(heads, cells)}"


EQUAL_HEADS = ("AUC, nobody", "AUC, a stranger", "rank 1, nobody", "rank 1, a stranger")
"""Of the table at equal preservation, behind judge, kept and the two guidances."""


def _plain(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value

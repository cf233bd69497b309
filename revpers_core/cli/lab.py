"""``revpers attacks`` and ``revpers baselines``: the tables under docs/, each made by one command."""

import argparse
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ..adapters.lora import Lora
from ..faces import recognise
from ..lab import steps
from ..lab.attacks import (
    FAR,
    FPIR,
    Group,
    Outputs,
    Recognisers,
    Search,
    attacks,
    confirmed,
    groups,
    searches,
    telling_files,
)
from ..lab.check import WORDS
from ..lab.compare_methods import compare_methods
from ..lab.real_nets import find_detector
from ..lab.tables import table, write
from ..method.students import NONE
from ..method.types import Plan
from ..metrics.interval import Estimate
from ..pocket import FACE_MODEL
from . import lab_options
from .model import pipeline
from .options import student_options

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
    "Among another photo of everyone; thresholds from photos of strangers who are not in it. FNIR: the "
    "person is not the first above the threshold.\n"
)
ABOUT = (
    "; no judge took part in the anonymization; 95% intervals (bootstrap by person, Wilson's for rates). The pocket "
    "model is a miniature: the table shows what an attack or a method does, not how anonymous SDXL's results are.\n"
)


def add(commands: Any) -> None:
    """Register the commands with the parser's subcommands."""
    attack = commands.add_parser("attacks", help="what attackers get out of the results, as a table")
    attack.set_defaults(run=_attacks)
    _options(attack, 36)
    compared = commands.add_parser("baselines", help="blur, inpainting and other methods beside this one, as a table")
    compared.set_defaults(run=_baselines)
    _options(compared, 60)

    study = commands.add_parser("steps", help="what fewer evaluations of the network cost, as a table and a plot")
    study.set_defaults(run=_steps)
    _options(study, 60, steps=100)
    student_options(study)
    study.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep results there, so that a run that was stopped goes on"
    )


def _options(parser: argparse.ArgumentParser, people: int, steps: int = 10) -> None:
    lab_options.add_world(parser)
    parser.add_argument("--people", type=int, default=people, help="held-out people (default %(default)s)")
    parser.add_argument("--steps", type=int, default=steps, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-6.0, help="below 0 (default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _attacks(args: argparse.Namespace) -> int:
    judges, ports = lab_options.judges(args), pipeline((None, None, None), torch.float32, "cpu")
    outputs = Outputs(lab_options.albums(args), ports, _plan(args))
    crowd, results = outputs.crowd, outputs.of(0, 1)
    command = _command("attacks", args)
    text = f"# Attacks, on the pocket model\n\n`{command}`\n\n{_about(args)}"
    everything: list[dict[str, Any]] = []
    for name, judge in judges.items():
        rows: list[dict[str, Any]] = []
        for row in attacks(outputs, Recognisers(judge, recognise.load(FACE_MODEL))):
            rows.append({"judge": name, "attack": row.attack, "knows": row.knows, **vars(row.matching)})
            print(
                f"{name}: {row.attack}: AUC {row.matching.auc}, rank 1 {row.matching.rank1} of {row.matching.people}",
                flush=True,
            )
        group_rows, searched = groups(crowd, results, judge, WORDS), searches(crowd, results, judge)
        text += f"\n## To the judge {name}\n\n{_attack_tables(rows, group_rows, searched)}"
        everything += [*rows, *({"judge": name, **row._asdict()} for row in (*searched, *group_rows))]
    rates = {
        "confirmation": ("photo, settings and seed", confirmed(outputs)),
        "metadata": ("the file", telling_files(crowd.photo(0)[:20])),
    }
    text += "\n## Without a judge\n\n" + table(
        ("attack", "the attacker has", "share that works (chance 0)"),
        [(name, knows, rate) for name, (knows, rate) in rates.items()],
    )
    everything += [{"attack": name, "knows": knows, "rate": rate} for name, (knows, rate) in rates.items()]
    write(args.output, "attacks", command, everything, text)
    return _print_files(args, "attacks")


def _attack_tables(rows: list[dict[str, Any]], group_rows: list[Group], searched: list[Search]) -> str:
    """One judge's part of attacks.md."""
    text = table(
        ("attack", "the attacker has", "AUC (chance 0.50)", "rank 1", "rank 5", "rank 1 by chance"),
        [(row["attack"], row["knows"], row["auc"], row["rank1"], row["rank5"], 1 / row["people"]) for row in rows],
    )
    text += (
        "\nAn AUC well below .50 is no privacy either: ranking by the least alike (anti-match) then finds the person.\n"
        f"\n### Verification and open-set search\n\n{SEARCHED}\n"
    )
    text += table(
        ("searched for", f"TAR at FAR {FAR:g} (chance {FAR:g})", f"FNIR at FPIR {FPIR:g} (1 is privacy)", "strangers"),
        searched,
    )
    text += (
        "\n### By attribute group\n\nAUC among people of one attribute value only, so that it cannot help; photos and "
        "results. Few people a group make wide intervals.\n\n"
    )
    return text + table(("group", "people", "photo", "result"), group_rows)


def _baselines(args: argparse.Namespace) -> int:
    people, plan = lab_options.crowd(args), _plan(args)
    ports, rows = pipeline((None, None, None), torch.float32, "cpu"), list[dict[str, Any]]()
    finder = find_detector()
    if finder is None:
        raise ValueError("rendered people are looked for by CenterFace, which is not there: `make judges` fetches it")
    for name, row in compare_methods(people, ports, lab_options.judges(args), plan, detect=finder):
        rows.append({"method": name, **row})
        print(f"{row['judge']}: {name}: AUC {row['auc']}, yaw {row['r_yaw']}, smile {row['r_smile']}", flush=True)
    command = _command("baselines", args)
    text = f"# Methods side by side, on the pocket model\n\n`{command}`\n\n{_about(args)}\n"
    heads = ["method", "judge", *(LABELS.get(name, name.replace("_", " ")) for name in SHOWN)]
    text += table(heads, [[row["method"], row["judge"], *(_cell(row[name]) for name in SHOWN)] for row in rows])
    text += (
        "\nAUC: the person's other photo against everyone else's (chance .50; lower is overshoot). Rank 1, found last: "
        f"the person's photo is the most, the least alike of {args.people} (chance {1 / args.people:.2f}). Face "
        "found: by CenterFace; judges are shown the face's place in any case, so that none is missed. Yaw, "
        "smile, mouth and gaze: correlation with the truth. SSIM outside the face; all but blur and pixelation pay the "
        "VAE. Frechet: of the judge's features against other photos', no FID.\n"
    )
    write(args.output, "baselines", command, rows, text)
    return _print_files(args, "baselines")


def _steps(args: argparse.Namespace) -> int:
    if bool(args.lora) is (args.student == NONE):
        raise ValueError("--lora and --student belong together: which levels was the LoRA taught?")
    people, judges, rows = lab_options.crowd(args), lab_options.judges(args), list[dict[str, Any]]()
    pupil = steps.Pupil(_network(args.lora, args.keep), args.student) if args.lora else None
    for row in steps.table(people, _network((), args.keep), judges, _plan(args), pupil):
        rows.append(row)
        summary = f"AUC {row['auc']}, kept {row['kept']}"
        print(f"{row['evaluations']} evaluations, {row['way']}, {row['judge']}: {summary}", flush=True)
    command, about = _command("steps", args), f"{_about(args)}\n{steps.ABOUT.format(most=args.steps)}"
    name, title, last = "steps", "How many evaluations of the network?", ""
    if args.lora:
        name, title = "students", "A few-step student of the pocket model"
        loras = [lora.path.name for lora in args.lora]
        command = command.replace(" -o ", f" --student {args.student} --lora {' --lora '.join(loras)} -o ")
        about += steps.ABOUT_STUDENT.format(lora=" and ".join(loras), student=args.student)
    else:
        about += steps.ABOUT_WAYS
        last = "\n" + "".join(
            f"To {judge} the fewest evaluations from which on AUC and factors kept stay within the intervals of "
            f"{4 * args.steps}: **{evaluations}** ({count} steps), on {args.people} people.\n"
            for judge, (count, evaluations) in steps.fewest(rows).items()
        )
    columns = ("auc", "rank1", "kept", "r_yaw", "r_smile", "apart")
    heads = ("way", "steps", "evaluations", "judge", "AUC (chance 0.50)", "rank 1", "factors kept", "yaw", "smile")
    cells = [
        [row["way"], row["steps"], row["evaluations"], row["judge"], *(row[name] for name in columns)] for row in rows
    ]
    text = f"# {title}\n\n`{command}`\n\n{about}\n{table((*heads, 'distance'), cells)}"
    text += f"\n![Privacy, factors and distance over evaluations]({name}.png)\n{last}"
    write(args.output, name, command, rows, text)
    first = next(iter(judges))
    steps.plot([row for row in rows if row["judge"] == first]).savefig(args.output / f"{name}.png", dpi=120)
    return _print_files(args, name)


def _network(loras: Sequence[Lora], keep: Path | None) -> steps.Network:
    """The pocket model with LoRAs. keep: where results lie, those of other LoRAs in other folders."""
    ports = pipeline((None, None, None), torch.float32, "cpu", loras)
    if keep and loras:
        contents = b"".join(lora.path.read_bytes() + str(lora.strength).encode() for lora in loras)
        keep /= sha256(contents).hexdigest()[:16]
    return steps.Network(ports, lambda: ports.unet_evaluations, keep)


def _about(args: argparse.Namespace) -> str:
    return f"{lab_options.ABOUT[args.world]}{ABOUT}"


def _cell(value: Any) -> Any:
    return value if isinstance(value, Estimate) else float(value)


def _plan(args: argparse.Namespace) -> Plan:
    return Plan(args.steps, args.skip, args.guidance)


def _command(name: str, args: argparse.Namespace) -> str:
    return (
        f"revpers {name} {lab_options.flags(args)} --people {args.people} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g} -o docs"
    )


def _print_files(args: argparse.Namespace, name: str) -> int:
    print(f"{args.output / name}.json and .md")
    return 0

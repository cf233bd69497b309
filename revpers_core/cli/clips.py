"""``revpers clips``: how steady and how private clips are, as docs/clips.md."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..lab.clip_ways import EVERY, OURS, SOURCE, STILLS, STRANGER
from ..lab.compare_clips import (
    FLICKER,
    MOVED,
    SEEN,
    STEADY,
    Figures,
    compare_clips,
    difference,
    economies,
    flicker_ratio,
    rows_of,
)
from ..lab.tables import table, write
from ..method.types import Plan
from ..metrics.interval import Estimate
from . import lab_options
from .model import pipeline

ABOUT = (
    "The gallery's clips of rendered, held-out people who move smoothly; aligned frames at 24 a second; 95% intervals "
    "(bootstrap by clip). No judge took part in the anonymization. The pocket model is a miniature: this compares "
    "ways, not SDXL's clips.\n"
)
SEEN_ABOUT = (
    "Worst frame and mean: similarity to the same frame of the source. AUC (chance .50): four other photos of the "
    "person against those of everyone else in the gallery, by the middle frame alone and by the mean embedding over "
    "the clip, which is what averaging over frames gives an attacker. Neighbours, farthest: similarity of neighbouring "
    "frames, and of the two that are least alike.\n"
)
MOVED_ABOUT = (
    "Landmarks: correlation over time of five points with the source's, by the pocket detector. Factor r: correlation "
    "over time of expression, pose and gaze with the true ones. Flicker: mean second difference in time beyond the "
    "source's (the VAE's own picture of it where a network drew the clip); error along the source's flow; both in "
    "thousandths of full white.\n"
)
ECONOMY_ABOUT = (
    f"Every {EVERY[0]}nd or {EVERY[1]}th frame is sampled, the others are a blend of their neighbours in the face's "
    "own coordinates; the same after both are carried along the source's optical flow; or the frame's own picture plus "
    "a blend of the neighbours' change. Differences from our way in the same clips. Worse: the whole interval is on "
    "the wrong side (more flicker, a worst frame more like the source, less of the factors or landmarks).\n"
)


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("clips", help="flicker, steadiness and privacy of clips, as a table")
    parser.set_defaults(run=_run)
    parser.add_argument("--people", type=int, default=3, help="one clip each, 2 or 3 (default %(default)s)")
    parser.add_argument("--frames", type=int, default=25, help="of a clip, 5, 9, 13, ... (default %(default)s)")
    parser.add_argument("--steps", type=int, default=16, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-6.0, help="below 0 (default %(default)s)")
    parser.add_argument(
        "--judge", action="append", metavar=lab_options.JUDGES, help="who judges; repeatable (default: the usual ones)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep figures there, so that a stopped run goes on")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _run(args: argparse.Namespace) -> int:
    step = max(EVERY)
    if args.people not in (2, 3) or args.frames < step + 1 or args.frames % step != 1:
        raise ValueError(
            f"give 2 or 3 people, and 5 frames or more, a multiple of {step} and one, got {args.people} and "
            f"{args.frames}"
        )
    judges, ports = lab_options.judges(args), pipeline((None, None, None), torch.float32, "cpu")
    plan = Plan(args.steps, args.skip, args.guidance, 1)
    for clips in compare_clips(args.people, args.frames, ports, judges, plan, args.keep):
        if len(clips) > 1:
            _write(args, clips, list(judges))
            print(f"{len(clips)} clips: {args.output / 'clips.md'} and .json", flush=True)
    return 0


def _write(args: argparse.Namespace, clips: Sequence[Figures], judges: Sequence[str]) -> None:
    command = (
        f"revpers clips --people {len(clips)} --frames {args.frames} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g}" + "".join(f" --judge {name}" for name in args.judge or ())
    )
    rows = rows_of(clips)
    text = f"# Clips, measured\n\n`{command}`\n\n{len(clips)} clips of {args.frames} frames. {ABOUT}"
    for judge in judges:
        cells = [[row["way"], *(row[name] for name in SEEN)] for row in rows if row["judge"] == judge]
        text += f"\n## Identity, to the judge {judge}\n\n{table(('way', *SEEN), cells)}"
    cells = [[row["way"], *(_figure(name, row[name]) for name in MOVED)] for row in rows if row["judge"] == judges[0]]
    text += f"\n{SEEN_ABOUT}\n## Movement\n\n{table(('way', *MOVED), cells)}\n{MOVED_ABOUT}"
    text += f"\n## What was wanted\n\n{_wanted(clips, judges)}\n## Economy\n\n{ECONOMY_ABOUT}\n{_economy(clips)}"
    write(args.output, "clips", command, rows, text)


def _figure(name: str, value: Estimate) -> Estimate:
    return Estimate(*(1000 * part for part in value)) if name in ("flicker", "warp error") else value


def _wanted(clips: Sequence[Figures], judges: Sequence[str]) -> str:
    rows: list[tuple[str, str, str, Estimate, str]] = []
    for way in (OURS, STRANGER):
        ratio = flicker_ratio(clips, way)
        requirement = f"at most {FLICKER:g}"
        rows.append((way, "flicker, of frames on their own", requirement, ratio, _met(ratio.value <= FLICKER)))
        for judge in judges:
            steady = difference(clips, judge, (way, "neighbours"), (SOURCE, "neighbours"))
            requirement = f"at least -{STEADY:g}"
            rows.append(
                (way, f"neighbours, less the source's, {judge}", requirement, steady, _met(steady.value >= -STEADY))
            )
            private = difference(clips, judge, (way, "AUC of the mean"), (STILLS, "AUC of a frame"))
            requirement = "none above 0 for certain"
            rows.append(
                (way, f"AUC of the mean, less a still's, {judge}", requirement, private, _met(private.low <= 0))
            )
    return table(("way", "figure", "wanted", "measured", ""), rows)


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _economy(clips: Sequence[Figures]) -> str:
    compared = economies(clips)
    names = list(next(iter(compared.values())))
    cells = [
        (way, *(_figure(name, found[name]) for name in names), ", ".join(found.worse) or "nothing")
        for way, found in compared.items()
    ]
    return table(("way", *names, "worse"), cells)

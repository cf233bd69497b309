"""``revpers clips``: how steady and how private clips are, as docs/clips.md."""

import argparse
from pathlib import Path
from typing import Any

import torch

from ..faces import registry
from ..lab.compare_clips import compare_clips
from ..lab.tables import table, write
from ..method.types import Plan
from .model import pipeline

ABOUT = (
    "Rendered, held-out people of the pocket world, who move smoothly; aligned frames at 25 a second. Likeness to the "
    "source in the worst frame and in the mean, and AUC of the mean over a clip against another photo, by the judge "
    "(chance .50); cosine of neighbouring frames and of the two least alike; correlation over time of five landmarks "
    "with the source's, and of expression, pose and gaze with the true ones; flicker, the mean second difference in "
    "time beyond the source's (the VAE's own picture of it where a network drew it), and error along the source's "
    "flow, both in units of full white. The pocket model is a miniature: this compares ways, not SDXL's clips.\n"
)


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("clips", help="flicker, steadiness and privacy of clips, as a table")
    parser.set_defaults(run=_run)
    parser.add_argument("--people", type=int, default=8, help="one clip each, 2 or more (default %(default)s)")
    parser.add_argument("--frames", type=int, default=24, help="of a clip, 5 or more (default %(default)s)")
    parser.add_argument("--steps", type=int, default=16, help="per phase (default %(default)s)")
    parser.add_argument("--skip", type=float, default=0.7, help="part of the noise left out (default %(default)s)")
    parser.add_argument("--guidance", type=float, default=-6.0, help="below 0 (default %(default)s)")
    parser.add_argument("--judge", default=registry.POCKET, metavar="dlib|pocket|FILE", help="(default %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), metavar="DIR", help="(default %(default)s)")


def _run(args: argparse.Namespace) -> int:
    if args.people < 2 or args.frames < 5:
        raise ValueError(f"give 2 people and 5 frames or more, got {args.people} and {args.frames}")
    ports, judge = pipeline((None, None, None), torch.float32, "cpu"), registry.judge(args.judge)
    rows = compare_clips(args.people, args.frames, ports, judge, Plan(args.steps, args.skip, args.guidance, 1))
    command = (
        f"revpers clips --people {args.people} --frames {args.frames} --steps {args.steps} --skip {args.skip:g} "
        f"--guidance {args.guidance:g} --judge {args.judge}"
    )
    cells = [[_cell(key, value) for key, value in row.items()] for row in rows]
    text = f"# Clips\n\n`{command}`\n\n{ABOUT}\n{table(list(rows[0]), cells)}"
    write(args.output, "clips", command, rows, text)
    print(f"{args.output / 'clips.md'} and .json")
    return 0


def _cell(key: str, value: Any) -> Any:
    return f"{value:.4f}" if key in ("flicker", "warp error") else value

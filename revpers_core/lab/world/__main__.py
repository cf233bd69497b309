"""Render training photographs: ``python -m revpers_core.lab.world people --out DIR``; stops and resumes anywhere.

Runs in the environment of ``requirements.txt``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .dataset import render_people
from .render import Renderer


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(
        prog="python -m revpers_core.lab.world", description="Render people who do not exist."
    )
    parser.add_argument("what", choices=("people",), help="what to render")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--count", type=int, default=3000, help="people (default %(default)s)")
    parser.add_argument("--part", type=int, default=0, help="which share of the files, from 0")
    parser.add_argument("--parts", type=int, default=1, help="processes that share the work")
    parser.add_argument("--samples", type=int, default=6, help="rays a pixel (default %(default)s)")
    parser.add_argument("--device", choices=("CPU", "GPU"), default="CPU")
    args = parser.parse_args()
    render_people(Renderer(args.samples, 1, args.device), args.out, args.count, args.part, args.parts)


if __name__ == "__main__":
    main()

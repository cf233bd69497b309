"""Render what the lab needs: ``python -m revpers_core.lab.world WHAT --out DIR``; stops and resumes anywhere.

people: training photographs. held-out: two photographs or more of people whom no training sees, for the lab's
measurements. gallery: what ships. These run in the environment of ``requirements.txt``.

unpack: puts the training photographs that the repository keeps where training looks. pack: adds what was rendered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .dataset import render_held_out, render_people, render_places
from .gallery import render_gallery
from .packed import pack, unpack

CACHE = Path.home() / ".cache/revpers/pocket"
SHIPPED = Path(__file__).parents[2] / "pocket/gallery"
SAMPLES = {"people": 6, "held-out": 6, "places": 6, "gallery": 8}
"""Rays a pixel."""


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(
        prog="python -m revpers_core.lab.world", description="Render people who do not exist."
    )
    parser.add_argument("what", choices=(*SAMPLES, "pack", "unpack"), help="what to render, or to do")
    parser.add_argument(
        "--out", type=Path, help=f"folder of the files (default {CACHE}/WHAT; of the gallery, the package's own)"
    )
    parser.add_argument("--count", type=int, help="people (default 3000, 300 held out), places (300)")
    parser.add_argument("--part", type=int, default=0, help="which share of the files, from 0")
    parser.add_argument("--parts", type=int, default=1, help="processes that share the work")
    parser.add_argument("--samples", type=int, help="rays a pixel (default 6, gallery 8)")
    parser.add_argument("--device", choices=("CPU", "GPU"), default="CPU")
    args = parser.parse_args()
    if args.what in ("pack", "unpack"):
        added = (pack if args.what == "pack" else unpack)(args.out or CACHE / "people")
        print(f"{added} files")
        return
    from .render import Renderer  # needs bpy and anny

    folder = args.out or (SHIPPED if args.what == "gallery" else CACHE / args.what)
    renderer = Renderer(args.samples or SAMPLES[args.what], 1, args.device)
    if args.what == "gallery":
        render_gallery(renderer, folder)
    elif args.what == "places":
        render_places(renderer, folder, args.count or 300)
    elif args.what == "held-out":
        render_held_out(renderer, folder, args.count or 300, args.part, args.parts)
    else:
        render_people(renderer, folder, args.count or 3000, args.part, args.parts)


if __name__ == "__main__":
    main()

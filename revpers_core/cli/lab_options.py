"""Whose faces the laboratory's commands measure on, and who judges them."""

import argparse
from typing import Any

from ..lab.check import Album
from ..lab.evaluation import Crowd, Judges, People
from ..lab.people import FIRST, Albums, DrawnAlbum, HeldOutPeople
from ..lab.real_nets import USUAL, find_judges
from ..lab.rendered import GalleryAlbum, GalleryPeople, RenderedAlbum, RenderedPeople

POCKET, GALLERY, RENDERED = "pocket", "gallery", "rendered"
JUDGES = "fr_feature|dlib|pocket|FILE"


def add_world(parser: argparse.ArgumentParser, judge: bool = True) -> None:
    """Add the options --world and --judge."""
    parser.add_argument(
        "--world", choices=(POCKET, GALLERY, RENDERED), default=POCKET,
        help="whose faces: the pocket model's own, drawn by formulas; the rendered people that ship; or as many as "
        "`python -m revpers_core.lab.world held-out` has rendered here (default %(default)s)",
    )  # fmt: skip
    if judge:
        parser.add_argument(
            "--judge", action="append", metavar=JUDGES,
            help=f"who judges; repeatable (default {', '.join(USUAL)}: those that are there, `make judges` gets them)",
        )  # fmt: skip


def judges(args: argparse.Namespace) -> Judges:
    """The judges that are asked for. Says loudly which of the usual ones are missing."""
    real_judges = find_judges(args.judge)
    for line in real_judges.missing:
        print(line, flush=True)
    return real_judges.judges


def crowd(args: argparse.Namespace, first: int = 0) -> Crowd:
    """Two photos of each of ``args.people``; ``first`` keeps measurements in the pocket world apart."""
    rendered = {GALLERY: GalleryPeople, RENDERED: RenderedPeople}.get(args.world)
    return rendered(args.people) if rendered else People(args.people, first)


def albums(args: argparse.Namespace) -> Albums:
    """Several photos of each of ``args.people``."""
    rendered = {GALLERY: GalleryPeople, RENDERED: RenderedPeople}.get(args.world)
    return rendered(args.people) if rendered else HeldOutPeople(args.people, FIRST)


def album(args: argparse.Namespace) -> Album:
    """Many photographs for the gates."""
    return {GALLERY: GalleryAlbum, RENDERED: RenderedAlbum, POCKET: DrawnAlbum}[args.world]()


def flags(args: argparse.Namespace) -> str:
    """The options as they stand on the command line."""
    judge_names: Any = getattr(args, "judge", None)
    return f"--world {args.world}" + "".join(f" --judge {name}" for name in judge_names or ())


ABOUT = {
    POCKET: "Drawn, held-out people of the pocket model's own world",
    GALLERY: "Rendered, held-out people of the gallery",
    RENDERED: "Rendered, held-out people",
}

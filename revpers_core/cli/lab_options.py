"""Whose faces the laboratory's commands measure on, and who judges them."""

import argparse
from typing import Any

from ..lab.check import Album
from ..lab.evaluation import Crowd, Judges
from ..lab.people import Albums
from ..lab.real_nets import USUAL, find_judges
from ..lab.rendered import GalleryAlbum, GalleryPeople, RenderedAlbum, RenderedPeople

GALLERY, RENDERED = "gallery", "rendered"
PEOPLE = {GALLERY: GalleryPeople, RENDERED: RenderedPeople}
JUDGES = "fr_feature|dlib|pocket|FILE"


def add_world(parser: argparse.ArgumentParser, judge: bool = True) -> None:
    """Add the options --world and --judge."""
    parser.add_argument(
        "--world", choices=(GALLERY, RENDERED), default=GALLERY,
        help="whose faces: the 64 rendered people that ship; or as many as "
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


def crowd(args: argparse.Namespace) -> Crowd:
    """Two photos of each of ``args.people``."""
    return PEOPLE[args.world](args.people)


def albums(args: argparse.Namespace) -> Albums:
    """Several photos of each of ``args.people``."""
    return PEOPLE[args.world](args.people)


def album(args: argparse.Namespace) -> Album:
    """Many photographs for the gates."""
    return {GALLERY: GalleryAlbum, RENDERED: RenderedAlbum}[args.world]()


def flags(args: argparse.Namespace) -> str:
    """The options as they stand on the command line."""
    judge_names: Any = getattr(args, "judge", None)
    return f"--world {args.world}" + "".join(f" --judge {name}" for name in judge_names or ())


ABOUT = {
    GALLERY: "Rendered, held-out people of the gallery",
    RENDERED: "Rendered, held-out people",
}

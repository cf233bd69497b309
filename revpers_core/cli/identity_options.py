"""Who comes instead, on the command line: options, and what they mean to a run."""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..faces.face import Face
from ..faces.recognise import FaceModel
from ..faces.select import Embed, reference_identities
from ..media import images, keys, roster
from ..media.pseudonyms import Drawing, Pictured, Pseudonyms, SameStrangers, Strangers
from ..media.pseudonyms import secret_of as secret_of_key
from ..media.roster import Roster
from ..method.population import SAME
from ..method.settings import KEY, LENGTH, METHOD, NOBODY, PICTURE, STRANGER
from .options import number

SHORT = {"stranger": STRANGER, "nobody": NOBODY}
PASSPHRASE = "-"
"""For a key file: ask for a passphrase instead."""


def instead_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who comes instead")
    group.add_argument(
        "--instead", action="append", metavar="stranger|nobody|PHOTO",
        help="another stranger for each face (the default), nobody in particular as in the paper (the default of "
        "--preset paper), or the person on a photo, who agreed or does not exist; a photo for each face, repeatable",
    )  # fmt: skip
    group.add_argument(
        "--person", type=int, metavar="SEED",
        help="of the strangers: another one, other people (default --seed's; where there is neither, both are drawn "
        "and not told)",
    )  # fmt: skip
    group.add_argument(
        "--pseudonyms", nargs="?", const="", metavar="KEYFILE",
        help="the same stranger for one person in every picture, and in every run with this key file (- asks for a "
        "passphrase); without a key file for this run only",
    )  # fmt: skip
    group.add_argument(
        "--roster", type=Path, metavar="FILE",
        help="who is who, encrypted with KEYFILE: kept so that later runs give the same stand-ins",
    )  # fmt: skip
    group.add_argument(
        "--same", type=float, metavar="COSINE",
        help="from which on two faces are one person's, -1 to 1 (default: the recogniser's own)",
    )  # fmt: skip
    number(group, LENGTH, "length")


def check(args: argparse.Namespace) -> None:
    """Raise ValueError for options that contradict each other, before anything is loaded."""
    words = [word for word in args.instead or [] if word in SHORT]
    if words and len(args.instead) > 1:
        raise ValueError(f"--instead {words[0]} stands alone: leave out the other --instead")
    if args.pseudonyms is not None and args.instead:
        raise ValueError("--pseudonyms and --instead both say who comes instead: leave out one")
    if args.roster and not args.pseudonyms:
        raise ValueError("--roster is kept for later runs: it needs --pseudonyms KEYFILE, the key that opens it again")
    if args.person is not None and (args.pseudonyms is not None or args.instead not in (None, ["stranger"])):
        raise ValueError("--person is the seed of --instead stranger: it does nothing here")
    if args.method != METHOD.default and (args.person is not None or identity_choice(args) != NOBODY):
        raise ValueError(f"--method {args.method} leads away from nobody in particular: leave out who comes instead")
    LENGTH.check("--length", args.length)


def identity_choice(args: argparse.Namespace) -> str:
    """Which of ``pseudonyms.WHO`` is asked for."""
    if args.pseudonyms is not None:
        return KEY
    if not args.instead:
        return NOBODY if args.preset == "paper" or args.method != METHOD.default else STRANGER
    return SHORT.get(args.instead[0], PICTURE)


def pseudonyms(
    args: argparse.Namespace,
    face_model: FaceModel,
    detect: Callable[[Tensor], list[Face]] | None,
    embed: Embed,
    seed: int | None = None,
) -> Pseudonyms | None:
    """Who comes instead in this run; None for nobody in particular. seed: of the strangers where none was given; drawn
    where it is None."""
    choice = identity_choice(args)
    drawing: Drawing
    if choice == NOBODY:
        return None
    if choice == STRANGER:
        seed_given = args.person if args.person is not None else args.seed if args.seed is not None else seed
        drawing = Strangers(secrets.randbits(62) if seed_given is None else seed_given)
    elif choice == PICTURE:
        drawing = Pictured(_pictured([Path(picture) for picture in args.instead], face_model, detect, embed))
    else:
        key = args.key = read_key(args.pseudonyms) if args.pseudonyms else None
        people = face_model.population
        same = args.same if args.same is not None else people.same if people else SAME
        loaded = roster.load(args.roster, key, face_model.name, same) if args.roster and key else None
        drawing = SameStrangers(secret_of_key(key), loaded or Roster(face_model.name, same))
    return Pseudonyms(drawing, args.length, args.same)


def read_key(name: str) -> bytes:
    """A key file's content, or a passphrase from the terminal."""
    if name != PASSPHRASE:
        return keys.read(name)
    if not sys.stdin.isatty():
        return keys.checked(sys.stdin.readline(), "the passphrase")
    from getpass import getpass

    return keys.checked(getpass("passphrase: "), "the passphrase")


def keep_roster(args: argparse.Namespace, pseudonyms: Pseudonyms | None) -> None:
    """Write the roster, where one is kept: after every picture, so that nothing is lost."""
    if args.roster and pseudonyms and isinstance(pseudonyms.drawing, SameStrangers):
        pseudonyms.drawing.roster.save(args.roster, args.key)


def doubtful(pseudonyms: Pseudonyms | None) -> list[str]:
    """Cases in which who is who was a matter of luck, in words."""
    return pseudonyms.drawing.roster.doubtful if pseudonyms and isinstance(pseudonyms.drawing, SameStrangers) else []


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What decides a result, for the manifest: no seed that was drawn, and of files their names."""
    choice = identity_choice(args)
    record: dict[str, Any] = {"instead": choice}
    if choice == NOBODY:
        return record
    if choice == PICTURE:
        record["pictures"] = [Path(picture).name for picture in args.instead]
    if choice == KEY and args.pseudonyms:
        record["key"] = Path(args.pseudonyms).name
    if args.person is not None:
        record["person"] = args.person
    return record | {"length": args.length}


def _pictured(
    photos: Sequence[Path], face_model: FaceModel, detect: Callable[[Tensor], list[Face]] | None, embed: Embed
) -> list[Any]:
    photos_read = [images.read(path) for path in photos]
    if detect is None:
        return [face_model.embed(images.centre_square(photo)[None]) for photo in photos_read]
    return reference_identities(photos_read, [detect(photo) for photo in photos_read], embed)

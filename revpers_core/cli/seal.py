"""``revpers seal`` and ``revpers unseal``: the way back for whoever holds the key."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ..faces.face import Face
from ..faces.select import Embed
from ..media import images, seal
from ..media.anonymize_file import SealOptions, keeping
from .identity_options import read_key
from .terminal import FAILURES, complain

KEY = "a file with the key, or - for a passphrase"


def add(commands: Any) -> None:
    """Register the commands with the parser's subcommands."""
    forth = commands.add_parser("seal", help="keep the original pixels of a result in an encrypted file beside it")
    forth.set_defaults(run=_seal)
    forth.add_argument("original", type=Path)
    forth.add_argument("result", type=Path, help="made of it; NAME.sealed is written beside it")
    forth.add_argument("--key", required=True, metavar="KEYFILE", help=KEY)
    back = commands.add_parser("unseal", help="restore the originals of results by their sealed files")
    back.set_defaults(run=_unseal)
    back.add_argument("results", type=Path, nargs="+", metavar="RESULT", help="with NAME.sealed beside it")
    back.add_argument("--key", required=True, metavar="KEYFILE", help=KEY)
    back.add_argument("--face", action="append", metavar="NAME", help="these alone, such as 'face 1'; repeatable")
    back.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where NAME_original.png go")


def seal_options(parser: argparse.ArgumentParser) -> None:
    """Add the seal's options to a command that anonymizes pictures."""
    group = parser.add_argument_group("the way back", "then results are pseudonymised, not anonymous")
    group.add_argument("--seal", metavar="KEYFILE", help=f"write NAME.sealed beside each result; {KEY}")
    group.add_argument(
        "--seal-only", type=Path, action="append", default=[], metavar="PHOTO",
        help="of these people alone, who are on the photos; nobody else can be restored; repeatable",
    )  # fmt: skip


def requested_seal(
    args: argparse.Namespace, detect: Callable[[Tensor], list[Face]] | None, embed: Embed
) -> SealOptions | None:
    """What the options mean to a run; None where nothing is sealed."""
    if not args.seal:
        if args.seal_only:
            raise ValueError("--seal-only says whose pixels --seal KEYFILE keeps: give it, too")
        return None
    if args.seal_only and detect is None:
        raise ValueError("--seal-only is for photos, in which faces are found: give a --detector")
    key = read_key(args.seal)
    only = keeping(args.seal_only, args.likeness, detect, embed) if args.seal_only and detect else None
    return SealOptions(key, only)


def _seal(args: argparse.Namespace) -> int:
    """Of a pair that is there: all changed pixels."""
    key = read_key(args.key)
    original, result = (seal.pixels(images.to_pil(images.read(path))) for path in (args.original, args.result))
    path = seal.sealed_path(args.result)
    if path.exists():
        raise ValueError(f"{path} is there already: move it away, it may be the only way back")
    seal.write(path, original, result, key, seal.regions(original, result, (), ()))
    print(path)
    return 0


def _unseal(args: argparse.Namespace) -> int:
    """Exit code 1 where any is not restored; nothing is written for it."""
    key, code = read_key(args.key), 0
    for path in args.results:
        try:
            result = seal.pixels(images.to_pil(images.read(path)))
            original = seal.unseal(seal.sealed_path(path), result, key, args.face)
            args.output.mkdir(parents=True, exist_ok=True)
            output = args.output / f"{path.stem.removesuffix('_anonymous')}_original.png"
            if output.exists():
                raise ValueError(f"{output} is there already: name another folder")
            images.write_png(Image.fromarray(original), output)
            print(output)
        except FAILURES as error:
            code = complain(error, path)
    return code

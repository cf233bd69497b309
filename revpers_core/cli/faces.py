"""``revpers faces``: list the faces in pictures."""

import argparse
import json
from pathlib import Path
from typing import Any

from ..faces import registry
from ..media import images
from ..media.anonymize_file import faces_as_numbers
from ..media.folder import pictures
from ..method.types import NoFaceError
from .options import load_search, search_options
from .terminal import complain


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("faces", help="list the faces in pictures")
    parser.set_defaults(run=_run)
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE|DIR", help="pictures, or folders of them")
    parser.add_argument("--json", action="store_true", help="one JSON line an image")
    search_options(parser)


def _run(args: argparse.Namespace) -> int:
    """A line an image, in pixels after EXIF rotation; exit code 1 where an image shows nobody or cannot be read."""
    args.detector = args.detector or [registry.CENTERFACE]
    search = load_search(args)
    assert search is not None
    code = 0
    for path in (
        path_in for argument in args.images for path_in in (pictures(argument) if argument.is_dir() else [argument])
    ):
        try:
            image = images.read(path)
            detections = search(image)
        except Exception as error:  # nothing about one picture may hide the others
            code = complain(error, path)
            continue
        height, width = image.shape[-2:]
        record = {"image": str(path), "width": width, "height": height, "faces": faces_as_numbers(detections)}
        print(
            json.dumps(record) if args.json else f"{path}: {len(detections)} faces in {width} x {height} pixels",
            flush=True,
        )
        if not detections:
            code = complain(NoFaceError("no face was found"), path)
    return code

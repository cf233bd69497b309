"""Options by which results are marked as altered."""

import argparse
from pathlib import Path

from ..media.marks import ALGORITHMS, Mark, credentials_from_environment


def mark_options(parser: argparse.ArgumentParser) -> None:
    marks = parser.add_argument_group("marks", "that a face was replaced; none unless asked for")
    marks.add_argument("--mark", action="store_true", help="IPTC's DigitalSourceType in every result")
    marks.add_argument("--mark-corner", action="store_true", help="a word in the lower right corner")
    marks.add_argument(
        "--certificate", type=Path, metavar="PEM",
        help="C2PA content credentials signed with this chain (or REVPERS_CERTIFICATE); needs c2pa-python",
    )  # fmt: skip
    marks.add_argument("--private-key", type=Path, metavar="PEM", help="the certificate's (or REVPERS_PRIVATE_KEY)")
    marks.add_argument(
        "--key-kind", choices=ALGORITHMS, default="es256", help="of the private key (default %(default)s)"
    )


def mark_of(args: argparse.Namespace) -> Mark:
    """The mark that was asked for. The environment's certificate is used where results are marked at all."""
    certificate, key = args.certificate, args.private_key
    if args.mark and certificate is None and key is None:
        certificate, key = credentials_from_environment()
    return Mark(args.mark or certificate is not None, args.mark_corner, certificate, key, args.key_kind)

"""The command ``revpers``: a verb a file; see ``revpers --help``."""

import argparse
from collections.abc import Sequence

from . import (
    anonymize,
    audit,
    benchmark,
    clips,
    curve,
    dataset,
    demo,
    faces,
    judge,
    lab,
    pocket,
    seal,
    stand_ins,
    video,
)
from .terminal import FAILURES, complain, quiet

VERBS = (anonymize, seal, video, dataset, faces, audit, benchmark, judge, pocket, curve, lab, clips, stand_ins, demo)
"""In the order of the help; each registers its own with ``add``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 when all went well, 1 when any picture failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="revpers", description="Face anonymization by reverse personalization.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for verb in VERBS:
        verb.add(commands)
    args = parser.parse_args(arguments)
    quiet()
    try:
        return args.run(args)
    except FAILURES as error:
        return complain(error)
    except KeyboardInterrupt:
        return 130

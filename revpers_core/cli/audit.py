"""``revpers audit``: do judges that took no part still know the people in the results?"""

import argparse
from pathlib import Path
from typing import Any

from ..audit.compare import Networks, compare
from ..audit.feature_networks import feature_network, perceptual_network
from ..audit.files import AUDIT_PICTURE, matched, opened, without_original
from ..audit.picture import audit_picture
from ..audit.report import report
from ..faces import registry
from ..media import images
from ..media.folder import pictures, readable
from .audit_dataset import audit_dataset, dataset_options, is_dataset
from .options import JUDGES, load_judges, load_search, search_options


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("audit", help="do judges that took no part still know the people in the results?")
    parser.set_defaults(run=_run)
    parser.add_argument("originals", type=Path, help="a picture, or a folder of pictures")
    parser.add_argument("results", type=Path, help="its result, or a folder: NAME.* or NAME_anonymous.*")
    parser.add_argument("--json", action="store_true", help="the whole report as one JSON line")
    parser.add_argument(
        "--judge",
        action="append",
        metavar=JUDGES,
        help="an ONNX file or its description; repeatable (default dlib)",
    )
    parser.add_argument("--crops", action="store_true", help="pictures are aligned crops with one face each")
    parser.add_argument(
        "--others", type=Path, metavar="DIR",
        help="photos of people who are in no original, for a harder search, TAR at FAR and FNIR at FPIR",
    )  # fmt: skip
    parser.add_argument("--fid", type=Path, metavar="FILE", help="FID's own Inception network (ONNX), for FID")
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="LPIPS' own network (ONNX), for LPIPS")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where audit.json and audit.png go (private)")
    search_options(parser)
    dataset_options(parser)


def _run(args: argparse.Namespace) -> int:
    """Exit code 0 only where every judge looked at everyone and knows nobody."""
    if is_dataset(args):
        return audit_dataset(args)
    pairs = matched(args.originals, args.results)
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    judges, strangers = load_judges(args.judge or ["dlib"]), pictures(args.others) if args.others else []
    networks = Networks(
        feature_network(args.fid) if args.fid else None, perceptual_network(args.lpips) if args.lpips else None
    )
    comparison = compare(
        opened(pairs), judges, load_search(args), (image for _, image in readable(strangers)), networks
    )
    audit = report(comparison, judges, without_original(args.results, pairs))
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "audit.json").write_text(audit.json() + "\n")
        images.write_png(audit_picture(audit), args.output / AUDIT_PICTURE)
    print(audit.json() if args.json else f"{audit.verdict}\n{audit.table}")
    return 0 if audit.passed else 1

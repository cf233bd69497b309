"""``revpers judge``: from where on two faces are one person's to a recogniser, measured on people of one's own."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..faces import registry
from ..faces.face import Face
from ..faces.geometry import face_in_aligned
from ..faces.judge_spec import METRICS, JudgeSpec, build_judge, measure_threshold, write
from ..faces.judges import Judge
from ..faces.select import largest
from ..media import gallery
from ..media.folder import pictures, readable
from .options import load_search, search_options

Detect = Callable[[Tensor], list[Face]]
GALLERY = "gallery"


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("judge", help="measure a recogniser's threshold, so that it may judge")
    parser.set_defaults(run=_run)
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="(N, 3, S, S) to an embedding (N, D)")
    parser.add_argument(
        "--people", type=Path, required=True, metavar="DIR|gallery",
        help="photos by person, a sub-folder each; 46 people with one each give enough pairs of strangers. gallery: "
        "the rendered people that ship, for thresholds that hold among rendered strangers only",
    )  # fmt: skip
    parser.add_argument("--size", type=int, default=112, help="of its input in pixels (default %(default)s)")
    parser.add_argument("--channels", choices=("RGB", "BGR"), default="RGB", help="BGR for AdaFace (default RGB)")
    parser.add_argument("--mean", type=float, nargs="+", default=[127.5], help="one number or three (default 127.5)")
    parser.add_argument("--std", type=float, nargs="+", default=[127.5], help="one number or three (default 127.5)")
    parser.add_argument("--metric", choices=tuple(METRICS), default="cosine", help="(default cosine)")
    parser.add_argument("--embedding", default="", metavar="NAME", help="of its outputs (default the first)")
    parser.add_argument("--crops", action="store_true", help="photos are aligned crops with one face each")
    search_options(parser)


def _run(args: argparse.Namespace) -> int:
    """Measure, and write FILE.json (FILE.rendered.json of the gallery) beside FILE.onnx."""
    rendered = str(args.people) == GALLERY
    args.detector = [] if args.crops or rendered else args.detector or [registry.CENTERFACE]
    detect = load_search(args)
    mean, std = (value if len(value) > 1 else value[0] for value in (args.mean, args.std))
    plain = JudgeSpec(
        args.file.name, size=args.size, channels=args.channels, mean=mean, std=std, metric=args.metric,
        output=args.embedding,
    )  # fmt: skip
    # Any threshold will do to look with.
    trial = replace(plain, threshold=0.5, floor=1.0 if args.metric == "euclid" else 0.0, source="a trial")
    judge = build_judge(trial, args.file.parent)
    if rendered:
        spec = measure_threshold(replace(plain, rendered=True), _of_gallery(judge))
    else:
        embedded = [[_embedding(judge, *photo, detect) for photo in readable(home)] for home in _homes(args.people)]
        spec = measure_threshold(plain, embedded)
    path = args.file.with_suffix(".rendered.json" if rendered else ".json")
    write(spec, path)
    print(f"{path}: threshold {spec.threshold:g}, floor {spec.floor:g} ({spec.source})")
    return 0


def _of_gallery(judge: Judge) -> list[list[Tensor]]:
    photos_by_person = [
        [gallery.photo(person, k) for k in range(gallery.photos(person))] for person in range(gallery.people())
    ]
    return [[judge.embed(photo.pixels, photo.face) for photo in photos] for photos in photos_by_person]


def _homes(folder: Path) -> Sequence[Sequence[Path]]:
    homes = [pictures(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []
    if len([home for home in homes if home]) < 2:
        raise ValueError(f"{folder}: expected a sub-folder of photos for each of many people")
    return [home for home in homes if home]


def _embedding(judge: Judge, path: Path, image: Tensor, detect: Detect | None) -> Tensor:
    faces = [face_in_aligned(image)] if detect is None else detect(image)
    if not faces:
        raise ValueError(f"{path}: no face was found: leave the photo out, or lower --min-score")
    return judge.embed(image, largest(faces)[0])

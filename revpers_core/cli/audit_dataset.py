"""``revpers audit --stream``: a data set's audit block by block, by FDeID-Toolbox's protocol, as JSON and a page."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ..audit.page import page
from ..audit.protocol import Pairs, draw_pairs, protocol
from ..datasets.audit_faces import gather, read_labels, read_pairs
from ..datasets.audit_task import AuditNetworks, AuditSink, AuditTask, PairedSource
from ..datasets.checkpoints import Checkpoints
from ..datasets.pictures import FolderSource
from ..datasets.records import Columns, blocks_of
from ..datasets.run import KINDS, Progress, open_source, run_blocks
from ..faces import registry
from .options import load_judges, load_search
from .terminal import quiet


def dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add the audit's options for data sets."""
    from .dataset import engine_options

    data = parser.add_argument_group("data sets", "block by block; always so for parquet files and shards")
    data.add_argument("--stream", action="store_true", help="also a folder: memory does not grow with its pictures")
    data.add_argument("--kind", choices=KINDS, default="auto", help="of originals and results")
    data.add_argument("--image-column", default="", metavar="NAME", help="of both")
    data.add_argument("--id-column", default="", metavar="NAME", help="of both")
    data.add_argument(
        "--person-column", default="", metavar="NAME", help="who it is (a folder's sub-folders are people)"
    )
    data.add_argument("--group-column", default="", metavar="NAME", help="figures for each group as well")
    data.add_argument("--labels", type=Path, metavar="CSV", help="person and group columns by id, of a folder")
    data.add_argument("--pairs", type=Path, metavar="CSV", help="LFW's pairs; drawn with a fixed seed unless given")
    engine_options(parser)


def is_dataset(args: argparse.Namespace) -> bool:
    """Whether the audit goes block by block."""
    if args.stream or args.engine != "local":
        return True
    return bool(args.originals.exists()) and open_source(args.originals, Columns(), args.kind).kind != "folder"


def audit_dataset(args: argparse.Namespace) -> int:
    """Exit code 0 only where every row was compared and no judge knows anybody."""
    from .dataset import engine_of

    if args.output is None:
        raise ValueError("a data set's audit needs a folder for its report: give -o")
    args.detector = [] if args.crops else args.detector or [registry.CENTERFACE]
    args.device = "cpu"
    for name in ("originals", "results", "output"):
        setattr(args, name, getattr(args, name).resolve())
    source = PairedSource(_source(args, args.originals, True), _source(args, toolbox_data(args.results), False))
    blocks, points, sink = blocks_of(source, args.block_rows), Checkpoints(args.output), AuditSink(args.output)
    folder = isinstance(source.originals, FolderSource)
    points.begin({"judges": args.judge or ["dlib"], "detector": [Path(path).name for path in args.detector],
                  "person": args.person_column, "group": args.group_column, "block_rows": args.block_rows})  # fmt: skip
    labels = read_labels(args.labels) if args.labels else None
    task = AuditTask(
        source, args.output, partial(open_audit_networks, args), args.person_column, args.group_column, labels,
        folder and not args.person_column and _in_folders(blocks), args.threads,
    )  # fmt: skip
    done = run_blocks(engine_of(args), task, sink, blocks, points, say)
    numbers = [block.number for block in blocks]
    faces, ids = gather(args.output, numbers, load_judges(args.judge or ["dlib"]))
    pairs: Pairs = read_pairs(args.pairs, ids) if args.pairs else draw_pairs(faces.persons)
    report: dict[str, Any] = protocol(faces, pairs) | {
        "rows": done.rows,
        "problems": dict(done.reasons.most_common(20)),
    }
    report["about"] = (
        f"{done.rows:,} rows, {done.failed:,} of them without a comparison; judges: {', '.join(report['judges'])}"
    )
    (args.output / "audit.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "audit.html").write_text(page(report), encoding="utf-8")
    for number in numbers:
        sink.remove(number)  # embeddings recognise people
        points.forget(number)
    print(json.dumps(report) if args.json else _words(report))
    known_to_any = any(judge["known"]["value"] for judge in report["judges"].values())
    return 0 if faces.persons and not done.failed and not known_to_any else 1


def toolbox_data(results: Path) -> Path:
    """Where FDeID-Toolbox keeps pictures: in data/, beside config.yaml."""
    return results / "data" if (results / "data").is_dir() and (results / "config.yaml").is_file() else results


def _source(args: argparse.Namespace, root: Path, labelled: bool) -> Any:
    named = (args.person_column, args.group_column) if labelled and not args.labels else ()
    carry = tuple(name for name in dict.fromkeys(named) if name)
    columns = Columns(image=args.image_column, id=args.id_column, carry=carry)
    source = open_source(root, Columns(), args.kind, args.output)
    if source.kind == "folder":
        if carry:
            raise ValueError("a folder has no columns: give --labels, a CSV file with id and these columns")
        return source
    return open_source(root, columns, args.kind, args.output)


def _in_folders(blocks: Any) -> bool:
    return all("/" in ref.id for block in blocks for ref in block.rows)


def open_audit_networks(args: argparse.Namespace) -> AuditNetworks:
    """Judges and search, loaded quietly: what a worker does."""
    quiet()
    return AuditNetworks(load_judges(args.judge or ["dlib"]), load_search(args))


def say(progress: Progress) -> None:
    """The audit so far, on stderr."""
    print(f"revpers: audited {progress}", file=sys.stderr, flush=True)


def _words(report: dict[str, Any]) -> str:
    lines = [report["about"]]
    for name, judge in report["judges"].items():
        rate = judge["known"]
        lines.append(f"{name}: still known {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]")
        for test, figures in (
            ("pairs anonymized", judge.get("toolbox", {}).get("deidentified")),
            ("attack", judge.get("attack")),
        ):
            if figures:
                rates = ", ".join(f"{key} {figures[key]}" for key in ("va", "auc", "eer", "tar_at_far_0.001"))
                lines.append(f"  {test}: {rates}")
        if "toolbox" in judge:
            lines.append(f"  PSR {judge['toolbox']['psr']}")
    lines += [f"{name}: {'-' if value is None else value}" for name, value in report["utility"].items()]
    lines += [f"{count:,} rows: {reason}" for reason, count in report["problems"].items()]
    return "\n".join(lines)

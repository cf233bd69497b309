"""``revpers benchmark``: the paper's tables on CelebA-HQ or FFHQ that the user has, beside what others report."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from ..audit.feature_networks import feature_network
from ..audit.files import matched
from ..audit.protocol import JudgeFaces
from ..audit.published import SOURCE, published_table
from ..datasets.audit_faces import gather
from ..datasets.audit_task import AuditSink, AuditTask, PairedSource
from ..datasets.checkpoints import Checkpoints
from ..datasets.pictures import FolderSource
from ..datasets.records import blocks_of
from ..datasets.run import run_blocks
from ..lab.tables import table
from ..media import images
from ..metrics.frechet import frechet
from ..metrics.interval import Estimate, wilson
from . import dataset
from .anonymize import photo_options
from .audit_dataset import open_audit_networks, say
from .options import load_judges

CHUNK = 1024
"""Results that are searched for at once."""
SETS = {"celebahq": "CelebA-HQ", "ffhq": "FFHQ"}


def add(commands: Any) -> None:
    """Register the command with the parser's subcommands."""
    parser = commands.add_parser("benchmark", help="the paper's tables on CelebA-HQ or FFHQ, beside what others report")
    parser.set_defaults(run=_run, preset="paper")
    parser.add_argument("dataset", choices=tuple(SETS), help="which of the two the folder holds")
    parser.add_argument("folder", type=Path, metavar="DIR", help="its aligned square pictures, as many as wanted")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR",
        help="results/, benchmark.json and benchmark.md; a run that was stopped goes on",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="DIR", help="measure these instead of anonymizing")
    parser.add_argument("--fid", type=Path, metavar="FILE", help="FID's own Inception network (ONNX), for FID")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON line")
    dataset.secret_option(parser)
    dataset.engine_options(parser)
    photo_options(parser)


def _run(args: argparse.Namespace) -> int:
    """Exit code 1 where a picture has no result or could not be compared."""
    args.output.mkdir(parents=True, exist_ok=True)
    results = args.results or args.output / "results"
    code, detectors, judges = 0, args.detector, args.judge or ["dlib"]
    if not args.results:
        code = dataset.anonymize_dataset(_dataset_args(args, results))
    figures = measure(args, results, detectors, judges)
    heads, rows = published_table(args.dataset)
    lines = [
        f"# {SETS[args.dataset]}: {figures['faces']} pictures\n",
        _own(figures),
        f"\n## As others report\n\n{SOURCE}.\n",
    ]
    lines.append(table(heads, [tuple("" if cell is None else cell for cell in row) for row in rows]))
    lines.append("\n" + COMPARE)
    (args.output / "benchmark.json").write_text(json.dumps(figures, indent=1) + "\n")
    (args.output / "benchmark.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(json.dumps(figures) if args.json else "\n".join(lines))
    return 1 if code or figures["failed"] else 0


COMPARE = (
    "Re-identification is the share of results whose nearest original, among all of the folder's, is their own: it "
    "falls with the number of pictures, so take as many as the others did. It compares with theirs only for the same "
    "recogniser (`--judge adaface.onnx`), FID only with FID's own network. Expression, gaze and pose are measured here "
    "from five points and the eyes' dark, in other units than theirs: compare them between your own runs."
)


def measure(args: argparse.Namespace, results: Path, detectors: list[str] | None, judges: list[str]) -> dict[str, Any]:
    """Figures of a folder against its results."""
    search = argparse.Namespace(**{**vars(args), "judge": judges, "detector": detectors or []})
    source = PairedSource(FolderSource(args.folder, args.output), FolderSource(results))
    blocks, state = blocks_of(source, args.block_rows), args.output / "audit"
    points, sink = Checkpoints(state), AuditSink(state)
    names = [Path(judge_name).name for judge_name in judges]
    points.begin({"judges": names, "detector": [Path(detector_name).name for detector_name in detectors or []]})
    task = AuditTask(source, state, partial(open_audit_networks, search), threads=args.threads)
    progress = run_blocks(dataset.engine_of(args), task, sink, blocks, points, say)
    faces, _ = gather(state, [block.number for block in blocks], load_judges(judges))
    for block in blocks:
        sink.remove(block.number)  # embeddings recognise people
        points.forget(block.number)
    figures: dict[str, Any] = {
        "dataset": args.dataset,
        "faces": len(faces.persons),
        "failed": progress.failed,
        "problems": dict(progress.reasons.most_common(10)),
        "reidentified": {judge.name: first_of(judge)._asdict() for judge in faces.judges if len(judge.before)},
    }
    for name, values in faces.utility.items():
        measured = values[~values.isnan()]
        figures[name] = round(float(measured.mean()), 4) if len(measured) else None
    figures["FID"] = round(_fid(args, results), 2) if args.fid else None
    return figures


def first_of(judge: JudgeFaces) -> Estimate:
    """Share of results whose own original is the nearest of all originals; ties count against privacy."""
    before, after = judge.before.float(), judge.after.float()
    if judge.metric == "cosine":
        before, after = normalize(before, dim=1), normalize(after, dim=1)
    nearest = 0
    for start in range(0, len(before), CHUNK):
        rows = after[start : start + CHUNK]
        likeness = rows @ before.T if judge.metric == "cosine" else -torch.cdist(rows, before)
        own = likeness[torch.arange(len(rows)), torch.arange(start, start + len(rows))]
        nearest += int((~(own < likeness.amax(1))).sum())  # NaN counts as found
    return wilson(nearest, len(before))


def _fid(args: argparse.Namespace, results: Path) -> float:
    network = feature_network(args.fid)
    before: list[torch.Tensor] = []
    after: list[torch.Tensor] = []
    for _, original, result in matched(args.folder, results):
        if result is not None:
            before.append(network(images.read(original)[None])[0])
            after.append(network(images.read(result)[None])[0])
    return frechet(torch.stack(before), torch.stack(after))


def _own(figures: dict[str, Any]) -> str:
    rows = [
        (
            f"re-identified by {name}, %",
            f"{100 * rate['value']:.2f} [{100 * rate['low']:.2f}, {100 * rate['high']:.2f}]",
        )
        for name, rate in figures["reidentified"].items()
    ]
    skip = ("dataset", "faces", "failed", "problems", "reidentified")
    rows += [(name, "-" if value is None else f"{value:g}") for name, value in figures.items() if name not in skip]
    rows += [(f"left out: {reason}", str(count)) for reason, count in figures["problems"].items()]
    return table(("ours", "value"), rows)


def _dataset_args(args: argparse.Namespace, results: Path) -> argparse.Namespace:
    """What ``revpers dataset`` would have been asked for this folder."""
    usual = {f"{role}_column": "" for role in ("image", "id", "boxes", "keep", "words")}
    rest = {"kind": "folder", "format": "png", "layout": "same", "carry": [], "retry_failed": False}
    options = {**vars(args), **usual, **rest, "input": args.folder, "output": results, "json": False, "crops": True}
    if args.steps is not None or args.skip is not None:
        options["preset"] = None
    return argparse.Namespace(**{**options, "detector": []})

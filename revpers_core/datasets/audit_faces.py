"""What an audit's blocks leave is gathered: faces, pairs and labels for ``audit.protocol``."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..audit.protocol import FacesSeen, JudgeFaces, Pairs
from ..faces.judges import Judge, cosine
from .files import STATE

UTILITY = ("landmark NME", "pose (degrees)", "gaze (eye distances)", "expression (eye distances)")


def faces_file(output: Path, number: int) -> Path:
    """Where a block's faces lie until they are gathered."""
    return output / STATE / "faces" / f"{number:06}.npz"


def gather(output: Path, numbers: Sequence[int], judges: Sequence[Judge]) -> tuple[FacesSeen, list[str]]:
    """All blocks' faces, and the ids of the largest face of each picture ("" for the others).

    A million faces take a GiB a judge and side, at 512 half precision numbers each.
    """
    records: list[dict[str, Any]] = []
    sides: dict[str, list[Tensor]] = {f"{side}{k}": [] for k in range(len(judges)) for side in ("before", "after")}
    for number in numbers:
        with np.load(faces_file(output, number), allow_pickle=False) as arrays:
            block_records = json.loads(arrays["records"].tobytes())
            records += block_records
            for name, parts in sides.items():
                if block_records:
                    parts.append(torch.from_numpy(arrays[name]).half())
    empty = torch.zeros(0, 1)
    embeddings = {name: torch.cat(parts) if parts else empty for name, parts in sides.items()}
    nan = float("nan")
    utility = {
        name: torch.tensor([nan if record["utility"] is None else record["utility"][k] for record in records])
        for k, name in enumerate(UTILITY)
    }
    faces = FacesSeen(
        [record["person"] for record in records],
        [record["group"] for record in records],
        utility if any(record["utility"] is not None for record in records) else {},
        [
            JudgeFaces(judge.name, "cosine" if judge.rule.likeness is cosine else "euclid", judge.rule.threshold,
                       embeddings[f"before{k}"], embeddings[f"after{k}"])
            for k, judge in enumerate(judges)
        ],
        [(float(score), bool(hit)) for record in records for score, hit in record.get("detections", [])],
    )  # fmt: skip
    return faces, [record["id"] if record["face"] == 0 else "" for record in records]


def read_pairs(path: Path, ids: Sequence[str]) -> Pairs:
    """LFW's pairs from a CSV file with a header: ``name, n, m`` is one person's n-th and m-th photo, ``name, n, name,
    m`` two people's; a photo's file is NAME_0001. Pairs of which a photo is not among the ``ids`` are left out; raises
    ValueError where none is left."""
    place = {PurePosixPath(row_id).stem: k for k, row_id in enumerate(ids) if row_id}
    pairs: list[tuple[int, int, bool]] = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in list(csv.reader(file))[1:]:
            cells = [cell.strip() for cell in row if cell.strip()]
            if len(cells) not in (3, 4):
                continue
            first, second = (cells[0], cells[1]), (cells[0] if len(cells) == 3 else cells[2], cells[-1])
            i, j = (place.get(f"{name}_{int(number):04}") for name, number in (first, second))
            if i is not None and j is not None:
                pairs.append((i, j, len(cells) == 3))
    if not pairs:
        raise ValueError(f"{path}: none of its pairs is among the pictures")
    table = torch.tensor(pairs)
    return Pairs(table[:, 0], table[:, 1], table[:, 2].bool())


def read_labels(path: Path) -> dict[str, dict[str, str]]:
    """Words by id from a CSV file with a column "id". Raises ValueError where it has none."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "id" not in rows[0]:
        raise ValueError(f"{path}: expected a CSV file with a header and a column 'id'")
    return {row["id"]: {name: value or "" for name, value in row.items() if name} for row in rows}

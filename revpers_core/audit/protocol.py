"""A large audit in figures: FDeID-Toolbox's protocol (arXiv 2603.13121) beside attacks on originals, by group.

Faces come as plain records and rows of embeddings, whoever looked at them and wherever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..metrics.detection import average_precision
from ..metrics.interval import Estimate, wilson
from ..metrics.verification import COSINES, FARS, NEARLY_SAME, Verification, protection, roc, verify
from .report import rounded

DISTANCES = (-2.0, 0.0)
PAIRS = 6000
"""Pairs that are drawn, half of them of one person, as the toolbox does for AgeDB."""
CURVE, BINS = 60, 40
"""Points of a ROC and bars of a histogram that a page shows."""
FEW = 10
"""Pairs of either kind below which a group has no figures of its own."""


class JudgeFaces(NamedTuple):
    """What one judge saw. metric: "cosine" or "euclid". threshold: from which similarity on it says one person. before,
    after: embeddings (N, D) of the N faces in originals and results."""

    name: str
    metric: str
    threshold: float
    before: Tensor
    after: Tensor

    @property
    def span(self) -> tuple[float, float]:
        return COSINES if self.metric == "cosine" else DISTANCES


@dataclass(frozen=True)
class FacesSeen:
    """N faces. persons, groups: (N,) words, "" where nobody said. utility: name -> (N,) values, NaN where it cannot be
    told. detections: (score, whether it is a face that was there) of every face found in a result."""

    persons: Sequence[str]
    groups: Sequence[str]
    utility: Mapping[str, Tensor]
    judges: Sequence[JudgeFaces]
    detections: Sequence[tuple[float, bool]]


class Pairs(NamedTuple):
    """Faces i and j, and whether they are one person's: (P,) each."""

    i: Tensor
    j: Tensor
    same: Tensor


def similarity(a: Tensor, b: Tensor, metric: str) -> Tensor:
    """Similarity of rows (P, D): cosine, or negative Euclidean distance."""
    a, b = a.double(), b.double()
    if metric == "cosine":
        return (normalize(a, dim=1) * normalize(b, dim=1)).sum(1)
    return -(a - b).norm(dim=1)


def draw_pairs(persons: Sequence[str], count: int = PAIRS, seed: int = 42) -> Pairs:
    """Pairs of photos, half of them of one person where persons have several; faces whose person nobody told are
    everyone's stranger. None of one person: pairs of strangers only."""
    generator = torch.Generator().manual_seed(seed)
    homes: dict[str, list[int]] = {}
    for k, person in enumerate(persons):
        if person:
            homes.setdefault(person, []).append(k)
    rich = [home for home in homes.values() if len(home) > 1]
    pairs: list[tuple[int, int, bool]] = []
    used: set[tuple[int, int]] = set()
    for _ in range(count // 2 * 4 if rich else 0):
        if len(pairs) == count // 2:
            break
        home = rich[int(torch.randint(len(rich), (1,), generator=generator))]
        a, b = (home[k] for k in torch.randperm(len(home), generator=generator)[:2].tolist())
        if (pair := (min(a, b), max(a, b))) not in used:
            used.add(pair)
            pairs.append((*pair, True))
    many = len(persons)
    for _ in range(count * 2 if many > 1 else 0):
        if len(pairs) >= count:
            break
        a, b = torch.randint(many, (2,), generator=generator).tolist()
        if a != b and (not persons[a] or persons[a] != persons[b]) and (pair := (min(a, b), max(a, b))) not in used:
            used.add(pair)
            pairs.append((*pair, False))
    table = torch.tensor(pairs, dtype=torch.long).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2].bool())


def protocol(faces: FacesSeen, pairs: Pairs) -> dict[str, Any]:
    """Everything in plain numbers: a record a judge, utility, and the same by group."""
    figures: dict[str, Any] = {"faces": len(faces.persons), "pairs": len(pairs.same)}
    figures["judges"] = {judge.name: _judged(judge, pairs) for judge in faces.judges}
    figures["utility"] = _utility(faces)
    names = sorted({group for group in faces.groups if group})
    figures["groups"] = {name: _group(faces, pairs, name) for name in names}
    return figures


def _group(faces: FacesSeen, pairs: Pairs, name: str) -> dict[str, Any]:
    inside = torch.tensor([group == name for group in faces.groups])
    members = inside[pairs.i] & inside[pairs.j]
    some = Pairs(pairs.i[members], pairs.j[members], pairs.same[members])
    figures: dict[str, Any] = {"faces": int(inside.sum()), "pairs": int(members.sum())}
    figures["judges"] = {judge.name: _judged(judge, some, inside, shapes=False) for judge in faces.judges}
    figures["utility"] = {key: _mean(value[inside]) for key, value in faces.utility.items()}
    return figures


def _judged(judge: JudgeFaces, pairs: Pairs, inside: Tensor | None = None, shapes: bool = True) -> dict[str, Any]:
    """One judge's figures. toolbox: both photos of a pair anonymized, beside the same pairs before. attack: a result
    against its own original, strangers being results against other originals."""
    inside = torch.ones(len(judge.before), dtype=torch.bool) if inside is None else inside
    own = similarity(judge.before[inside], judge.after[inside], judge.metric)
    # NaN is an embedding that cannot be compared: it counts as known.
    known = int((~(own < judge.threshold)).sum())
    figures: dict[str, Any] = {
        "metric": judge.metric,
        "threshold": judge.threshold,
        "known": _estimate(wilson(known, len(own))),
        "own_mean": _mean(own),
        "own_median": rounded(float(own.nanmedian())) if len(own) else None,
    }
    if judge.metric == "cosine":
        figures["share_above_0.9"] = _estimate(wilson(int((own > NEARLY_SAME).sum()), len(own)))
    before = similarity(judge.before[pairs.i], judge.before[pairs.j], judge.metric)
    after = similarity(judge.after[pairs.i], judge.after[pairs.j], judge.metric)
    positives, negatives = int(pairs.same.sum()), int((~pairs.same).sum())
    if min(positives, negatives) >= FEW:
        original = verify(before, pairs.same, judge.span)
        figures["toolbox"] = {
            "original": _verification(original),
            "deidentified": _verification(verify(after, pairs.same, judge.span)),
            "psr": rounded(protection(before[pairs.same], after[pairs.same], original.threshold)),
        }
    strangers = similarity(judge.before[pairs.i[~pairs.same]], judge.after[pairs.j[~pairs.same]], judge.metric)
    if min(len(own), negatives) >= FEW:
        values = torch.cat([own.nan_to_num(nan=judge.span[1]), strangers.nan_to_num(nan=judge.span[0])])
        same = torch.arange(len(values)) < len(own)
        figures["attack"] = {
            **_verification(verify(values, same, judge.span)),
            "psr_own": rounded(1 - known / len(own)),
        }
        if shapes:
            figures["shapes"] = _shapes(judge, own, strangers, (values, same), (before, after, pairs.same))
    return figures


def _shapes(
    judge: JudgeFaces,
    own: Tensor,
    strangers: Tensor,
    attack: tuple[Tensor, Tensor],
    pairs: tuple[Tensor, Tensor, Tensor],
) -> dict[str, Any]:
    """Histograms and curves for a page."""
    low, high = judge.span
    before, after, same = pairs
    bars = {
        "result and its original": own,
        "result and others' originals": strangers,
        "one person before": before[same],
        "one person after": after[same],
    }
    curves = {"result against original": roc(*attack)}
    if bool(same.any()) and not bool(same.all()):
        curves |= {"pairs before": roc(before, same), "pairs after": roc(after, same)}
    return {
        "span": [low, high],
        "histograms": {name: _shares(counts, low, high) for name, counts in bars.items() if len(counts)},
        "roc": {name: _thinned(*curve) for name, curve in curves.items()},
    }


def _shares(values: Tensor, low: float, high: float) -> list[float]:
    return [round(share, 5) for share in (torch.histc(values.float(), BINS, low, high) / len(values)).tolist()]


def _thinned(fpr: Tensor, tpr: Tensor) -> list[list[float]]:
    at = torch.linspace(0, len(fpr) - 1, min(CURVE, len(fpr))).round().long()
    return [[round(float(x), 4), round(float(y), 4)] for x, y in zip(fpr[at], tpr[at], strict=True)]


def _utility(faces: FacesSeen) -> dict[str, float | None]:
    figures = {name: _mean(value) for name, value in faces.utility.items()}
    if faces.detections and faces.persons:
        scores, hits = zip(*faces.detections, strict=True)
        precision = average_precision(torch.tensor(scores).double(), torch.tensor(hits), len(faces.persons))
        figures["detection AP at IoU 0.5"] = rounded(precision)
    elif faces.persons and faces.utility:
        figures["detection AP at IoU 0.5"] = 0.0
    return figures


def _verification(verification: Verification) -> dict[str, Any]:
    rates = {
        f"tar_at_far_{far:g}": None if rate is None else rounded(rate)
        for far, rate in zip(FARS, verification.tar, strict=True)
    }
    return {
        "va": rounded(verification.accuracy), "at_threshold": rounded(verification.threshold),
        "auc": rounded(verification.auc),
        "eer": rounded(verification.eer), **rates, "pairs": verification.pairs, "same": verification.same,
    }  # fmt: skip


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: rounded(value) for name, value in estimate._asdict().items()}


def _mean(values: Tensor) -> float | None:
    measured = values[~values.isnan()]
    return rounded(float(measured.double().mean())) if len(measured) else None

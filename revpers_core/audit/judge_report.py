"""What one judge says of all faces, in figures with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.judges import Judge
from ..metrics.interval import Estimate, wilson
from ..metrics.reidentification import at_rank, fnir_at_fpir, ranks_among, tar_at_far, verification
from .compare import Comparison, FaceComparison

ENOUGH = 5
"""Faces from which on an AUC is worth telling."""
FARS, FPIRS = (1e-4, 1e-3, 1e-2), (1e-3, 1e-2, 1e-1)
"""False accept and false positive identification rates, of which the least that strangers suffice for is told."""


@dataclass(frozen=True)
class JudgeReport:
    """What one judge says of all faces.

    known: share that it takes for the same person, or that nobody could judge (no result, no face found there, the
    judge blind). rank1, rank5: share whose own original is among the likeliest of the ``gallery`` faces, chance1 by
    chance; anti: the same for the *least* alike one. auc: own original against the others', .5 is chance, below it
    results avoid their source. tar, far: share above the threshold that ``far`` of the strangers exceed. fnir, fpir:
    share not found in a search for which ``fpir`` of the strangers find somebody. None where there are too few faces or
    strangers. A face that is lost counts as found in all. rendered: it knows rendered faces only. measured: whether its
    threshold is its own.
    """

    judge: str
    threshold: float
    source: str
    known: Estimate
    rank1: Estimate | None
    rank5: Estimate | None
    anti: Estimate | None
    chance1: float | None
    gallery: int
    auc: Estimate | None
    tar: Estimate | None
    far: float | None
    fnir: Estimate | None
    fpir: float | None
    rendered: bool
    measured: bool


def judge_report(k: int, name: str, judge: Judge, comparison: Comparison, likeness: Tensor) -> JudgeReport:
    faces, strangers, (sources, results) = comparison.faces, comparison.strangers[k], comparison.embedded[k]
    count, unjudged = len(faces), sum(map(len, (comparison.missing, comparison.unseen, comparison.unread)))
    bad = sum(entry.known[k] or entry.blind[k] or entry.lost for entry in faces)
    known = wilson(bad + unjudged, count + unjudged)
    rank1 = rank5 = anti = verified = tar = fnir = far = fpir = chance = None
    own = torch.eye(count, dtype=torch.bool)
    # Somebody's other photos are neither their own original nor a stranger's.
    same_person = _same(judge, sources) & ~own
    if count and (strangers or bool((~own & ~same_person).any())):
        others_only = likeness.masked_fill(same_person, torch.nan)
        lost = torch.tensor([entry.lost for entry in faces])
        comparable = others_only.masked_fill(lost[:, None] & own, torch.nan)
        own_columns = torch.cat([own, torch.zeros(count, len(strangers), dtype=torch.bool)], 1)
        others = likeness_table(judge, results, strangers)
        rank1, rank5 = (at_rank(ranks_among(torch.cat([comparable, others], 1), own_columns), n) for n in (1, 5))
        anti = at_rank(ranks_among(-torch.cat([others_only, others], 1), own_columns), 1)
        chance = float((1 / (count + len(strangers) - same_person.sum(1))).mean())
        if count >= ENOUGH and bool((~own & ~same_person).any()):
            verified = verification(comparable, own, unit=_pictures(faces))
        between = likeness_table(judge, strangers, sources)
        far = _least(FARS, between.numel())
        fpir = _least(FPIRS, len(strangers))
        tar = tar_at_far(comparable.diag(), between, far) if far else None
        fnir = fnir_at_fpir(comparable, own, between, fpir) if fpir else None
    rule = judge.rule
    return JudgeReport(
        name, rule.threshold, rule.source, known, rank1, rank5, anti, chance, count + len(strangers), verified, tar,
        far, fnir, fpir, rule.rendered, rule.measured,
    )  # fmt: skip


def likeness_table(judge: Judge, some: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """How alike all embeddings of two lists are, (N, M), in the judge's terms."""
    return torch.tensor([[judge.similarity(b, a) for b in others] for a in some]).view(len(some), len(others))


def _same(judge: Judge, sources: Sequence[Tensor]) -> Tensor:
    """(N, N), whom of the originals the judge surely takes for one person."""
    return likeness_table(judge, sources, sources) >= judge.rule.threshold


def _pictures(faces: Sequence[FaceComparison]) -> Tensor:
    """(N,), the number of each face's picture: faces of one are no independent draws."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(entry.image, len(numbers)) for entry in faces])


def _least(rates: Sequence[float], count: int) -> float | None:
    return next((rate for rate in rates if count * rate >= 1), None)

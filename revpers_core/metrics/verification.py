"""Verification of pairs as FDeID-Toolbox reports it (arXiv 2603.13121), and what its figures rest on.

Similarities are higher for more alike; of pairs of one person (same) and of two (not same).
"""

from typing import NamedTuple

import torch
from torch import Tensor

FARS = (0.01, 0.001, 0.0001)
COSINES = (-1.0, 1.0)
STEP = 0.01
"""Of the thresholds that accuracy is tried at."""
NEARLY_SAME = 0.9
"""Cosine from which on the toolbox speaks of identity leakage."""


class Verification(NamedTuple):
    """accuracy: the best over all thresholds, and threshold where it is (VA). auc, eer: of the ROC. tar: at each FAR of
    ``FARS``, interpolated on the ROC; None where there are too few pairs of strangers to show it. pairs, same: how
    many, and how many of one person."""

    accuracy: float
    threshold: float
    auc: float
    eer: float
    tar: tuple[float | None, ...]
    pairs: int
    same: int


def verify(similarity: Tensor, same: Tensor, span: tuple[float, float] = COSINES) -> Verification:
    """Pairs' similarities (N,) and whether each pair is one person's (N,) bool. span: of possible similarities.

    Raises ValueError without pairs of both kinds.
    """
    similarity, same = similarity.double(), same.bool()
    positives, negatives = int(same.sum()), int((~same).sum())
    if not positives or not negatives:
        raise ValueError(f"verification needs pairs of one person and of two, got {positives} and {negatives}")
    thresholds = torch.arange(span[0], span[1], STEP, dtype=torch.float64)
    own, others = similarity[same].sort().values, similarity[~same].sort().values
    accepted = positives - torch.searchsorted(own, thresholds)
    refused = torch.searchsorted(others, thresholds)
    correct = (accepted + refused).double() / len(similarity)
    best = int(correct.argmax())
    fpr, tpr = roc(similarity, same)
    nearest = int((fpr - (1 - tpr)).abs().argmin())
    return Verification(
        float(correct[best]),
        float(thresholds[best]),
        float(torch.trapezoid(tpr, fpr)),
        float((fpr[nearest] + 1 - tpr[nearest]) / 2),
        tuple(_at(far, fpr, tpr) if far * negatives >= 1 else None for far in FARS),
        len(similarity),
        positives,
    )


def roc(similarity: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """False and true positive rates at every threshold, from none accepted to all: (T,) each, a point a value."""
    order = similarity.double().sort(descending=True)
    hits = same.bool()[order.indices].double().cumsum(0)
    false = (~same.bool())[order.indices].double().cumsum(0)
    last = torch.cat([order.values.diff() != 0, torch.ones(1, dtype=torch.bool)])  # of equal values the last
    zero = torch.zeros(1, dtype=torch.float64)
    return torch.cat([zero, false[last] / false[-1]]), torch.cat([zero, hits[last] / hits[-1]])


def protection(before: Tensor, after: Tensor, threshold: float) -> float:
    """Protection success rate (PSR): share of one person's pairs (N,) that were known at the threshold and are not any
    more. NaN without pairs."""
    return float(((before >= threshold) & (after < threshold)).double().mean())


def _at(far: float, fpr: Tensor, tpr: Tensor) -> float:
    """The true positive rate at a false one, linear between points, the highest of those at one rate."""
    right = int(torch.searchsorted(fpr, torch.tensor(far, dtype=torch.float64), right=True))
    if right == len(fpr):
        return float(tpr[-1])
    low, high = fpr[right - 1], fpr[right]
    share = (far - low) / (high - low)
    return float(tpr[right - 1] + share * (tpr[right] - tpr[right - 1]))

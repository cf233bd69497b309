"""Does a judge still know who it is? Verification and closed-set identification from similarities."""

import torch
from torch import Tensor

from .interval import Estimate, wilson


def auc(genuine: Tensor, impostor: Tensor) -> float:
    """Probability that a genuine similarity exceeds an impostor one (ties count half): .5 is chance, below .5 the
    results are *less* like their sources than strangers are. genuine: (N,), impostor: (M,)."""
    values, counts = torch.unique(impostor.double(), return_counts=True)
    below = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).double()
    left = torch.searchsorted(values, genuine.double())
    right = torch.searchsorted(values, genuine.double(), right=True)
    return float(((below[left] + below[right]) / 2).mean() / len(impostor))


def threshold_at_far(impostor: Tensor, far: float) -> float:
    """The similarity that a fraction ``far`` (0...1) of impostor pairs (M,) exceeds. Needs at least 1 / far pairs."""
    if len(impostor) * far < 1:
        raise ValueError(f"{len(impostor)} impostor pairs cannot show a rate of {far}: give at least {int(1 / far)}")
    return float(impostor.double().sort(descending=True).values[int(len(impostor) * far)])


def tar_at_far(genuine: Tensor, impostor: Tensor, far: float) -> float:
    """True accept rate (ISO/IEC 19795-1) at the threshold of false accept rate ``far``."""
    return float((genuine.double() > threshold_at_far(impostor, far)).double().mean())


def ranks(similarity: Tensor, owner: Tensor) -> Tensor:
    """Where each probe's own identity comes in the gallery, 1 for first; ties count against privacy.

    similarity: (N, G) of probes to gallery entries. owner: (N,) the gallery index of each probe's identity.
    """
    own = similarity.gather(1, owner[:, None])
    return (similarity > own).sum(1) + 1


def at_rank(found: Tensor, k: int) -> Estimate:
    """Share of probes whose own identity comes k-th or better (closed set). found: (N,) ranks, NaN where no face was
    found in the result, which counts as re-identified."""
    return wilson(int((~(found > k)).sum()), len(found))


def fnir_at_fpir(mated: Tensor, owner: Tensor, strangers: Tensor, fpir: float) -> float:
    """Open-set search (ISO/IEC 19795-1): share of mated probes whose own entry is not first above the threshold at
    which a fraction ``fpir`` of strangers' searches find anybody. 1 - fpir or more is privacy, 0 is none.

    mated: (N, G) similarities, owner: (N,) gallery indices. strangers: (M, G), probes of people without an entry.
    """
    threshold = threshold_at_far(strangers.amax(1), fpir)
    own = mated.double().gather(1, owner[:, None])[:, 0]
    return float(((ranks(mated, owner) > 1) | (own <= threshold)).double().mean())

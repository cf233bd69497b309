"""Does a judge still know who it is? Verification and identification from similarities.

NaN stands for a face that was missed or cannot be compared. On the mated side it counts against privacy, as the most
alike there is; on the strangers' side it counts for nothing.
"""

import torch
from torch import Tensor

from .interval import Estimate, bootstrap, wilson


def auc(genuine: Tensor, impostor: Tensor) -> float:
    """Probability that a genuine similarity exceeds an impostor one (ties count half): .5 is chance, below .5 the
    results are *less* like their sources than strangers are. genuine: (N,), impostor: (M,)."""
    genuine, impostor = _missing_as_known(genuine), _without_missing(impostor)
    values, counts = torch.unique(impostor, return_counts=True)
    below = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).double()
    left = torch.searchsorted(values, genuine)
    right = torch.searchsorted(values, genuine, right=True)
    return float(((below[left] + below[right]) / 2).mean() / len(impostor))


def verification(similarity: Tensor, same: Tensor, draws: int = 500, unit: Tensor | None = None) -> Estimate:
    """AUC of each probe's own entries against everyone else's, its interval by bootstrap over people.

    similarity: (N, N), probe i against entry j, both the same N people's. same: (N, N) bool, true where entry j is of
    probe i's person. Whoever is drawn is drawn as probe and as entry, since both sides are a sample. unit: (N,) what is
    drawn as one, e.g. the number of the picture; everyone for themselves unless given.
    """
    unit = torch.arange(len(similarity)) if unit is None else unit
    members = [torch.where(unit == value)[0] for value in unit.unique()]

    def statistic(indices: Tensor) -> float:
        people = torch.cat([members[i] for i in indices.tolist()])
        likeness, mated = similarity[people][:, people], same[people][:, people]
        others = likeness[~mated]
        return float("nan") if bool(others.isnan().all()) else auc(likeness[mated], others)

    return bootstrap(statistic, len(members), draws)


def threshold_at_far(impostor: Tensor, far: float) -> float:
    """The similarity that a fraction ``far`` (0...1) of impostor pairs (M,) exceeds. Needs at least 1 / far pairs."""
    impostor = _without_missing(impostor)
    if len(impostor) * far < 1:
        raise ValueError(f"{len(impostor)} impostor pairs cannot show a rate of {far}: give at least {int(1 / far)}")
    return float(impostor.sort(descending=True).values[int(len(impostor) * far)])


def tar_at_far(genuine: Tensor, impostor: Tensor, far: float) -> Estimate:
    """True accept rate (ISO/IEC 19795-1) at the threshold of false accept rate ``far``, which Wilson's interval takes
    for given. Chance is ``far``."""
    accepted = _missing_as_known(genuine) > threshold_at_far(impostor, far)
    return wilson(int(accepted.sum()), len(genuine))


def ranks(similarity: Tensor, owner: Tensor) -> Tensor:
    """Where each probe's own identity comes in the gallery, 1 for first; ties count against privacy.

    similarity: (N, G) of probes to gallery entries. owner: (N,) the gallery index of each probe's identity.
    """
    return ranks_among(similarity, torch.arange(similarity.shape[1]).to(owner) == owner[:, None])


def ranks_among(similarity: Tensor, same: Tensor) -> Tensor:
    """The same where a person has several entries, same (N, G) bool: their best one's place among the others'."""
    own = _missing_as_known(similarity).masked_fill(~same, -torch.inf).amax(1, keepdim=True)
    return ((similarity > own) & ~same).sum(1) + 1


def at_rank(probe_ranks: Tensor, k: int) -> Estimate:
    """Share of probes whose own identity comes k-th or better (closed set). probe_ranks: (N,), NaN where no face
    was found in the result, which counts as re-identified."""
    return wilson(int((~(probe_ranks > k)).sum()), len(probe_ranks))


def fnir_at_fpir(mated: Tensor, same: Tensor, strangers: Tensor, fpir: float) -> Estimate:
    """Open-set search (ISO/IEC 19795-1): share of mated probes whose own entry is not first above the threshold at
    which a fraction ``fpir`` of strangers' searches find anybody. 1 - fpir or more is privacy, 0 is none.

    mated: (N, G) similarities, same: (N, G) bool, whose entries are the probe's own. strangers: (M, G), probes of
    people without an entry.
    """
    threshold = threshold_at_far(strangers.amax(1), fpir)
    own = _missing_as_known(mated).masked_fill(~same, -torch.inf).amax(1)
    missed = (ranks_among(mated, same) > 1) | (own <= threshold)
    return wilson(int(missed.sum()), len(mated))


def _missing_as_known(mated: Tensor) -> Tensor:
    return mated.double().nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _without_missing(strangers: Tensor) -> Tensor:
    strangers = strangers.double().flatten()
    return strangers[~strangers.isnan()]

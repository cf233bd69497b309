"""Guidance formulas. They hold for noise and for x0 predictions alike, being affine with weights that sum to one."""

from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from .trajectory import Branches, Guide, Need, Predict


class Interval(NamedTuple):
    """The noise levels at which there is guidance (arXiv:2404.07724), 0 < low <= sigma <= high; elsewhere it is 0."""

    low: float = 0.0
    high: float = inf

    def at(self, sigma: float, guidance: float) -> float:
        return guidance if self.low <= sigma <= self.high else 0.0


ALWAYS = Interval()


def cfg(uncond: Tensor, cond: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance (arXiv:2207.12598), unclamped, uncond + guidance (cond - uncond): 0 is exactly the
    unconditional branch and 1 the conditional one; below 0 walks away from the conditional one, which then weighs
    ``guidance`` and the unconditional ``1 - guidance``."""
    return torch.lerp(uncond, cond, guidance)


def branches_needed(guidance: float) -> Need:
    """The branches that weigh anything."""
    return {0.0: Need.UNCOND, 1.0: Need.COND}.get(guidance, Need.BOTH)


def recorded_guidance(guidance: float, interval: Interval = ALWAYS) -> Guide:
    """Guidance on a trajectory's kept predictions."""
    return lambda uncond, cond, x, sigma: cfg(uncond, cond, interval.at(sigma, guidance))


def network_guidance(branches: Branches, guidance: float, interval: Interval = ALWAYS) -> Predict:
    """Guidance on fresh predictions, of one branch where the other weighs nothing."""

    def predict(x: Tensor, sigma: float) -> Tensor:
        strength = interval.at(sigma, guidance)
        return cfg(*branches(x, sigma, branches_needed(strength)), strength)

    return predict

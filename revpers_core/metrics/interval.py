"""Confidence intervals: bootstrap by image for anything, Wilson's for rates."""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(statistic: Callable[[Tensor], float], count: int, draws: int = 1000, seed: int = 0) -> Estimate:
    """Percentile bootstrap (Efron 1979). ``statistic`` takes the indices (count,) of the images that are drawn; where
    it makes NaN of them, the draw is left out. For a rate take ``wilson``: where all succeed a bootstrap sees no doubt.
    """
    generator = torch.Generator().manual_seed(seed)
    statistics = [statistic(torch.randint(count, (count,), generator=generator)) for _ in range(draws)]
    low, high = torch.tensor(statistics, dtype=torch.float64).nanquantile(torch.tensor([0.025, 0.975]).double())
    return Estimate(statistic(torch.arange(count)), float(low), float(high))


def wilson(successes: int, count: int) -> Estimate:
    """Wilson's score interval (1927) of a rate; [0, 1] where nothing was tried."""
    if not 0 <= successes <= count:
        raise ValueError(f"expected 0 to {count} successes, got {successes}")
    if count == 0:
        return Estimate(float("nan"), 0.0, 1.0)
    z, rate = 1.959964, successes / count
    centre = rate + z**2 / (2 * count)
    spread = z * sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return Estimate(rate, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))

"""How a recogniser sees people in general: where their embeddings lie, and from where on two are one person's."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

SAME = 0.4
"""Cosine from which on two faces are one person's where nobody has measured it for a recogniser."""


@dataclass(frozen=True)
class Population:
    """Unit embeddings of people to one recogniser.

    mean: (D,). axes: (K, D), principal directions times their standard deviations. same: cosine from which on two faces
    are one person's, at a false accept rate of 1e-3. source: of what people, in words.
    """

    mean: Tensor
    axes: Tensor
    same: float
    source: str

    def __post_init__(self):
        if self.mean.ndim != 1 or self.axes.ndim != 2 or self.axes.shape[1] != len(self.mean):
            raise ValueError(f"expected (D,) and (K, D), got {tuple(self.mean.shape)} and {tuple(self.axes.shape)}")
        if not (torch.isfinite(self.mean).all() and torch.isfinite(self.axes).all() and -1 < self.same < 1):
            raise ValueError("the figures of a population must be finite, and its threshold between -1 and 1")

    def person(self, normal: Tensor) -> Tensor:
        """Somebody made up, (D,) of unit length, by standard normal numbers (K or more,)."""
        return normalize(self.mean + normal[: len(self.axes)].to(self.axes) @ self.axes, dim=0)

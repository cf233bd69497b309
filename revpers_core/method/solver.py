"""One step of SDE-DPM-Solver++(2M), shared by inversion and replay.

Coordinates are k-diffusion's: ``x = x0 + sigma * noise``, so ``sigma`` is the only time.
"""

from math import log, sqrt
from typing import NamedTuple

from torch import Tensor


class Previous(NamedTuple):
    """The prediction one step earlier: the solver's whole history."""

    x0: Tensor
    sigma: float


class Gaussian(NamedTuple):
    """The distribution of the next state: ``mean + std * z``."""

    mean: Tensor
    std: float


def step(x: Tensor, x0: Tensor, sigma: float, sigma_next: float, past: Previous | None = None) -> Gaussian:
    """Law of the state at ``sigma_next``, from the state ``x`` and the prediction ``x0`` at ``sigma``.

    Midpoint form at eta 1 (arXiv:2211.01095, eq. 18 of the SDE variant), rewritten for sigma space; second order
    with ``past``, first order without. Replay: ``mean + std * z``. Noise map: ``z = (x_next - mean) / std``.

    x, x0: (B, C, h, w), one float dtype. sigma > sigma_next > 0.
    """
    keep = (sigma_next / sigma) ** 2
    if past is not None:
        h, h_past = log(sigma / sigma_next), log(past.sigma / sigma)
        x0 = x0 + (x0 - past.x0) * (h / (2 * h_past))
    return Gaussian(keep * x + (1 - keep) * x0, sigma_next * sqrt(1 - keep))

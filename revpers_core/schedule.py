"""From a training table to a plain list of float sigmas."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

TRAIN_STEPS = 1000
PAPER_STEPS, PAPER_SKIP = 100, 0.7


def sdxl_sigmas(beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = TRAIN_STEPS) -> list[float]:
    """sigma of every training timestep for scaled-linear betas (SDXL's by default), in float64."""
    betas = np.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=np.float64) ** 2
    alphas_cumprod = np.cumprod(1.0 - betas)
    return np.sqrt((1.0 - alphas_cumprod) / alphas_cumprod).tolist()


def timesteps(steps: int, skip: float) -> list[int]:
    """Descending training timesteps of a run, as the paper spaces them: ``trunc(linspace(999 - 1000 skip, 1, steps))``.

    steps: >= 2. skip: [0, 1), the noisiest part of the schedule that is left out; the more is skipped, the closer the
    result stays to the photo. Raises ValueError where two steps would share a timestep.
    """
    if steps < 2:
        raise ValueError(f"steps must be 2 or more, got {steps}")
    if not 0 <= skip < 1:
        raise ValueError(f"skip must be at least 0 and below 1, got {skip}")
    first = TRAIN_STEPS - TRAIN_STEPS * skip - 1
    if steps > first:
        raise ValueError(
            f"{steps} steps do not fit into the {max(int(first), 0)} timesteps that skip {skip} leaves: "
            "use fewer steps or a smaller skip"
        )
    return np.trunc(np.linspace(first, 1, steps)).astype(int).tolist()


def sigmas(steps: list[int], sigma_of: Callable[[int], float]) -> tuple[float, ...]:
    """The run's sigmas, one more than its steps: the last is the level of timestep 0, not 0.

    A final sigma of 0 would leave the last step no noise, and so no map that could bring the photo back.
    """
    levels = tuple(float(sigma_of(t)) for t in [*steps, 0])
    if any(a <= b for a, b in pairwise(levels)):
        raise ValueError("the model's noise levels do not fall at every step: use fewer steps")
    return levels

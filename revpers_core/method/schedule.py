"""From a training table to a plain list of float sigmas."""

from collections.abc import Callable
from enum import Enum
from itertools import pairwise

import numpy as np

TRAIN_STEPS = 1000
PAPER_STEPS, PAPER_SKIP = 100, 0.7


LAST_ALPHA = 4.8973451890853435e-08
"""What stands for a cumulative alpha of 0 at the end of a zero-terminal-SNR schedule, as in ComfyUI."""


def sdxl_sigmas(
    beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = TRAIN_STEPS, zero_terminal_snr: bool = False
) -> list[float]:
    """sigma of every training timestep for scaled-linear betas (SDXL's by default), in float64.

    zero_terminal_snr: rescaled until nothing but noise is left at the last one (arXiv:2305.08891, algorithm 1).
    """
    betas = np.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=np.float64) ** 2
    alphas_cumprod = np.cumprod(1.0 - betas)
    if zero_terminal_snr:
        root = np.sqrt(alphas_cumprod)
        alphas_cumprod = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        alphas_cumprod[-1] = LAST_ALPHA
    return np.sqrt((1.0 - alphas_cumprod) / alphas_cumprod).tolist()


class Spacing(Enum):
    """How a run's steps lie: evenly in the training timestep, as the paper's, or in log-SNR = -2 log sigma."""

    TIME = "time"
    LOG_SNR = "log-snr"


def timesteps(
    steps: int, skip: float, spacing: Spacing = Spacing.TIME, sigma_of: Callable[[int], float] | None = None
) -> list[int]:
    """Descending training timesteps of a run, as the paper spaces them: ``trunc(linspace(999 - 1000 skip, 1, steps))``.

    steps: >= 2. skip: [0, 1), the noisiest part of the schedule that is left out; the more is skipped, the closer the
    result stays to the photo. spacing: by log-SNR it takes the model's levels, ``sigma_of``, SDXL's unless given; steps
    that would share a timestep are pushed apart. Raises ValueError where there are fewer timesteps than steps.
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
    if spacing is Spacing.TIME:
        return np.trunc(np.linspace(first, 1, steps)).astype(int).tolist()
    sigma_of, last, apart = sigma_of or sdxl_sigmas().__getitem__, int(first), np.arange(steps)
    logs = np.log([sigma_of(t) for t in range(1, last + 1)])
    rising = np.rint(np.interp(np.linspace(logs[0], logs[-1], steps), logs, np.arange(1, last + 1))).astype(int)
    rising = np.maximum.accumulate(rising - apart) + apart
    return np.minimum(rising, last - apart[::-1])[::-1].tolist()


def sigmas(steps: list[int], sigma_of: Callable[[int], float]) -> tuple[float, ...]:
    """The run's sigmas, one more than its steps: the last is the level of timestep 0, not 0.

    A final sigma of 0 would leave the last step no noise, and so no map that could bring the photo back.
    """
    levels = tuple(float(sigma_of(t)) for t in [*steps, 0])
    if any(a <= b for a, b in pairwise(levels)):
        raise ValueError("the model's noise levels do not fall at every step: use fewer steps")
    return levels

"""Few-step students of a model: the timesteps at which one was taught, and so the levels that a run may visit.

A student (a distilled checkpoint, or a LoRA on the ordinary one) was taught at a few timesteps of the schedule. Between
them it is an ordinary network at best, so that a run with one visits these and no others. What negative guidance does
to one is measured in docs/steps.md, on a student of the pocket model.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .schedule import TRAIN_STEPS, Spacing, timesteps

NONE = "none"
"""The ordinary model: any timestep will do."""


@dataclass(frozen=True)
class Student:
    """A kind of few-step student.

    known: the training timesteps at which it was taught, falling. most: steps beyond which its makers take no more.
    guidance: the highest that its makers advise, 1 where they advise none; they know no guidance below 0. files: such
    as.
    """

    known: tuple[int, ...]
    most: int
    guidance: float
    files: str


def trailing(steps: int) -> tuple[int, ...]:
    """The timesteps of a schedule of so many steps that begins at the last one (arXiv:2305.08891, table 2)."""
    return tuple(int(t) for t in np.round(np.arange(TRAIN_STEPS, 0, -TRAIN_STEPS / steps)) - 1)


CONSISTENCY = trailing(50)
"""What latent consistency models are taught: every 20th timestep (arXiv:2310.04378)."""

STUDENTS = {
    "hyper-8": Student(trailing(8), 8, 8.0, "Hyper-SDXL-8steps-CFG-lora"),
    "hyper-12": Student(trailing(12), 12, 8.0, "Hyper-SDXL-12steps-CFG-lora"),
    "lcm": Student(CONSISTENCY, 8, 2.0, "lcm-lora-sdxl, lcm-lora-sdv1-5"),
    "tcd": Student(CONSISTENCY, 20, 1.0, "TCD-SDXL-LoRA"),
    "lightning-4": Student(trailing(4), 4, 1.0, "sdxl_lightning_4step"),
    "lightning-8": Student(trailing(8), 8, 1.0, "sdxl_lightning_8step"),
}
"""By the names that users choose."""


def known_within(student: str, skip: float) -> tuple[int, ...]:
    """The timesteps that a student knows of those that ``skip`` leaves, falling. skip: [0, 1).

    Raises ValueError for an unknown student, and where they are fewer than the 2 that a run needs.
    """
    if student not in STUDENTS:
        raise ValueError(f"student must be {NONE} or one of {', '.join(STUDENTS)}, got {student!r}")
    known = STUDENTS[student].known
    first = timesteps(2, skip)[0]
    within = tuple(t for t in known if 0 < t <= first)
    if len(within) < 2:
        enough = (TRAIN_STEPS - 1 - known[-2]) / TRAIN_STEPS
        raise ValueError(
            f"the student {student} knows {len(within)} of the timesteps up to {first} that skip {skip:g} leaves, and "
            f"a run needs 2: set skip to {enough:g} or less (the preset custom), or take a student of more steps"
        )
    return within


def steps_taken(student: str, steps: int, skip: float) -> int:
    """The steps of a run that wants ``steps``: no more than the student knows there, nor than its makers take."""
    if student == NONE:
        return steps
    return min(steps, STUDENTS[student].most, len(known_within(student, skip)))


def visited(
    student: str,
    steps: int,
    skip: float,
    spacing: Spacing = Spacing.TIME,
    sigma_of: Callable[[int], float] | None = None,
) -> list[int]:
    """Falling training timesteps of a run: those of ``timesteps`` for the ordinary model, else only what the student
    knows, evenly by number from the noisiest on, as diffusers' LCM and TCD schedulers do under a strength of 1 - skip.

    Raises ValueError where there are fewer than steps.
    """
    if student == NONE:
        return timesteps(steps, skip, spacing, sigma_of)
    within = known_within(student, skip)
    if not 2 <= steps <= len(within):
        raise ValueError(
            f"the student {student} knows {len(within)} of the timesteps that skip {skip:g} leaves: steps must be from "
            f"2 to {len(within)}, got {steps}"
        )
    return [within[i] for i in np.floor(np.linspace(0, len(within), steps, endpoint=False)).astype(int)]


def caution(student: str, guidance: float) -> str | None:
    """What to know before such a run, in words; None where there is nothing.

    Guidance g adds g - 1 times what the person makes of a picture to it, so that below 0 a student that stands G can be
    expected to stand 2 - G.
    """
    if student == NONE or (stands := 2 - STUDENTS[student].guidance) <= guidance:
        return None
    return (
        f"guidance {guidance:g} is further from 1 than the makers of the student {student} go ({stands:g} would be as "
        f"far as their {STUDENTS[student].guidance:g}): colours may burn, look at the result"
    )

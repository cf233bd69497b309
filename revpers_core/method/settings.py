"""Named settings of a run; what each costs in privacy and likeness to the photo is measured in docs/steps.md."""

from typing import NamedTuple

from .schedule import PAPER_SKIP, PAPER_STEPS

CUSTOM = "custom"
"""Steps and skip of the user's own."""


class Preset(NamedTuple):
    """steps: per phase. skip: part of the schedule left out."""

    steps: int
    skip: float = PAPER_SKIP

    @property
    def evaluations(self) -> int:
        """Pictures that go through the network for a face: both branches in both phases."""
        return 4 * self.steps


PRESETS = {"paper": Preset(PAPER_STEPS), "balanced": Preset(16), "fast": Preset(10)}
DEFAULT = "balanced"
COSTS = ", ".join(f"{name} {one.evaluations} ({one.steps} steps)" for name, one in PRESETS.items())
"""In words, for tooltips and help."""


def resolve_preset(preset: str, steps: int, skip: float) -> Preset:
    """The named preset; of ``CUSTOM`` the given steps and skip."""
    return Preset(steps, skip) if preset == CUSTOM else PRESETS[preset]

"""Named settings: what a face costs, decided by the table in docs/steps.md."""

from dataclasses import dataclass, replace

from .schedule import PAPER_SKIP, PAPER_STEPS
from .types import Plan

CUSTOM = "custom"
"""Steps and skip as the user gives them."""


@dataclass(frozen=True)
class Preset:
    """steps: per phase. skip: part of the schedule left out."""

    steps: int
    skip: float = PAPER_SKIP

    @property
    def evaluations(self) -> int:
        """Of the network for a face: both branches, in both phases."""
        return 4 * self.steps

    def of(self, plan: Plan) -> Plan:
        """The plan with the preset's settings."""
        return replace(plan, steps=self.steps, skip=self.skip)


PRESETS = {"paper": Preset(PAPER_STEPS), "balanced": Preset(16), "fast": Preset(10)}

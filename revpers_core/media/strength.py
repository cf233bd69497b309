"""How strong guidance must be for a face: tried along one inversion until the judges are content. Fails closed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from torch import Tensor

from ..faces.judges import Judge
from ..method.identity import SAME_PERSON

STRONGER = 1.5
"""What guidance is multiplied with for a face that a judge still recognises."""
WEAKEST, STRONGEST = 1.0, 30.0
"""Bounds of |guidance| in a search: hardly anything changes below, and far above pictures break."""
NEAR = 0.25
"""A search ends where what is too weak and what is strong enough are nearer to each other than this."""


class Outcome(Enum):
    """What the judges make of a result: still the person; somebody else; less like the person than strangers are."""

    KNOWN = "known"
    RIGHT = "right"
    BEYOND = "beyond"


@dataclass(frozen=True)
class Target:
    """Asks for the weakest guidance that does.

    margin: how far below each judge's threshold the likeness must be, as a share of the way from there to its floor,
    [0, 1). tries: the budget of samplings a face, 1 or more.
    """

    margin: float = 0.2
    tries: int = 8

    def __post_init__(self):
        if not 0 <= self.margin < 1:
            raise ValueError(f"the margin of a target must be at least 0 and below 1, got {self.margin}")
        if self.tries < 1:
            raise ValueError(f"a target needs 1 or more tries, got {self.tries}")


class Judgement(NamedTuple):
    """What the judges make of a result, and the names of those who say so."""

    outcome: Outcome
    by: tuple[str, ...]


class Trial(NamedTuple):
    """One try of a search.

    guidance: below 0; and what the judges made of its result."""

    guidance: float
    outcome: Outcome
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.guidance:g}: {self.outcome.value}{' by ' if self.by else ''}{', '.join(self.by)}"


Made = TypeVar("Made")


class SearchResult(NamedTuple, Generic[Made]):
    """The result that is handed back, None where no try was right, and the tries in their order."""

    result: Made | None
    guidance: float
    tries: list[Trial]


def search_guidance(
    make: Callable[[float], Made], look: Callable[[Made], Judgement], guidance: float, aim: Target | None = None
) -> SearchResult[Made]:
    """The weakest right result among those tried; ``make`` samples at a guidance along an inversion that is there."""
    tries: list[Trial] = []
    best: SearchResult[Made] = SearchResult(None, guidance, tries)
    following: float | None = guidance
    while following is not None:
        candidate = make(following)
        judgement = look(candidate)
        tries.append(Trial(following, *judgement))
        if judgement.outcome is Outcome.RIGHT and (best.result is None or following > best.guidance):
            best = SearchResult(candidate, following, tries)
        following = next_guidance(tries, aim)
    return best


def next_guidance(tries: Sequence[Trial], aim: Target | None) -> float | None:
    """What to try next, None for no more.

    Without an aim, ``STRONGER`` once where a face is still known. With one, bisection of |guidance| between the
    strongest that was too weak and the weakest that was strong enough.
    """
    if aim is None:
        return tries[0].guidance * STRONGER if len(tries) == 1 and tries[0].outcome is Outcome.KNOWN else None
    if len(tries) >= aim.tries:
        return None
    weak = max((-trial.guidance for trial in tries if trial.outcome is Outcome.KNOWN), default=WEAKEST)
    strong = min((-trial.guidance for trial in tries if trial.outcome is not Outcome.KNOWN), default=None)
    if strong is None:
        return -min(weak * STRONGER, STRONGEST) if weak < STRONGEST else None
    return -(weak + strong) / 2 if strong - weak > NEAR else None


def judge_result(
    judges: Sequence[Judge],
    source: Sequence[Tensor],
    after: Sequence[Tensor],
    aim: Target | None = None,
    steered: float | None = None,
) -> Judgement:
    """What the judges make of a face, from its embeddings (one a judge) before and after.

    steered: its likeness as the recogniser that steered the run sees it. That one is easily content, so it is asked
    only whether the face is the SAME.

    KNOWN where any judge's likeness is not surely below its threshold (NaN included), else BEYOND where, under an aim,
    any is below its floor.
    """
    likeness = [(judge, judge.similarity(a, b)) for judge, a, b in zip(judges, source, after, strict=True)]
    recognising = tuple(judge.name for judge, value in likeness if not value < _limit(judge, aim))
    if steered is not None and steered >= SAME_PERSON:
        recognising += ("the recogniser that steered the run",)
    if recognising:
        return Judgement(Outcome.KNOWN, recognising)
    beyond = tuple(judge.name for judge, value in likeness if aim and value < judge.rule.floor)
    return Judgement(Outcome.BEYOND if beyond else Outcome.RIGHT, beyond)


def _limit(judge: Judge, aim: Target | None) -> float:
    return judge.rule.threshold - (aim.margin if aim else 0.0) * (judge.rule.threshold - judge.rule.floor)


class StillRecognisedError(ValueError):
    """A judge still takes a face for its source, or a face was missed: nothing is handed back."""

    __module__ = "revpers_core"  # where it is imported from; ComfyUI would show the path of our folder


def refusal(number: int, tries: Sequence[Trial], aim: Target | None) -> StillRecognisedError:
    """Why the face of this number is not handed back."""
    if aim is None:
        names = ", ".join(tries[-1].by)
        return StillRecognisedError(f"face {number} is still recognised by {names}: use stronger guidance")
    return StillRecognisedError(
        f"face {number}: no guidance was found at which every judge takes it for a stranger ("
        f"{'; '.join(map(str, tries))}): use a smaller margin, another person seed or fewer judges"
    )

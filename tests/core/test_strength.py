"""The search for the weakest guidance that does, and its refusals."""

import math
from types import SimpleNamespace

import pytest
import torch

from revpers_core.media.strength import (
    STRONGEST,
    Judgement,
    Outcome,
    Target,
    Trial,
    judge_result,
    next_guidance,
    refusal,
    search_guidance,
)
from revpers_core.method import settings


def judged(strong: float, beyond: float = math.inf):
    """A judge who knows the person above -strong and finds them stranger than strangers below -beyond."""

    def look(guidance: float) -> Judgement:
        seen = Outcome.KNOWN if guidance > -strong else Outcome.BEYOND if guidance < -beyond else Outcome.RIGHT
        return Judgement(seen, ("judge",))

    return look


def same(guidance: float) -> float:
    return guidance


@pytest.mark.parametrize("strong", [1.3, 4.1, 9.9, 14.0, 29.0])
@pytest.mark.parametrize("start", [-2.0, -10.0, -20.0])
def test_the_weakest_guidance_is_found_within_the_budget(strong: float, start: float) -> None:
    result = search_guidance(same, judged(strong), start, Target(tries=12))
    assert result.result == result.guidance <= -strong
    assert result.guidance == pytest.approx(-strong, abs=0.3)
    assert len(result.tries) <= 12


def test_overshoot_leads_back() -> None:
    result = search_guidance(same, judged(3.0, beyond=4.0), -10.0, Target())
    assert -4 <= result.guidance <= -3 and result.tries[0].outcome is Outcome.BEYOND


def test_nothing_right_hands_back_nothing() -> None:
    for look in (judged(100), judged(3.0, beyond=3.0001), judged(0.0, beyond=0.0)):
        result = search_guidance(same, look, -10.0, Target())
        assert result.result is None and len(result.tries) <= Target().tries
    assert search_guidance(same, judged(100), -10.0, Target(tries=20)).tries[-1].guidance == -STRONGEST
    assert search_guidance(same, judged(10), -4.0, Target(tries=1)).result is None


def test_a_judge_that_is_not_monotone_gets_only_what_it_found_right() -> None:
    answers = iter(
        [
            Outcome.KNOWN,
            Outcome.RIGHT,
            Outcome.KNOWN,
            Outcome.KNOWN,
            Outcome.RIGHT,
            Outcome.RIGHT,
            Outcome.RIGHT,
            Outcome.RIGHT,
        ]
    )
    looked = []

    def look(guidance: float) -> Judgement:
        looked.append((guidance, next(answers)))
        return Judgement(looked[-1][1], ())

    result = search_guidance(same, look, -10.0, Target())
    assert (result.result, Outcome.RIGHT) in looked


def test_without_an_aim_one_stronger_try_and_no_more() -> None:
    for strong, tries in ((5.0, [-10.0]), (12.0, [-10.0, -15.0]), (20.0, [-10.0, -15.0])):
        result = search_guidance(same, judged(strong), -10.0)
        assert [one.guidance for one in result.tries] == tries
        assert result.result == (None if strong == 20.0 else tries[-1])
    assert next_guidance([Trial(-10.0, Outcome.RIGHT)], None) is None


def a_judge(likeness: float) -> SimpleNamespace:
    rule = SimpleNamespace(threshold=0.3, floor=-0.2)
    return SimpleNamespace(name=f"says {likeness}", rule=rule, similarity=lambda a, b: likeness)


@pytest.mark.parametrize(
    ("likeness", "aim", "seen"),
    [
        ([0.31], None, Outcome.KNOWN),
        ([0.29], None, Outcome.RIGHT),
        ([-0.9], None, Outcome.RIGHT),
        ([math.nan], None, Outcome.KNOWN),
        ([0.29], Target(margin=0.2), Outcome.KNOWN),
        ([0.19], Target(margin=0.2), Outcome.RIGHT),
        ([-0.21], Target(), Outcome.BEYOND),
        ([math.nan], Target(), Outcome.KNOWN),
        ([-0.9, 0.31], Target(), Outcome.KNOWN),
        ([0.1, -0.21], Target(), Outcome.BEYOND),
        ([], None, Outcome.RIGHT),
    ],
)
def test_what_judges_see(likeness: list[float], aim: Target | None, seen: Outcome) -> None:
    nothing = [torch.zeros(1)] * len(likeness)
    assert judge_result([a_judge(one) for one in likeness], nothing, nothing, aim).outcome is seen


def test_refusals_name_judges_and_tries() -> None:
    tries = [Trial(-10.0, Outcome.KNOWN, ("dlib",)), Trial(-15.0, Outcome.BEYOND, ("arc",))]
    assert "face 2 is still recognised by dlib" in str(refusal(2, tries[:1], None))
    assert "-10: known by dlib; -15: beyond by arc" in str(refusal(2, tries, Target()))


@pytest.mark.parametrize("wrong", [{"margin": 1.0}, {"margin": -0.1}, {"tries": 0}])
def test_impossible_aims_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="target"):
        Target(**wrong)


def test_the_recogniser_that_steered_the_run_vouches_for_nothing_but_sees_the_same_face():
    assert judge_result([], [], [], steered=0.9).outcome is Outcome.KNOWN
    assert judge_result([], [], [], steered=0.5).outcome is Outcome.RIGHT
    assert judge_result([], [], [], steered=None).outcome is Outcome.RIGHT


def test_one_dial_says_how_far():
    """They are not multiplied; whoever has turned both learns what older versions made of it."""
    assert [settings.guidance_from(s, g) for s, g in ((1, -10), (0.5, -10), (1, -4), (0, -10))] == [-10, -5, -4, 0]
    with pytest.raises(ValueError, match="strength 1 with guidance -4 gives what they gave"):
        settings.guidance_from(0.5, -8)

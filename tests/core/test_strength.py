"""The search for the weakest guidance that does, and its refusals."""

import math
from types import SimpleNamespace

import pytest
import torch

from revpers_core.media.strength import STRONGEST, Aim, Look, Seen, Try, found, next_guidance, refused, seen_by


def judged(strong: float, beyond: float = math.inf):
    """A judge who knows the person above -strong and finds them stranger than strangers below -beyond."""

    def look(guidance: float) -> Look:
        seen = Seen.KNOWN if guidance > -strong else Seen.BEYOND if guidance < -beyond else Seen.RIGHT
        return Look(seen, ("judge",))

    return look


def same(guidance: float) -> float:
    return guidance


@pytest.mark.parametrize("strong", [1.3, 4.1, 9.9, 14.0, 29.0])
@pytest.mark.parametrize("start", [-2.0, -10.0, -20.0])
def test_the_weakest_guidance_is_found_within_the_budget(strong: float, start: float) -> None:
    result = found(same, judged(strong), start, Aim(tries=12))
    assert result.made == result.guidance <= -strong
    assert result.guidance == pytest.approx(-strong, abs=0.3)
    assert len(result.tries) <= 12


def test_overshoot_leads_back() -> None:
    result = found(same, judged(3.0, beyond=4.0), -10.0, Aim())
    assert -4 <= result.guidance <= -3 and result.tries[0].seen is Seen.BEYOND


def test_nothing_right_hands_back_nothing() -> None:
    for look in (judged(100), judged(3.0, beyond=3.0001), judged(0.0, beyond=0.0)):
        result = found(same, look, -10.0, Aim())
        assert result.made is None and len(result.tries) <= Aim().tries
    assert found(same, judged(100), -10.0, Aim(tries=20)).tries[-1].guidance == -STRONGEST
    assert found(same, judged(10), -4.0, Aim(tries=1)).made is None


def test_a_judge_that_is_not_monotone_gets_only_what_it_found_right() -> None:
    answers = iter([Seen.KNOWN, Seen.RIGHT, Seen.KNOWN, Seen.KNOWN, Seen.RIGHT, Seen.RIGHT, Seen.RIGHT, Seen.RIGHT])
    looked = []

    def look(guidance: float) -> Look:
        looked.append((guidance, next(answers)))
        return Look(looked[-1][1], ())

    result = found(same, look, -10.0, Aim())
    assert (result.made, Seen.RIGHT) in looked


def test_without_an_aim_one_stronger_try_and_no_more() -> None:
    for strong, tries in ((5.0, [-10.0]), (12.0, [-10.0, -15.0]), (20.0, [-10.0, -15.0])):
        result = found(same, judged(strong), -10.0)
        assert [one.guidance for one in result.tries] == tries
        assert result.made == (None if strong == 20.0 else tries[-1])
    assert next_guidance([Try(-10.0, Seen.RIGHT)], None) is None


def a_judge(likeness: float) -> SimpleNamespace:
    rule = SimpleNamespace(threshold=0.3, floor=-0.2)
    return SimpleNamespace(name=f"says {likeness}", rule=rule, similarity=lambda a, b: likeness)


@pytest.mark.parametrize(
    ("likeness", "aim", "seen"),
    [
        ([0.31], None, Seen.KNOWN),
        ([0.29], None, Seen.RIGHT),
        ([-0.9], None, Seen.RIGHT),
        ([math.nan], None, Seen.KNOWN),
        ([0.29], Aim(margin=0.2), Seen.KNOWN),
        ([0.19], Aim(margin=0.2), Seen.RIGHT),
        ([-0.21], Aim(), Seen.BEYOND),
        ([math.nan], Aim(), Seen.KNOWN),
        ([-0.9, 0.31], Aim(), Seen.KNOWN),
        ([0.1, -0.21], Aim(), Seen.BEYOND),
        ([], None, Seen.RIGHT),
    ],
)
def test_what_judges_see(likeness: list[float], aim: Aim | None, seen: Seen) -> None:
    nothing = [torch.zeros(1)] * len(likeness)
    assert seen_by([a_judge(one) for one in likeness], nothing, nothing, aim).seen is seen


def test_refusals_name_judges_and_tries() -> None:
    tries = [Try(-10.0, Seen.KNOWN, ("dlib",)), Try(-15.0, Seen.BEYOND, ("arc",))]
    assert "face 2 is still recognised by dlib" in str(refused(2, tries[:1], None))
    assert "-10: known by dlib; -15: beyond by arc" in str(refused(2, tries, Aim()))


@pytest.mark.parametrize("wrong", [{"margin": 1.0}, {"margin": -0.1}, {"tries": 0}])
def test_impossible_aims_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="target"):
        Aim(**wrong)


def test_the_recogniser_that_steered_the_run_vouches_for_nothing_but_sees_the_same_face():
    assert seen_by([], [], [], steered=0.9).seen is Seen.KNOWN
    assert seen_by([], [], [], steered=0.5).seen is Seen.RIGHT
    assert seen_by([], [], [], steered=None).seen is Seen.RIGHT

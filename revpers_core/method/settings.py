"""The settings of a run in one table: defaults, ranges and help for boxes, command options and the library alike.

What each preset costs in privacy and likeness to the photo is measured in docs/steps.md.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Generic, NamedTuple, TypeVar

from .schedule import PAPER_SKIP, PAPER_STEPS
from .students import NONE, STUDENTS, steps_taken

T = TypeVar("T", int, float)

CUSTOM, PAPER = "custom", "paper"
"""Presets: steps and skip of the user's own; what the paper does, and nobody in particular who comes instead."""


@dataclass(frozen=True)
class Number(Generic[T]):
    """A number that a user may set.

    default, low, high: the range is closed. step: of a dial. about: help in whole sentences, in which {low}, {high} and
    {default} stand for the values.
    """

    default: T
    low: T
    high: T
    step: T
    about: str

    @property
    def help(self) -> str:
        """The help with the values in it."""
        return self.about.format(low=f"{self.low:g}", high=f"{self.high:g}", default=f"{self.default:g}")

    def check(self, name: str, value: T) -> T:
        """The value itself; raises ValueError outside the range."""
        if not (isfinite(value) and self.low <= value <= self.high):
            low, high = (f"{v:g}" if isinstance(v, float) else v for v in (self.low, self.high))
            raise ValueError(f"{name} must be from {low} to {high}, got {value}")
        return value


class Choice(NamedTuple):
    """One of several words that a user may choose."""

    options: tuple[str, ...]
    default: str
    help: str


class Preset(NamedTuple):
    """A named number of steps.

    steps: per phase. skip: part of the schedule left out. student: whose levels are visited.
    """

    steps: int
    skip: float = PAPER_SKIP
    student: str = NONE

    @property
    def evaluations(self) -> int:
        """Pictures that go through the network for a face: both branches in both phases."""
        return 4 * self.steps


PRESETS = {PAPER: Preset(PAPER_STEPS), "balanced": Preset(16), "fast": Preset(10), "instant": Preset(6)}
COSTS = ", ".join(f"{name} {preset.evaluations} ({preset.steps} steps)" for name, preset in PRESETS.items())
"""In words, for help."""

PRESET = Choice(
    (*PRESETS, CUSTOM),
    "balanced",
    f"Pictures that go through the model for a face: {COSTS}; custom takes steps and skip. What each costs in privacy "
    "and likeness to the photo is measured in docs/steps.md.",
)
STEPS = Number(
    PAPER_STEPS, 2, 999, 1,
    "Steps of each phase, {low} to {high}; the paper takes {default}. Each costs two model evaluations to invert and "
    "two to sample. Fewer are faster and follow the photo less well; no more than skip leaves timesteps (299 "
    "at 0.7).",
)  # fmt: skip
SKIP = Number(
    PAPER_SKIP, 0.0, 0.99, 0.01,
    "Share of the schedule left out, {low} to {high}; the paper takes {default}. Less keeps less of the photo and "
    "changes more.",
)  # fmt: skip
GUIDANCE = Number(
    -10.0, -30.0, 30.0, 0.5,
    "{low} to {high}. Below 0 leads away from the person (the paper: {default}); 0 ignores who it is, above 0 makes "
    "the person more alike.",
)  # fmt: skip
STRENGTH = Number(
    1.0, 0.0, 3.0, 0.05,
    "How far from the person, {low} to {high}: 1 is the paper's (guidance -10), 0.5 half as far. More is safer and "
    "costs detail.",
)  # fmt: skip
SEED = Number(
    0, 0, 0xFFFFFFFFFFFFFFFF, 1,
    "Of the noise. Another one gives nearly the same new face where the same stranger or nobody comes instead, and "
    "inverts anew. Keep it secret: it helps to undo the result.",
)  # fmt: skip
PERSON = Number(
    0, 0, 0xFFFFFFFFFFFFFFFF, 1,
    "Who the stranger is: another seed, another new person. A photo is not inverted again for it, a clip is. Keep it "
    "secret: it helps to undo the result.",
)  # fmt: skip
STRANGER, NOBODY = "a stranger by seed", "nobody"
KEY, PICTURE = "the same stranger by key", "this picture"
WHO = Choice(
    (STRANGER, NOBODY),
    STRANGER,
    "Who comes instead: a stranger, by the person seed, another for each face; or nobody in particular, as in the "
    "paper and always under the preset 'paper'. 'Who Comes Instead', connected to instead, knows more ways and then "
    "counts under any preset.",
)
LENGTH = Number(
    1.0, 0.0, 1.0, 0.05,
    "How much the new face looks like who comes instead, {low} (nobody in particular) to {high}. More costs some "
    "expression; what it does to privacy is measured in docs/attacks.md.",
)  # fmt: skip
STUDENT = Choice(
    (NONE, *STUDENTS),
    NONE,
    "The few-step student (Hyper-SDXL, LCM, TCD, Lightning) that is on the model: only the noise levels that it was "
    "taught are visited, at most as many as the preset or steps say. It puts no LoRA on. What it costs in privacy: "
    "docs/steps.md.",
)
EVERY = Number(
    1, 1, 4, 1,
    "Of neighbouring frames every so many are sampled, {low} to {high}, the others blended from the results around "
    "them: 2 takes about half the time, 4 a quarter. Quick lips and lids may blur; what it costs is measured in "
    "docs/clips.md.",
)  # fmt: skip
AT_ONCE = Number(
    0, 0, 999, 1,
    "Steps of the inversion that share a call of the model, {low} to {high}. 0: as many as fit where only rounding "
    "changes (a float32 model without other packs' patches), else one. More than one in half precision is faster, but "
    "gives another result.",
)  # fmt: skip
TARGET = Number(
    0.0, 0.0, 0.95, 0.05,
    "Above 0 looks, for each face, for the weakest guidance at which every judge sees a stranger: this far on the way "
    "from its threshold to the likeness that few strangers fall below. {low} to {high}; needs a judge. Inverts once.",
)  # fmt: skip
SIZE = Number(
    1024, 64, 2048, 8,
    "The model's own side in pixels, {low} to {high}: 1024 for SDXL, 512 for SD 1.5, 128 for the pocket model.",
)  # fmt: skip
SCALE = Number(
    1.0, 0.0, 3.0, 0.05, "Length of the identity vector, {low} to {high}. The paper's value is {default}; 0 is nobody."
)
ADAPTER_STRENGTH = Number(
    1.0, 0.0, 2.0, 0.05,
    "How strongly the model listens to the identity, {low} to {high}. The paper's value is {default}.",
)  # fmt: skip
CONTROL = Number(
    0.8,
    0.0,
    2.0,
    0.05,
    "How strongly the ControlNet holds the five points, {low} to {high}; InstantID takes {default}.",
)
MIN_SCORE = Number(
    0.5, 0.3, 1.0, 0.05,
    "{low} to {high}: detections less sure than this are no faces. Lower it when someone is missed.",
)  # fmt: skip
SMALLEST = Number(
    20.0,
    4.0,
    512.0,
    1.0,
    "Height in pixels of the smallest face that must be found, {low} to {high}; smaller takes longer.",
)
FEATHER = Number(
    0.25, 0.05, 1.0, 0.05, "Width of the soft rim of a face's mask, in its radii, {low} to {high}: more blends further."
)  # fmt: skip
CROP_FACTOR = Number(
    1.0, 1.0, 3.0, 0.05,
    "How much around the face the model sees, {low} to {high} times the paper's square (which is about twice the "
    "face's box); the paper takes {default}. More shows more of the surround and leaves the face fewer pixels.",
)  # fmt: skip
METHOD = Choice(
    ("reverse", "nullface"),
    "reverse",
    "How it leads away: reverse walks away from the person's identity (the paper this pack is named after); nullface "
    "walks towards the opposite identity and keeps eyes, mouth and surround. Words are for reverse only.",
)
LIKENESS = Number(0.4, -1.0, 1.0, 0.01, "From which similarity on a face is somebody to be kept, {low} to {high}.")
NO_FACE = Choice(
    ("raise", "blur", "pass"),
    "raise",
    "A picture without a face: raise stops with an error, blur blurs it whole, pass lets it through as it is.",
)


def guidance_from(strength: float, guidance: float = GUIDANCE.default) -> float:
    """How far to lead away, by whichever of the two dials was turned; they are not multiplied with each other.

    Raises ValueError where both were.
    """
    if guidance == GUIDANCE.default:
        return guidance * strength
    if strength == STRENGTH.default:
        return guidance
    raise ValueError(
        f"strength {strength:g} and guidance {guidance:g}: one of the two says how far. Set guidance to "
        f"{GUIDANCE.default:g} so that strength counts, or strength to 1 so that guidance does (older versions "
        f"multiplied them: strength 1 with guidance {guidance * strength:g} gives what they gave)"
    )


def check_crop_factor(crop_factor: float, method: str) -> float:
    """The factor itself; raises ValueError outside its range, and for NullFace, which masks the paper's square."""
    CROP_FACTOR.check("crop_factor", crop_factor)
    if method == "nullface" and crop_factor != CROP_FACTOR.default:
        raise ValueError(f"crop_factor {crop_factor:g}: nullface knows the paper's square only: set it to 1")
    return crop_factor


def resolve_preset(preset: str, steps: int, skip: float, student: str = STUDENT.default) -> Preset:
    """The named preset; of ``CUSTOM`` the given steps and skip. Fewer steps where a student knows fewer.

    Raises ValueError where it knows less than a run needs.
    """
    chosen = Preset(steps, skip) if preset == CUSTOM else PRESETS[preset]
    return Preset(steps_taken(student, chosen.steps, chosen.skip), chosen.skip, student)

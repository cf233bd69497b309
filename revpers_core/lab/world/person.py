"""Who somebody is: everything that stays from photo to photo, drawn from one integer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .factors import AGES, SEXES, SKINS, clipped, odds, stream

SPREAD = 0.36
"""Of a local change of the head, in MakeHuman's units (1 is its most)."""
CHANGES = (
    "cheek-trans-up cheek-volume-incr cheek-inner-incr cheek-bones-incr chin-jaw-drop-incr chin-height-incr "
    "chin-prominent-incr chin-bones-incr chin-width-incr chin-cleft-incr chin-prognathism-incr ear-lobe-incr "
    "ear-shape-round ear-trans-forward ear-rot-forward ear-trans-up ear-scale-vert-incr ear-flap-incr "
    "ear-shape-triangle ear-scale-incr ear-scale-depth-incr ear-wing-incr eyebrows-angle-up eyebrows-trans-up "
    "eyebrows-trans-forward eye-corner1-up eye-height1-incr eye-scale-incr eye-push1-out eye-eyefold-up "
    "eye-height3-incr eye-height2-incr eye-bag-incr eye-push2-out eye-trans-up eye-bag-height-incr "
    "eye-epicanthus-out eye-eyefold-angle-up eye-bag-out eye-corner2-up eye-trans-out forehead-temple-incr "
    "forehead-trans-forward forehead-scale-vert-incr forehead-nubian-incr head-angle-out head-scale-vert-incr "
    "head-fat-incr head-back-scale-depth-incr head-age-incr head-scale-depth-incr head-scale-horiz-incr "
    "mouth-lowerlip-height-incr mouth-scale-horiz-incr mouth-cupidsbow-incr mouth-laugh-lines-out "
    "mouth-scale-depth-incr mouth-lowerlip-volume-incr mouth-angles-up mouth-upperlip-ext-up "
    "mouth-lowerlip-width-incr mouth-trans-forward mouth-upperlip-width-incr mouth-scale-vert-incr "
    "mouth-dimples-out mouth-upperlip-height-incr mouth-upperlip-volume-incr mouth-cupidsbow-width-incr "
    "mouth-lowerlip-ext-up mouth-upperlip-middle-up mouth-trans-up mouth-lowerlip-middle-up "
    "mouth-philtrum-volume-incr neck-scale-depth-incr neck-double-incr neck-scale-horiz-incr nose-nostrils-angle-up "
    "nose-flaring-incr nose-curve-convex nose-scale-depth-incr nose-scale-vert-incr nose-point-width-incr "
    "nose-scale-horiz-incr nose-width1-incr nose-trans-forward nose-trans-up nose-hump-incr nose-nostrils-width-incr "
    "nose-greek-incr nose-point-up nose-width2-incr nose-width3-incr nose-septumangle-incr nose-base-up "
    "nose-compression-uncompress nose-volume-incr"
)
"""MakeHuman's local changes of a head, without "l-" and "r-", in one string."""
HALF = {"head-angle-out", "eye-scale-incr", "mouth-scale-depth-incr", "ear-wing-incr", "head-fat-incr", "head-age-incr",
        "eye-trans-up", "eye-push1-out", "eye-push2-out", "eye-bag-out", "mouth-upperlip-ext-up",
        "mouth-lowerlip-ext-up",
        "chin-prognathism-incr", "mouth-trans-forward", "eye-height1-incr", "eye-height2-incr", "eye-height3-incr",
        "mouth-scale-vert-incr", "neck-double-incr", "nose-scale-depth-incr", "chin-jaw-drop-incr"}  # fmt: skip
"""Changes of which half is plenty: more looks ill."""
MELANIN = {"pale": (0.02, 0.09), "light": (0.11, 0.2), "tan": (0.25, 0.38), "brown": (0.46, 0.62), "dark": (0.7, 0.9)}
ANCESTRY = {"pale": (0.05, 0.35, 1.6), "light": (0.1, 0.9, 1.2), "tan": (0.4, 0.9, 0.6), "brown": (1.2, 0.5, 0.25),
            "dark": (2.5, 0.1, 0.1)}  # fmt: skip
"""How much of MakeHuman's african, asian and caucasian heads is in a skin's people (parameters of a Dirichlet)."""


@dataclass(frozen=True)
class Person:
    """An identity. Lengths are eye distances, places (x, y, z) in them from between the eyes: right of the viewer,
    back, up. Shares are from 0 to 1."""

    seed: int
    age: str
    years: float  # 0 (20) to 1 (85)
    sex: str
    skin: str
    melanin: float
    undertone: tuple[float, float, float]
    phenotypes: Mapping[str, float]
    changes: Mapping[str, float]
    lips: tuple[float, float]  # how red, how dark
    blush: float
    blotches: float
    freckles: float
    moles: tuple[tuple[float, float, float, float], ...]  # x, z, radius, darkness
    wrinkles: float
    eye_shade: float  # tint under the eyes
    iris: tuple[float, float, float]
    brow: Mapping[str, float]
    hair: str
    hair_melanin: float
    hair_redness: float
    grey: float
    hairline: float  # how far it has receded
    curl: float
    beard: float  # 0 shaven to 1 full
    glasses: int  # 0 none, else a frame
    texture: float  # where its skin's noise is drawn from

    @property
    def is_man(self) -> bool:
        return self.sex == "man"

    @property
    def attributes(self) -> tuple[int, int, int]:
        """Indices into AGES, SEXES and SKINS."""
        return AGES.index(self.age), SEXES.index(self.sex), SKINS.index(self.skin)


def person_from_seed(seed: int) -> Person:
    """The identity of a seed."""
    rng = stream(seed, 1)
    age, sex, skin = AGES[rng.integers(3)], SEXES[rng.integers(2)], SKINS[rng.integers(5)]
    man = sex == "man"
    years = float((AGES.index(age) + rng.uniform(0.1, 0.9)) / 3)
    melanin = float(rng.uniform(*MELANIN[skin]))
    hair, hair_melanin, redness, grey = _hair(stream(seed, 2), years, melanin)
    rng = stream(seed, 3)
    return Person(
        seed=seed, age=age, years=years, sex=sex, skin=skin, melanin=melanin,
        undertone=(1.0, float(rng.uniform(0.93, 1.05)), float(rng.uniform(0.86, 1.06))),
        phenotypes=_phenotypes(stream(seed, 4), years, man, skin), changes=_changes(stream(seed, 5), man),
        lips=(float(rng.uniform(0.2, 0.7) if man else rng.uniform(0.5, 1.4)), float(rng.uniform(0.1, 0.45))),
        blush=float(rng.uniform(0.1, 0.9)), blotches=float(rng.uniform(0.15, 0.6)),
        freckles=float(max(0, rng.normal(-0.25, 0.5)) * (melanin < 0.3)), moles=_moles(stream(seed, 6)),
        wrinkles=float(np.clip((years - 0.3) * 1.35, 0, 1) * rng.uniform(0.6, 1.2)),
        eye_shade=float(rng.uniform(0, 1)), iris=_iris(stream(seed, 7), melanin), brow=_brow(stream(seed, 8), man),
        hair=hair, hair_melanin=hair_melanin, hair_redness=redness, grey=grey,
        hairline=float(rng.uniform(0, 0.55) * (man and years > 0.3) + rng.uniform(-0.06, 0.06)),
        curl=float(np.clip(rng.normal(0.85, 0.1) if melanin > 0.6 else rng.beta(1.2, 3), 0, 1)),
        beard=float(max(0, rng.uniform(-1.1, 1)) if man else 0),
        glasses=int(rng.integers(1, 4)) if rng.random() < 0.08 + 0.08 * (years > 0.66) else 0,
        texture=float(rng.uniform(0, 100)),
    )  # fmt: skip


def _phenotypes(rng: np.random.Generator, years: float, man: bool, skin: str) -> dict[str, float]:
    african, asian, caucasian = rng.dirichlet(np.array(ANCESTRY[skin]) + 0.15)
    return {
        "gender": clipped(rng, 0.9 if man else 0.04, 0.07, 0, 1), "age": 0.5 + 0.42 * years,
        "muscle": clipped(rng, 0.5, 0.12, 0.2, 0.8), "weight": clipped(rng, 0.5, 0.13, 0.25, 0.8), "height": 0.5,
        "proportions": clipped(rng, 0.75, 0.15, 0.4, 1), "cupsize": 0.4, "firmness": 0.5, "african": float(african),
        "asian": float(asian), "caucasian": float(caucasian),
    }  # fmt: skip


MEANS = {"mouth-angles-up": 0.3, "mouth-upperlip-volume-incr": 0.25, "mouth-lowerlip-volume-incr": 0.25,
         "mouth-upperlip-height-incr": 0.2, "mouth-lowerlip-height-incr": 0.15, "nose-scale-vert-incr": -0.1,
         "nose-volume-incr": -0.15, "ear-scale-incr": -0.2, "ear-wing-incr": -0.15}  # fmt: skip
OF_WOMEN = {"mouth-upperlip-volume-incr": 0.2, "mouth-lowerlip-volume-incr": 0.2, "chin-bones-incr": -0.3,
            "chin-width-incr": -0.35, "eye-scale-incr": 0.15, "nose-scale-horiz-incr": -0.25, "nose-volume-incr": -0.15,
            "chin-prominent-incr": -0.2, "forehead-nubian-incr": 0.1, "cheek-bones-incr": 0.15,
            "nose-hump-incr": -0.2, "neck-scale-horiz-incr": -0.25, "head-age-incr": -0.15}  # fmt: skip
"""Where the template, and women beside it, are off what photographs show."""


def _changes(rng: np.random.Generator, man: bool) -> dict[str, float]:
    """Both sides by nearly the same amount, under MakeHuman's names."""
    changes: dict[str, float] = {}
    for name in CHANGES.split():
        value = float(np.clip(rng.normal(0, SPREAD), -0.85, 0.85)) * (0.5 if name in HALF else 1.0)
        value += MEANS.get(name, 0.0) + (0.0 if man else OF_WOMEN.get(name, 0.0))
        changes[name] = value
        for side in "lr":
            changes[f"{side}-{name}"] = float(np.clip(value + rng.normal(0, 0.05), -1, 1))
    return changes


def _moles(rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    """Three places, some of them bare (radius 0)."""
    moles: list[tuple[float, float, float, float]] = []
    for _ in range(3):
        visible = rng.random() < 0.4
        place = (float(rng.uniform(-0.9, 0.9)), float(rng.uniform(-1.5, 0.8)))
        moles.append((*place, float(rng.uniform(0.022, 0.05)) * visible, float(rng.uniform(0.5, 0.9))))
    return tuple(moles)


def _iris(rng: np.random.Generator, melanin: float) -> tuple[float, float, float]:
    shades = {"brown": (0.14, 0.06, 0.025), "dark": (0.05, 0.022, 0.012), "hazel": (0.19, 0.13, 0.05),
              "green": (0.14, 0.19, 0.1), "blue": (0.16, 0.26, 0.42), "grey": (0.22, 0.26, 0.29)}  # fmt: skip
    light = max(0.0, 1 - melanin / 0.35)
    weights = {"brown": 0.4, "dark": 0.3, "hazel": 0.16 * light, "green": 0.12 * light, "blue": 0.28 * light,
               "grey": 0.1 * light}  # fmt: skip
    colour = np.array(shades[odds(rng, weights)]) * rng.uniform(0.75, 1.25)
    return float(colour[0]), float(colour[1]), float(colour[2])


def _brow(rng: np.random.Generator, man: bool) -> dict[str, float]:
    """Of the brows: height, arch, reach and width in eye distances; inner gap; how dense and dark."""
    return {
        "height": clipped(rng, 0.36, 0.04, 0.28, 0.44), "arch": float(rng.uniform(0.0, 0.22)),
        "reach": float(rng.uniform(0.34, 0.44)), "width": float(rng.uniform(0.04, 0.075)) * (1.1 if man else 0.66),
        "inner": clipped(rng, 0.24, 0.05, 0.14, 0.34), "dense": float(rng.uniform(0.5, 1.05)) * (1.1 if man else 0.65),
        "tint": float(rng.uniform(0.25, 0.6)) * (1.0 if man else 0.8),
    }  # fmt: skip


def _hair(rng: np.random.Generator, years: float, melanin: float) -> tuple[str, float, float, float]:
    """Colour's name, the hair shader's melanin and redness, and how grey it is."""
    light = max(0.0, 1 - melanin / 0.4)
    weights = {"black": 0.3 + 0.7 * (1 - light), "brown": 0.3, "auburn": 0.1 * light, "red": 0.08 * light,
               "blond": 0.35 * light}  # fmt: skip
    name = odds(rng, weights)
    shade = {
        "black": (0.96, 0.3),
        "brown": (0.78, 0.5),
        "auburn": (0.62, 0.85),
        "red": (0.42, 1.0),
        "blond": (0.24, 0.4),
    }
    value, redness = shade[name]
    grey = float(np.clip((years - 0.62) * 3.2, 0, 1) * rng.uniform(0.15, 1.0))
    if grey > 0.45:
        name = "white" if grey > 0.75 else "grey"
    return name, clipped(rng, value, 0.03, 0.1, 1), clipped(rng, redness, 0.08, 0, 1), grey

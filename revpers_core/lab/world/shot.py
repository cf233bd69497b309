"""How somebody is photographed: everything that differs between two photos of one person, drawn from one integer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .factors import CLOTHES, FACTORS, HAIRS, HELD_OUT, PHOTOS, SCENES, clipped, odds, stream
from .person import Person, person_from_seed

STYLES = {
    # Odds of young, middle-aged and old women, then men, in HAIRS' order.
    ("woman", "young"): (1, 0, 5, 9, 12, 12, 13, 15, 20, 13),
    ("woman", "middle-aged"): (1, 0, 6, 14, 14, 10, 14, 15, 16, 10),
    ("woman", "old"): (2, 0, 9, 22, 18, 8, 20, 12, 6, 3),
    ("man", "young"): (6, 2, 24, 24, 17, 10, 9, 3, 3, 2),
    ("man", "middle-aged"): (10, 14, 24, 22, 14, 5, 6, 2, 2, 1),
    ("man", "old"): (14, 26, 22, 20, 11, 2, 3, 1, 1, 0),
}
CALM = {"smile": 0.1, "open": 0.0, "brow": 0.0, "lid": 0.92, "gaze_x": 0.0, "gaze_y": 0.0, "yaw": 0.0, "pitch": 0.0,
        "roll": 0.0, "light_x": 0.3, "light_y": 0.3}  # fmt: skip
"""A plain portrait's factors."""


@dataclass(frozen=True)
class Shot:
    """One photograph.

    factors: by FACTORS' names. hair: one of HAIRS; its length, volume and parting in eye distances. world: which
    environment lights it; turn: by how much it is turned, radians; part: of it behind, (x, y, width) in shares. key,
    fill, rim: lights' watts; soft: the key's side in metres; warm: of its colour. exposure: in stops; white: gains of
    red and blue; grain: of the sensor. zoom, shift: of the frame, in shares of its side.
    """

    seed: int
    factors: Mapping[str, float]
    hair: str
    length: float
    volume: float
    parting: float
    flow: int  # seed of strands
    clothes: str
    cloth: tuple[float, float, float]
    stripes: float
    glasses: bool
    world: int
    turn: float
    part: tuple[float, float, float]
    blur: int
    ambient: float
    behind: float
    key: float
    soft: float
    warm: float
    fill: float
    rim: float
    rim_side: int
    exposure: float
    white: tuple[float, float]
    grain: float
    zoom: float
    shift: tuple[float, float]


def shot_from_seed(person: Person, seed: int) -> Shot:
    """The photograph of a scene seed."""
    style, light, camera = stream(seed, 11), stream(seed, 12), stream(seed, 13)
    hair = odds(style, dict(zip(HAIRS, STYLES[person.sex, person.age], strict=True)))
    if hair == "curly" and person.curl < 0.2:
        hair = "short"
    hue = style.uniform(0, 1)
    return Shot(
        seed=seed, factors=_factors(stream(seed, 10)), hair=hair, length=float(style.uniform(0.8, 1.2)),
        volume=float(style.uniform(0, 1)), parting=clipped(style, 0, 0.35, -0.6, 0.6), flow=int(style.integers(2**31)),
        clothes=CLOTHES[style.integers(len(CLOTHES))], cloth=_cloth(hue, float(style.uniform(0.03, 0.7)), style),
        stripes=float(style.uniform(0, 1)), glasses=bool(person.glasses) and bool(style.random() < 0.8),
        world=int(light.integers(6)), turn=float(light.uniform(0, 2 * np.pi)),
        part=(float(light.uniform(0, 1)), float(light.uniform(0.3, 0.55)), float(light.uniform(0.12, 0.3))),
        blur=int(light.integers(2)), ambient=float(light.uniform(0.45, 0.8)), behind=float(light.uniform(0.25, 0.6)),
        key=float(light.uniform(2.5, 6.0)), soft=float(light.uniform(0.4, 1.3)),
        warm=clipped(light, 0.03, 0.07, -0.12, 0.2),
        fill=float(light.uniform(1.0, 3.2)), rim=float(light.uniform(0, 2.5)), rim_side=int(light.choice([-1, 1])),
        exposure=clipped(camera, 0, 0.22, -0.45, 0.45),
        white=(_gain(camera, 0.04), _gain(camera, 0.05)),
        grain=float(camera.uniform(0.001, 0.008)), zoom=float(camera.uniform(-0.04, 0.04)),
        shift=(float(camera.uniform(-0.015, 0.015)), float(camera.uniform(-0.015, 0.015))),
    )  # fmt: skip


def _factors(rng: np.random.Generator) -> dict[str, float]:
    return {
        "smile": float(rng.uniform(-0.4, 1.0)), "open": float(max(0, (rng.uniform() - 0.5) / 0.5) ** 1.2),
        "brow": clipped(rng, 0, 0.45, -1, 1), "lid": float(1 - rng.uniform() ** 4 * 0.95),
        "gaze_x": float(rng.uniform(-1, 1)), "gaze_y": float(rng.uniform(-0.8, 0.8)),
        "yaw": clipped(rng, 0, 15, -35, 35), "pitch": clipped(rng, 0, 6.5, -18, 18),
        "roll": clipped(rng, 0, 3.5, -8, 8),
        "light_x": float(rng.uniform(-1, 1)), "light_y": float(rng.uniform(-0.3, 1)),
    }  # fmt: skip


def _gain(rng: np.random.Generator, spread: float) -> float:
    """Of a colour by the white balance."""
    return float(np.exp(clipped(rng, 0, spread, -2.5 * spread, 2.5 * spread)))


def _cloth(hue: float, value: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A linear colour, mostly muted."""
    wheel = 0.5 + 0.5 * np.cos(2 * np.pi * (hue - np.array([0.0, 1 / 3, 2 / 3])))
    colour = value * (1 + rng.beta(1.2, 2.5) * (wheel - 1))
    return float(colour[0]), float(colour[1]), float(colour[2])


def edited(shot: Shot, **factors: float) -> Shot:
    """The same photograph with some of the factors set. Raises ValueError for a name that is none."""
    if wrong := set(factors) - set(FACTORS):
        raise ValueError(f"a factor must be one of {', '.join(FACTORS)}, got {', '.join(sorted(wrong))}")
    return replace(shot, factors={**shot.factors, **factors})


def clip(person: Person, seed: int, frames: int) -> list[Shot]:
    """The photographs of a clip: factors, light and camera move smoothly, all else stays."""
    first = shot_from_seed(person, seed)
    time = np.arange(frames) / 24  # seconds at 24 frames each
    targets = [_factors(stream(seed + 1000 + k, 10)) for k in range(int(time[-1]) + 3)]
    moves: list[Shot] = []
    for t in time:
        k, share = int(t), (1 - np.cos(np.pi * (t - int(t)))) / 2
        factors = {name: float(targets[k][name] * (1 - share) + targets[k + 1][name] * share) for name in FACTORS}
        turn = first.turn + 0.15 * np.sin(2 * np.pi * t / 5)
        sway = tuple(
            float(0.012 * np.sin(2 * np.pi * t / period + phase)) for period, phase in ((3.1, 0.4), (2.3, 1.9))
        )
        moves.append(replace(first, factors=factors, turn=float(turn), shift=(sway[0], sway[1]), grain=first.grain))

    return moves


def training_shot(number: int, photo: int) -> tuple[int, int]:
    """Seeds (person, scene) of a training photograph."""
    return number, SCENES + PHOTOS * number + photo


def held_out_shot(number: int, photo: int) -> tuple[int, int]:
    """Seeds (person, scene) of a photograph that no training sees."""
    return HELD_OUT + number, 2 * SCENES * 100 + 1000 * number + photo


def describe(person_seed: int, shot_seed: int) -> tuple[np.ndarray, tuple[int, int, int], dict[str, str]]:
    """Factors (11,) float32 in FACTORS' order, indices of age, sex and skin, and the words for a photograph."""
    person = person_from_seed(person_seed)
    shot = shot_from_seed(person, shot_seed)
    return np.array([shot.factors[name] for name in FACTORS], np.float32), person.attributes, words(person, shot)


def words(person: Person, shot: Shot) -> dict[str, str]:
    """What one would say of a photograph: age, sex, skin, hair, and, where there is something to say, the rest."""
    smile, wide = shot.factors["smile"], shot.factors["open"]
    return {
        "age": person.age, "sex": person.sex, "skin": f"{person.skin} skin",
        "hair": "bald" if shot.hair == "bald" else f"{person.hair} hair",
        "expression": "open mouth" if wide > 0.45 else "smiling" if smile > 0.35 else "",
        "beard": "beard" if person.beard > 0.25 else "", "glasses": "glasses" if shot.glasses else "",
    }  # fmt: skip

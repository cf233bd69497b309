"""What is known of a rendered photograph, and how one would say it in words. Plain numpy."""

import numpy as np

FACTORS = ("smile", "open", "brow", "lid", "gaze_x", "gaze_y", "yaw", "pitch", "roll", "light_x", "light_y")
"""Degrees for yaw, pitch and roll; open and lid from 0 to 1 (lid 1 is wide awake), the others from about -1 to 1.
Positive: a smile, raised brows, a look, a turn and a light to the viewer's right, a look and a light from above, a head
that leans clockwise, a camera that looks down."""
AGES = ("young", "middle-aged", "old")
SEXES = ("woman", "man")
SKINS = ("pale", "light", "tan", "brown", "dark")
HAIRS = ("bald", "balding", "cropped", "short", "swept", "fringe", "curly", "tied", "long", "long fringe")
COLOURS = ("black", "brown", "auburn", "red", "blond", "grey", "white")
CLOTHES = ("t-shirt", "crew neck", "shirt", "v-neck")

HELD_OUT = 1_000_000
"""First identity seed of the people that no training sees."""
PHOTOS = 4
"""Training photographs of each person."""
SCENES = 10_000_000
"""First scene seed of the training photographs: photo k of person i is ``SCENES + PHOTOS * i + k``."""


def stream(seed: int, salt: int) -> np.random.Generator:
    """Random numbers that depend on a seed and on what they are for."""
    return np.random.default_rng([seed, salt])


def odds(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """One of the names, by weight."""
    names, values = list(weights), np.array(list(weights.values()), float)
    return names[int(rng.choice(len(names), p=values / values.sum()))]


def clipped(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    """A normal number, held between two bounds."""
    return float(np.clip(rng.normal(mean, spread), low, high))

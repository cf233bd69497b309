"""Clips of the pocket world: rendered people who move, with every factor of every frame known."""

import math

import torch
from torch import Tensor

from ..pocket import HELD_OUT, world

FIRST = 5_000
"""Of the held-out people whom no other measurement uses."""
SCENES = 90_000_000
MOVES = {
    "smile": (0.5, 0.45), "open": (0.4, 0.4), "brow": (0.5, 0.3), "gaze_x": (0.0, 0.7), "gaze_y": (0.0, 0.4),
    "yaw": (0.0, 0.6), "pitch": (0.0, 0.4), "roll": (0.0, 0.3),
}  # fmt: skip
"""Factors that move in a clip: where about, and how far, in the world's own ranges."""


def moving(person: int, frames: int, rate: float = 25.0) -> world.Faces:
    """The ``person``-th of the clips' people in one scene, each factor on a slow wave of its own."""
    faces = world.sample([HELD_OUT + FIRST + person] * frames, [SCENES + person] * frames)
    draw = torch.Generator().manual_seed(person)
    seconds = torch.arange(frames) / rate
    values: dict[str, Tensor] = {}
    for name, (middle, reach) in MOVES.items():
        pace, phase, slow = torch.rand(3, generator=draw).tolist()
        wave = torch.sin(2 * math.pi * ((0.4 + 0.8 * pace) * seconds + phase))
        values[name] = middle + reach * (0.75 * wave + 0.25 * torch.sin(2 * math.pi * (0.3 * seconds + slow)))
    return world.edited(faces, **values)


def clip(person: int, frames: int) -> Tensor:
    """(T, 3, 128, 128): the frames of a person's clip, aligned crops all of them."""
    return world.render(moving(person, frames))


def other_photo(person: int, number: int = 1) -> Tensor:
    """(3, 128, 128): somebody of the clips in another scene."""
    return world.render(world.sample([HELD_OUT + FIRST + person], [SCENES + 100_000 * number + person]))[0]


def scene(people: list[int], frames: int, size: tuple[int, int] = (180, 320)) -> Tensor:
    """(T, 3, H, W): people of the clips beside each other, each drifting over a grey wall."""
    height, width = size
    image = torch.full((frames, 3, height, width), 0.55)
    for k, person in enumerate(people):
        shots = clip(person, frames)
        room = width // len(people)
        for t in range(frames):
            x = k * room + round((room - 128) * (0.5 + 0.5 * math.sin(0.15 * t + k)))
            y = round((height - 128) * (0.5 + 0.5 * math.cos(0.11 * t + 2 * k)))
            image[t, :, y : y + 128, x : x + 128] = shots[t]
    return image

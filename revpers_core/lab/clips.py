"""The gallery's clips as aligned faces: rendered people who move, with every factor of every frame known."""

import math
from functools import cache

import torch
from torch import Tensor

from ..faces.geometry import crop_face
from ..media import clip as clip_files
from ..media import gallery

SIDE = 128
"""Pixels of an aligned crop."""
MOVES = ("smile", "open", "brow", "gaze_x", "gaze_y", "yaw", "pitch")
"""Factors that move in a clip and that an aligned face shows: it is upright, whatever the roll."""
SHOWN = (3, 17, 40)
"""Of the gallery's people, those whom its clips show, in the clips' order."""


@cache
def clip(number: int, frames: int) -> Tensor:
    """(T, 3, 128, 128): the first frames of a clip of the gallery as aligned crops. Raises ValueError where it has
    fewer."""
    source = gallery.clip(number)
    if frames > len(source.faces):
        raise ValueError(f"the gallery's clips have {len(source.faces)} frames, {frames} are asked for")
    form = clip_files.probe(source.path)
    shown = zip(clip_files.scan(source.path, form, clip_files.Span()), source.faces[:frames], strict=False)
    return torch.stack([crop_face(clip_files.picture(frame.frame, form), face, SIDE).pixels for frame, face in shown])


def factors(number: int, frames: int) -> Tensor:
    """(T, 7): the true MOVES of these frames."""
    truths = gallery.clip(number).factors[:frames]
    return torch.tensor([[truth[name] for name in MOVES] for truth in truths])


def other_photos(number: int) -> Tensor:
    """(N, 3, 128, 128): other photos of the person of a clip."""
    person = SHOWN[number]
    return torch.stack([gallery.aligned_face(person, k, SIDE) for k in range(gallery.photos(person))])


def strangers() -> Tensor:
    """(N, 3, 128, 128): everyone in the gallery whom no clip shows, a photo each."""
    people = (person for person in range(gallery.people()) if person not in SHOWN)
    return torch.stack([gallery.aligned_face(person, 0, SIDE) for person in people])


def scene(numbers: list[int], frames: int, size: tuple[int, int] = (180, 320)) -> Tensor:
    """(T, 3, H, W): people of the clips beside each other, each drifting over a grey wall."""
    height, width = size
    image = torch.full((frames, 3, height, width), 0.55)
    for k, number in enumerate(numbers):
        shots = clip(number, frames)
        room = width // len(numbers)
        for t in range(frames):
            x = k * room + round((room - SIDE) * (0.5 + 0.5 * math.sin(0.15 * t + k)))
            y = round((height - SIDE) * (0.5 + 0.5 * math.cos(0.11 * t + 2 * k)))
            image[t, :, y : y + SIDE, x : x + SIDE] = shots[t]
    return image

"""Rendered photographs on disk: by seed, resumable, in files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from .develop import developed
from .factors import PHOTOS
from .person import person_from_seed
from .shot import held_out_shot, shot_from_seed, training_shot

if TYPE_CHECKING:
    from .render import Renderer

SIZE = 160
"""Pixels of a training photograph's side; networks take 128 of them, cut or shrunk."""
SHARD = 10
"""People a file."""
PLACES = 700_000_000
"""First seed of the places without anybody."""


def render_people(renderer: Renderer, folder: Path, count: int, part: int = 0, parts: int = 1) -> None:
    """Write ``people-NNNNN.npz`` for people 0 to ``count``, every ``parts``-th file, unless it is there.

    In each: images (N, 160, 160, 3) uint8, points (N, 5, 2) and box (N, 4) in the unit square, person and shot (N,)
    seeds, PHOTOS of each person one after another. All else follows from the seeds: ``shot.describe``.
    """
    _render(renderer, folder, "people", training_shot, count, part, parts)


def render_held_out(renderer: Renderer, folder: Path, count: int, part: int = 0, parts: int = 1) -> None:
    """The same as ``held-NNNNN.npz``, of people whom no training sees."""
    _render(renderer, folder, "held", held_out_shot, count, part, parts)


def _render(
    renderer: Renderer, folder: Path, name: str, seeds: Callable[[int, int], tuple[int, int]], count: int, part: int,
    parts: int,
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(part, -(-count // SHARD), parts), desc=f"{name} {part + 1}/{parts}", unit="file"):
        path = folder / f"{name}-{number:05d}.npz"
        if not path.exists():
            people = range(number * SHARD, min(count, (number + 1) * SHARD))
            write(path, render_shots(renderer, [seeds(i, k) for i in people for k in range(PHOTOS)]))


def render_shots(renderer: Renderer, seeds: Sequence[tuple[int, int]], size: int = SIZE) -> dict[str, np.ndarray]:
    """The arrays of one file, for (person, shot) seeds."""
    pictures = []
    for person_seed, shot_seed in seeds:
        person = person_from_seed(person_seed)
        pictures.append(renderer.render(person, shot_from_seed(person, shot_seed), size))
    return {
        "images": np.stack([picture.pixels for picture in pictures]),
        "points": np.stack([picture.points for picture in pictures]).astype(np.float32),
        "box": np.stack([picture.box for picture in pictures]).astype(np.float32),
        "person": np.array([person for person, _ in seeds]), "shot": np.array([shot for _, shot in seeds]),
    }  # fmt: skip


def render_places(renderer: Renderer, folder: Path, count: int, size: int = SIZE) -> None:
    """Write ``places.npz``: images (N, size, size, 3) uint8 of the backgrounds without anybody; no rays are needed."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "places.npz", {"images": np.stack([_place(renderer, k, size) for k in range(count)])})


def _place(renderer: Renderer, number: int, size: int) -> np.ndarray:
    from scipy.ndimage import map_coordinates  # which only those have who render

    seed = PLACES + number
    person = person_from_seed(seed)
    shot = shot_from_seed(person, seed)
    image = renderer.studio.blurred[shot.world][shot.blur]
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, :3].astype(np.float64)
    x, y, width = shot.part
    across, down = np.meshgrid(*[np.linspace(0, 1, size)] * 2)
    at = [(1 - y - 2 * width * (1 - down)) * pixels.shape[0], (x + width * across) * pixels.shape[1]]
    linear = np.stack([map_coordinates(pixels[..., c], at, order=1, mode="mirror") for c in range(3)], -1)
    return developed(np.maximum(linear, 0), person, shot)


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed file, whole or not at all."""
    new = path.with_suffix(".part")
    with new.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(new, path)

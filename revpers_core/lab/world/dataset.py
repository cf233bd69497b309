"""Rendered photographs on disk: by seed, resumable, in files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from .factors import PHOTOS
from .person import person
from .shot import shot, training_shot

if TYPE_CHECKING:
    from .render import Renderer

SIZE = 160
"""Pixels of a training photograph's side; networks take 128 of them, cut or shrunk."""
SHARD = 10
"""People a file."""


def render_people(renderer: Renderer, folder: Path, count: int, part: int = 0, parts: int = 1) -> None:
    """Write ``people-NNNNN.npz`` for people 0 to ``count``, every ``parts``-th file, unless it is there.

    In each: images (N, 160, 160, 3) uint8, points (N, 5, 2) and box (N, 4) in the unit square, person and shot (N,)
    seeds, PHOTOS of each person one after another. All else follows from the seeds: ``shot.describe``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(part, -(-count // SHARD), parts), desc=f"people {part + 1}/{parts}", unit="file"):
        path = folder / f"people-{number:05d}.npz"
        if not path.exists():
            write(path, render_shard(renderer, number))


def render_shard(renderer: Renderer, number: int, size: int = SIZE) -> dict[str, np.ndarray]:
    """The arrays of one file."""
    seeds = [training_shot(number * SHARD + i, k) for i in range(SHARD) for k in range(PHOTOS)]
    pictures = []
    for who_seed, shot_seed in seeds:
        who = person(who_seed)
        pictures.append(renderer.render(who, shot(who, shot_seed), size))
    return {
        "images": np.stack([one.pixels for one in pictures]),
        "points": np.stack([one.points for one in pictures]).astype(np.float32),
        "box": np.stack([one.box for one in pictures]).astype(np.float32),
        "person": np.array([who for who, _ in seeds]), "shot": np.array([taken for _, taken in seeds]),
    }  # fmt: skip


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed file, whole or not at all."""
    new = path.with_suffix(".part")
    with new.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(new, path)

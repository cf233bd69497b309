"""The training photographs: their seeds, and a cache of them on disk, in shards that several processes can render."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..pocket import world

PHOTOS = 8  # of each person
SHARD = 50  # people a file
A_PEOPLE = (
    2700  # the conditioning recogniser learns from people [0, A_PEOPLE), the judge from the rest; others from all
)
B_PEOPLE = 2100
PEOPLE = A_PEOPLE + B_PEOPLE
HELD_OUT = 1_000_000  # first identity seed of the people that no training sees
PLACES = 700_000  # first seed of the training backgrounds
SCENES = 10_000_000  # first scene seed of the training photographs


def people(first: int, count: int, photos: int, scenes: int = SCENES) -> world.Faces:
    """Describe `photos` photographs of each of the people [first, first + count), one person after another."""
    identities = [i for i in range(first, first + count) for _ in range(photos)]
    return world.sample(identities, [scenes + first * photos + k for k in range(count * photos)])


def render_shards(folder: Path, part: int = 0, parts: int = 1, total: int = PEOPLE, negatives: int = 1500) -> None:
    """Write ``faces-NNNNN.npy`` (SHARD * PHOTOS, 3, 128, 128) uint8 files that are not there yet, every `parts`-th one,
    and ``places.npy`` (negatives, 3, 128, 128)."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in tqdm(range(part, total // SHARD, parts), desc=f"render {part + 1}/{parts}"):
        path = folder / f"faces-{shard:05d}.npy"
        if not path.exists():
            _save(path, world.render(people(shard * SHARD, SHARD, PHOTOS)))
    places = folder / "places.npy"
    if part == 0 and not places.exists():
        _save(places, world.backgrounds(range(PLACES, PLACES + negatives)))


def _save(path: Path, images: Tensor) -> None:
    new = path.with_suffix(".part")
    with new.open("wb") as file:
        np.save(file, (images * 255).round().byte().numpy())
    os.replace(new, path)


@dataclass(frozen=True)
class Photos:
    """The cached photographs of the leading people whose shards are all there. Item i shows person i // PHOTOS."""

    folder: Path

    @cached_property
    def shards(self) -> list[np.ndarray]:
        paths = (self.folder / f"faces-{i:05d}.npy" for i in range(PEOPLE // SHARD))
        found = [np.load(p, mmap_mode="r") for p in takewhile(Path.exists, paths)]
        if not found:
            raise FileNotFoundError(f"no rendered photographs in {self.folder}: run the stage 'data' first")
        return found

    @cached_property
    def places(self) -> np.ndarray:
        """(N, 3, 128, 128) uint8 pictures of nobody."""
        return np.load(self.folder / "places.npy", mmap_mode="r")

    @cached_property
    def faces(self) -> world.Faces:
        return people(0, len(self) // PHOTOS, PHOTOS)

    def __len__(self) -> int:
        return len(self.shards) * SHARD * PHOTOS

    def __getitem__(self, index: Tensor) -> Tensor:
        """Images (B, 3, 128, 128) float32 in [0, 1] for indices (B,)."""
        per = SHARD * PHOTOS
        picked = [self.shards[i // per][i % per] for i in index.tolist()]
        return torch.from_numpy(np.stack(picked)).float() / 255

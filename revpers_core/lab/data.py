"""The training photographs: what ``python -m revpers_core.lab.world`` has rendered so far, and all that is known of it.

A state folder holds them: ``people/people-NNNNN.npz``, ``places/places.npz`` and, for measurements,
``held-out/held-NNNNN.npz``. Beside each file lie its pictures at the nets' size, made when they are first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from .world.factors import FACTORS, PHOTOS
from .world.shot import describe

SIDE = 128
"""Pixels of a picture as the nets see it: the rendered one shrunk."""
PEOPLE = 3000
"""Training people, as many as are ever rendered: recognisers have a class for each."""
SHARE_A = 9
"""Of every 16 people the conditioning recogniser learns from these, the judge from the rest; others from all."""
RENDER = "python -m revpers_core.lab.world"


@dataclass(frozen=True)
class Annotations:
    """What is known of N photographs. person: (N,) seeds. factors: (N, 11) as FACTORS. attributes: (N, 3) indices of
    age, sex and skin. words: what one would say. points: (N, 5, 2) in the unit square."""

    person: Tensor
    factors: Tensor
    attributes: Tensor
    words: Sequence[dict[str, str]]
    points: Tensor


@dataclass(frozen=True)
class Photos:
    """The rendered photographs ``NAME-*.npz`` of a folder, in order: PHOTOS of each person one after another."""

    folder: Path
    name: str = "people"

    @cached_property
    def files(self) -> list[Path]:
        paths = sorted(self.folder.glob(f"{self.name}-*.npz"))
        if not paths:
            subset = "people" if self.name == "people" else "held-out"
            raise FileNotFoundError(
                f"no rendered photographs in {self.folder}: run `{RENDER} {subset}` (docs/pocket.md)"
            )
        return paths

    @cached_property
    def shards(self) -> list[np.ndarray]:
        """(n, 3, SIDE, SIDE) uint8 of every file."""
        return [_small(path) for path in tqdm(self.files, desc="photographs", mininterval=10)]

    @cached_property
    def annotations(self) -> Annotations:
        parts = [np.load(path) for path in self.files]
        person, shot, points = (
            np.concatenate([arrays[key] for arrays in parts]) for key in ("person", "shot", "points")
        )
        descriptions = [
            describe(int(person_seed), int(shot_seed)) for person_seed, shot_seed in zip(person, shot, strict=True)
        ]
        return Annotations(
            torch.from_numpy(person).long(),
            torch.from_numpy(np.stack([factors for factors, _, _ in descriptions])).view(-1, len(FACTORS)),
            torch.tensor([attributes for _, attributes, _ in descriptions]),
            [words for _, _, words in descriptions],
            torch.from_numpy(points).float(),
        )

    @cached_property
    def places(self) -> Tensor:
        """(N, 3, SIDE, SIDE) uint8 pictures of nobody."""
        path = self.folder.parent / "places/places.npz"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run `{RENDER} places` (docs/pocket.md)")
        return torch.from_numpy(np.array(_small(path)))

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(len(shard) for shard in self.shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: Tensor) -> Tensor:
        """Images (B, 3, SIDE, SIDE) float32 in [0, 1] for indices (B,)."""
        shard = np.searchsorted(self._starts, index.numpy(), side="right") - 1
        at = index.numpy() - self._starts[shard]
        picked = [self.shards[s][k] for s, k in zip(shard, at, strict=True)]
        return torch.from_numpy(np.stack(picked)).float() / 255

    def of(self, judge: bool) -> Tensor:
        """Indices of the photographs that recogniser A (or the judge) learns from."""
        a = self.annotations.person % 16 < SHARE_A
        return (~a if judge else a).nonzero()[:, 0]

    def another(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Indices of another photograph each of the same people."""
        step = torch.randint(1, PHOTOS, (len(index),), generator=generator)
        return index - index % PHOTOS + (index + step) % PHOTOS


def _small(path: Path) -> np.ndarray:
    """The pictures of a file at the nets' size, kept beside it."""
    cached = path.with_name(f"{path.stem}-{SIDE}.npy")
    if not cached.exists():
        full = torch.from_numpy(np.load(path)["images"]).permute(0, 3, 1, 2).float()
        small = F.interpolate(full, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        new = cached.with_suffix(".part")
        with new.open("wb") as file:
            np.save(file, small.clamp(0, 255).round().byte().numpy())
        os.replace(new, cached)
    return np.load(cached, mmap_mode="r")

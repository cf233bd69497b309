"""The last run's inversions, so that the next one, which differs in the person, strength or words, only samples."""

from __future__ import annotations

import hashlib
import secrets
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

LIMIT = 512 << 20
"""Bytes of main memory: a face of 1024 pixels takes 0.5 MB a step in float16."""


class _Kept(NamedTuple):
    """An inversion, and the model it was made with."""

    trajectory: Any
    model: weakref.ref[Any]
    size: int


class Inversions:
    """Trajectories by all that decides them. They belong to an adapter and are gone with it.

    A run that ends well leaves its own alone; one that fails or is cancelled leaves what was there, so that the next
    goes on. What does not fit is made anew: never is one of this run dropped for another of it. limit: bytes.
    """

    def __init__(self, limit: int = LIMIT):
        self.limit = limit
        self._kept: dict[str, _Kept] = {}
        self._used: set[str] = set()

    @contextmanager
    def run(self) -> Generator[None]:
        """What is not asked for within is let go of at its end."""
        self._used = set()
        yield
        self._kept = {key: entry for key, entry in self._kept.items() if key in self._used}

    def get(self, model: Any, key: str, invert: Callable[[], Any]) -> Any:
        """The trajectory of this model and key, made by ``invert`` where it is not there.

        A model is the same where it is the same ModelPatcher: a clone may carry other packs' patches.
        """
        self._used.add(key)
        if (entry := self._kept.get(key)) and entry.model() is model:
            return entry.trajectory
        self._kept.pop(key, None)
        trajectory = invert()
        size = sum(leaf.nbytes for leaf in _leaves(trajectory) if isinstance(leaf, Tensor))
        for old in [name for name in self._kept if name not in self._used]:
            if self._size + size > self.limit:
                del self._kept[old]
        if self._size + size <= self.limit:
            self._kept[key] = _Kept(trajectory, weakref.ref(model), size)
        return trajectory

    @property
    def _size(self) -> int:
        return sum(entry.size for entry in self._kept.values())


def digest(*what: Any) -> str:
    """Hexadecimal digest of nests of tensors, of which every bit counts, and plain values. What else is in there (hooks
    of other packs) equals nothing, itself included."""
    found = hashlib.sha256()
    for leaf in _leaves(what):
        if isinstance(leaf, Tensor):
            found.update(f"{leaf.dtype} {tuple(leaf.shape)};".encode())
            found.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        else:
            known = leaf is None or isinstance(leaf, (str, int, float))
            found.update(f"{leaf!r};".encode() if known else secrets.token_bytes(16))
    return found.hexdigest()


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name in value:
            yield name
            yield from _leaves(value[name])
    elif isinstance(value, (list, tuple)):
        yield len(value)
        for item in value:
            yield from _leaves(item)
    else:
        yield value

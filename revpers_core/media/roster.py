"""Who is who across the pictures of a run, and of later runs by an encrypted file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..method.types import Identity
from . import vault

DOUBT = 0.05
"""Cosine: so near to the threshold, or to another entry, it is a matter of luck."""
KIND = b"revpers roster 1"


@dataclass
class Entry:
    """Somebody known. total: sum of unit embeddings (512,). skipped: draws that will not do as the pseudonym."""

    total: Tensor
    sightings: int = 1

    @property
    def embedding(self) -> Tensor:
        return normalize(self.total, dim=0)


@dataclass
class Roster:
    """People by the names "person 1", "person 2" ..., as a recogniser tells them apart. It recognises people: keep it
    as private as their photos.

    recogniser: its name; another one's embeddings mean nothing to it. same: cosine from which on two faces are one
    person's. doubtful: cases to look at, in words. skipped: draws that will not do as a person's pseudonym.
    """

    recogniser: str
    same: float
    entries: list[Entry] = field(default_factory=list[Entry])
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    doubtful: list[str] = field(default_factory=list[str])

    def people(self, faces: Sequence[Identity], place: str = "") -> list[str]:
        """The name of each of the people in one picture, all different; new ones are entered.

        Raises ValueError, having entered nobody, for a face that two entries resemble alike.
        """
        entry_of_face = self._match(
            torch.cat([normalize(face_identity.embedding.float(), dim=1) for face_identity in faces]), place
        )
        for i, face in enumerate(faces):
            embedding = normalize(face.embedding[0].float(), dim=0)
            if i not in entry_of_face:
                self.entries.append(Entry(embedding))
                entry_of_face[i] = len(self.entries) - 1
            else:
                entry = self.entries[entry_of_face[i]]
                entry.total, entry.sightings = entry.total + embedding, entry.sightings + 1
        return [f"person {entry_of_face[i] + 1}" for i in range(len(faces))]

    def _match(self, faces: Tensor, place: str) -> dict[int, int]:
        """Faces (N, 512) by the entry they are, the surest first, no entry twice."""
        if not self.entries:
            return {}
        likeness = faces @ torch.stack([entry.embedding for entry in self.entries]).T
        doubts = [doubt for i, row in enumerate(likeness) if (doubt := self._doubt(row, f"face {i + 1}{_of(place)}"))]
        pairs = [(float(likeness[i, k]), i, k) for i in range(len(faces)) for k in range(len(self.entries))]
        matched: dict[int, int] = {}
        for value, i, k in sorted(pairs, reverse=True):
            if value < self.same:
                break
            if i in matched:
                continue
            if k in matched.values():
                doubts.append(f"face {i + 1}{_of(place)} is like person {k + 1}, who is in the same picture already")
            else:
                matched[i] = k
        self.doubtful += doubts
        return matched

    def _doubt(self, row: Tensor, face: str) -> str:
        """What is doubtful about a face of this likeness to each entry; an error where it could be either of two."""
        best = torch.topk(row, min(2, len(row)))
        values, places = best.values.tolist(), best.indices.tolist()
        if len(values) > 1 and values[1] >= self.same and values[0] - values[1] < DOUBT:
            a, b = (f"person {k + 1} ({value:.2f})" for k, value in zip(places, values, strict=True))
            raise ValueError(
                f"{face} matches two entries of the roster alike, {a} and {b}: give a clearer photo, or raise the "
                f"likeness from which on two faces are one person's ({self.same:.2f})"
            )
        if abs(values[0] - self.same) < DOUBT:
            decision = "taken for the same" if values[0] >= self.same else "not taken for the same"
            return f"{face} is like person {places[0] + 1} by {values[0]:.2f}, near {self.same:.2f}: {decision}"
        return ""

    def save(self, path: Path, key: bytes) -> None:
        """Write it encrypted, whole or not at all."""
        content = {
            "recogniser": self.recogniser,
            "same": self.same,
            "people": [{"total": entry.total.tolist(), "seen": entry.sightings} for entry in self.entries],
            "skipped": self.skipped,
        }
        vault.write(path, vault.lock(json.dumps(content).encode(), key, KIND))


def load(path: Path, key: bytes, recogniser: str, same: float) -> Roster:
    """A roster of an earlier run; a new one where there is no such file.

    Raises ValueError for a wrong key, a file that was touched or is something else, and another recogniser's.
    """
    if not path.exists():
        return Roster(recogniser, same)
    try:
        content: Any = json.loads(vault.unlock(path.read_bytes(), key, KIND))
    except OSError as error:
        raise ValueError(f"the roster {path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"the roster {path}: {error}") from error
    if content["recogniser"] != recogniser:
        raise ValueError(
            f"the roster {path} is of the recogniser {content['recogniser']}, this run's is {recogniser}: their "
            "embeddings cannot be compared; use the same, or another roster file"
        )
    entries = [Entry(torch.tensor(entry["total"]), entry["seen"]) for entry in content["people"]]
    return Roster(recogniser, same, entries, content["skipped"])


def _of(place: str) -> str:
    return f" of {place}" if place else ""

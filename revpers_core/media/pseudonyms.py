"""Who comes instead: people made up from a secret, in a recogniser's own terms, or taken from pictures.

A pseudonym stands in the unconditional branch of the sampling phase, where the paper has nobody. One secret and one
name give one pseudonym: the same stranger. Another secret gives another, and whoever does not have it cannot tell.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..adapters.clip import MEAN
from ..method.identity import cosine, scaled
from ..method.population import SAME, Population
from ..method.settings import KEY, NOBODY, PICTURE, STRANGER
from ..method.types import FACE_SIDE, Identity
from . import keys
from .roster import Roster

WHO = (STRANGER, NOBODY, KEY, PICTURE)
"""Who may come instead, as nodes, records and docs say it."""
TRIES = 64
"""Draws for one person before a run gives up: one in a thousand is like a given person."""
SALT = b"revpers pseudonyms 1"


class StandIn(NamedTuple):
    """Who comes instead of somebody. person: the name under which it was drawn. number: of the draw, 0 for the first.
    identity: (1, 512), unit length."""

    person: str
    number: int
    identity: Identity


class Drawing(Protocol):
    """Where pseudonyms come from."""

    @property
    def kind(self) -> str:
        """Which kind of stand-in, one of ``WHO``."""
        ...

    @property
    def skipped(self) -> MutableMapping[str, int]:
        """Draws that will not do, by person: the first so many."""
        ...

    def people(self, sources: Sequence[Identity], place: str) -> list[str]:
        """A name for each of the people in one picture, all different. place: names the picture in this run."""
        ...

    def draw(self, person: str, number: int, population: Population | None) -> Identity | None:
        """The person's pseudonym, and the next ones where that is refused; None where there are no more. population:
        of the recogniser that they are identities to."""
        ...


@dataclass(frozen=True)
class Pseudonyms:
    """Who comes instead in a run. length: of the pseudonym, 0 (nobody) to 1. same: cosine from which on two identities
    are one person's; the recogniser's own unless given."""

    drawing: Drawing
    length: float = 1.0
    same: float | None = None

    def __post_init__(self):
        scaled(Identity(torch.zeros(1, 512)), self.length)

    def cast(
        self,
        sources: Sequence[Identity],
        place: str = "",
        others: Sequence[Identity] = (),
        assigned: Sequence[StandIn] = (),
    ) -> list[StandIn]:
        """Who comes instead of each of the people in one picture, no two of them the same.

        sources, others: (1, 512) each; others are in the picture, too. taken: who stands in for somebody in it already.
        Raises ValueError where nobody is left who will do.
        """
        stand_ins = list(assigned)
        for person in self.drawing.people(sources, place):
            while any(person == stand_in.person for stand_in in stand_ins):
                person += " again"  # somebody who is in one picture twice
            stand_ins.append(self.choose(person, [*sources, *others, *(stand_in.identity for stand_in in stand_ins)]))
        return stand_ins[len(assigned) :]

    def choose(self, person: str, unlike: Sequence[Identity]) -> StandIn:
        """The first draw for a person that is like none of these (1, 512): the source, and others in the picture."""
        first, source = self.drawing.skipped.get(person, 0), unlike[0]
        for number in range(first, first + TRIES):
            identity = self.drawing.draw(person, number, source.population)
            if identity is None:
                break
            if max(float(cosine(identity, other)) for other in unlike) < self.same_to(source):
                return StandIn(person, number, identity)
            self.drawing.skipped[person] = number + 1
        raise ValueError(f"who comes instead ({self.drawing.kind}): {NO_MORE[self.drawing.kind == PICTURE]}")

    def next(self, refused: StandIn, unlike: Sequence[Identity]) -> StandIn:
        """Who comes instead of a stand-in that came out like another person in the picture."""
        self.drawing.skipped[refused.person] = refused.number + 1
        return self.choose(refused.person, unlike)

    def record(self, stand_in: StandIn | None) -> dict[str, str]:
        """For a picture's record: whose stand-in it is, where a roster knows."""
        return {"person": stand_in.person} if stand_in and self.drawing.kind == KEY else {}

    def same_to(self, identity: Identity) -> float:
        """Cosine from which on two faces are one person's to the recogniser of an identity."""
        return same_person(identity) if self.same is None else self.same

    def as_condition(self, stand_in: StandIn, source: Identity) -> Identity:
        """What the unconditional branch is told: the stand-in at the dial's length.

        What an adapter asks of an identity beside the embedding is the source's where it does not tell who it is
        (features' length, the crop's points). CLIP sees nobody of somebody who is made up.
        """
        condition = scaled(stand_in.identity, self.length)
        face = condition.face
        if face is None and source.face is not None:
            face = torch.tensor(MEAN).view(1, 3, 1, 1).expand(1, 3, FACE_SIDE, FACE_SIDE)
        length = source.length if condition.length is None else condition.length
        return replace(condition, length=length, face=face, points=source.points)


def same_person(identity: Identity) -> float:
    """Cosine from which on two faces are one person's to a recogniser, as measured or ``SAME``."""
    return identity.population.same if identity.population else SAME


NO_MORE = (
    f"{TRIES} draws in a row look like the person or like somebody else in the picture: use another key or seed",
    "everyone on the pictures looks like the person, or like somebody else in the photo, or stands in for somebody "
    "else there already: give pictures of other people, one for each face",
)


@dataclass(frozen=True)
class Strangers:
    """Made up by a seed: another for every face of every picture, and others under another seed. seed: >= 0."""

    seed: int
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    kind: str = STRANGER

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"the seed of who comes instead must be 0 or more, got {self.seed}")

    def people(self, sources: Sequence[Identity], place: str) -> list[str]:
        return _places(sources, place)

    def draw(self, person: str, number: int, population: Population | None) -> Identity | None:
        return made_up(str(self.seed).encode(), f"{person} {number}", population)


@dataclass(frozen=True)
class SameStrangers:
    """Made up by a key for everyone whom a roster tells apart: one person comes out as one stranger, wherever.

    secret: of ``secret_of``.
    """

    secret: bytes
    roster: Roster
    kind: str = KEY

    @property
    def skipped(self) -> MutableMapping[str, int]:
        return self.roster.skipped

    def people(self, sources: Sequence[Identity], place: str) -> list[str]:
        return self.roster.people(sources, place)

    def draw(self, person: str, number: int, population: Population | None) -> Identity | None:
        return made_up(self.secret, f"{person} {number}", population)


@dataclass(frozen=True)
class Pictured:
    """People on pictures, who agreed or do not exist: the first for the first face that they do not resemble.

    identities: (1, 512) each, unit length.
    """

    identities: Sequence[Identity]
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    kind: str = PICTURE

    def people(self, sources: Sequence[Identity], place: str) -> list[str]:
        return _places(sources, place)

    def draw(self, person: str, number: int, population: Population | None) -> Identity | None:
        del population
        return self.identities[number] if number < len(self.identities) else None


def _places(sources: Sequence[Identity], place: str) -> list[str]:
    return [json.dumps([place, i]) for i in range(len(sources))]


@dataclass(frozen=True)
class Recipe:
    """Who comes instead, before it is known of whom. kind: one of ``WHO``. seed: of strangers. secret: by key, of
    ``secret_of``. pictures: (1, 512) each. length: as of ``Pseudonyms``."""

    kind: str
    seed: int = 0
    secret: bytes = b""
    pictures: tuple[Identity, ...] = ()
    length: float = 1.0

    def start(self, same: float = SAME) -> Pseudonyms | None:
        """For one run, with a roster of its own; None for nobody in particular. same: of the recogniser."""
        if self.kind == NOBODY:
            return None
        if self.kind == KEY:
            return Pseudonyms(SameStrangers(self.secret, Roster("", same)), self.length)
        return Pseudonyms(Pictured(self.pictures) if self.kind == PICTURE else Strangers(self.seed), self.length)


def made_up(secret: bytes, name: str, population: Population | None = None) -> Identity:
    """Somebody who does not exist, (1, 512) of unit length: the same for the same secret and name on any machine.

    HMAC-SHA256(secret, name) is stretched to standard normal numbers, of which the recogniser's population makes an
    embedding; without one every direction is as likely.
    """
    seed = hmac.digest(secret, name.encode(), "sha256")
    bits = np.frombuffer(hashlib.shake_256(seed).digest(8 * 512), "<u8") >> 11
    normal = torch.tensor([NORMAL.inv_cdf((int(integer) + 0.5) * 2.0**-53) for integer in bits])
    embedding: Tensor = population.person(normal) if population else normalize(normal, dim=0)
    return Identity(embedding[None].float())


NORMAL = NormalDist()


def secret_of(key: bytes | str | None) -> bytes:
    """The secret of a key or passphrase; without one a random one, which nobody has afterwards.

    Raises ValueError where the key is short.
    """
    return secrets.token_bytes(32) if key is None else keys.stretched(keys.checked(key), SALT)

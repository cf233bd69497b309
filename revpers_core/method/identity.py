"""Identities as vectors: null, scaled, opposite, and how alike two are."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from .settings import LENGTH
from .types import Identity

SAME_PERSON = 0.75
"""Similarity from which on the recogniser that steered a run was not led away at all: reconstructions have more, two
photos of one person seldom as much."""


def null_identity(batch: int) -> Identity:
    """The null identity, fed through the adapter's projection like any other (its tokens are not zero)."""
    return Identity(torch.zeros(batch, 512))


def scaled(identity: Identity, length: float) -> Identity:
    """The identity at another length: 0 is nobody, 1 leaves it as it is. Raises ValueError outside [0, 1]."""
    return replace(identity, embedding=identity.embedding * LENGTH.check("the length of who comes instead", length))


def opposite(identity: Identity) -> Identity:
    """The opposite identity, -e; the null identity stays null. There is no picture of an opposite."""
    return replace(identity, embedding=-identity.embedding, face=None)


def identity_of(features: Tensor, scale: float = 1.0) -> Identity:
    """Identity from a recogniser's raw features (B, 512): unit length, times ``scale``, and their own length."""
    features = features.float()
    return Identity(normalize(features, dim=-1) * scale, features.norm(dim=-1))


def cosine(a: Identity, b: Identity) -> Tensor:
    """Cosine similarity (B,), in [-1, 1], whatever the scales."""
    return cosine_similarity(a.embedding, b.embedding, dim=-1)


def together(people: Sequence[Identity]) -> Identity:
    """Identities one after another, as one; what is not known of one is not known of them."""
    each: dict[str, Tensor] = {}
    for name in ("length", "face", "points"):
        parts = [value for person in people if (value := getattr(person, name)) is not None]
        if len(parts) == len(people):
            each[name] = torch.cat(parts)
    first = people[0]
    embedding = torch.cat([person.embedding for person in people])
    readers = tuple(reader for person in people for reader in person.readers)
    return Identity(embedding, **each, recogniser=first.recogniser, population=first.population, readers=readers)

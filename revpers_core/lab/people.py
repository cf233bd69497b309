"""People for attacks: as many photos of each as an attacker needs, and what the tool makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..faces.recognise import FaceModel
from ..method.anonymize import sample_image
from ..method.identity import identity_of, null_identity
from ..method.schedule import sigmas, timesteps
from ..method.trajectory import SeededNoise, Trajectory, invert
from ..method.types import Identity, Plan, Ports
from ..metrics.interval import Estimate
from ..metrics.reidentification import at_rank, ranks_among, verification
from .evaluation import BATCH

DRAWS = 500


class Albums(Protocol):
    """``count`` people whom no training has seen, with several photos of each."""

    @property
    def count(self) -> int: ...

    @property
    def photos_each(self) -> int: ...

    @property
    def attributes(self) -> Tensor:
        """(N, 3): indices of age, sex and skin."""
        ...

    def photo(self, number: int) -> Tensor:
        """(N, 3, 128, 128): the same people, every one in a scene of its own for each number."""
        ...

    def points(self, number: int) -> Tensor | None:
        """(N, 5, 2) of these faces, in the unit square; None where all are framed alike."""
        ...

    def strangers(self, count: int) -> "Albums":
        """Other people."""
        ...


def anonymize_people(ports: Ports, photos: Tensor, plan: Plan) -> Tensor:
    """What one call a picture with this seed makes: everyone gets the same noise, as on the command line."""
    results: list[Tensor] = []
    for chunk in photos.split(BATCH):
        path = invert_latents(ports, ports.encode(chunk), plan)
        results.append(sample_image(path, ports.embed(chunk), ports, plan))
    return torch.cat(results)


def invert_latents(ports: Ports, latents: Tensor, plan: Plan, items: Sequence[int] | None = None) -> Trajectory:
    """The inversion of latents (B, 4, h, w), all with the noise of a call's first picture unless told."""
    levels = sigmas(timesteps(plan.steps, plan.skip), ports.sigma)
    noise = SeededNoise(plan.steps, latents.shape, plan.seed, [0] * len(latents) if items is None else items)
    return invert(ports.branches(null_identity(len(latents)), latents), latents, levels, noise)


def seeded(plan: Plan, seed: int) -> Plan:
    return replace(plan, seed=seed)


def embedded(model: FaceModel, faces: Tensor) -> Identity:
    """Unit embeddings, face or not: an attacker takes what there is."""
    return identity_of(model.features(faces))


@dataclass(frozen=True)
class Matching:
    """How well probes find their owners: AUC over all pairs, rank 1 and 5 in a gallery of all.

    Chance is AUC .5, rank k in N. Intervals are 95%: bootstrap by person, Wilson's for ranks.
    """

    auc: Estimate
    rank1: Estimate
    rank5: Estimate
    people: int


def matching(similarity: Tensor) -> Matching:
    """similarity: (N, N) of probe i to person j's gallery entry."""
    own = torch.eye(len(similarity), dtype=torch.bool)
    ranks = ranks_among(similarity, own)
    return Matching(verification(similarity, own, DRAWS), at_rank(ranks, 1), at_rank(ranks, 5), len(similarity))

"""The method's claims, measured on people that no training has seen, where every factor is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..faces.geometry import face_of_aligned
from ..faces.onnx_session import open_network
from ..faces.recognise import FaceModel
from ..media.photo import blurred
from ..method.anonymize import invert_image, sample_image
from ..method.types import Attribute, Identity, Plan, Ports
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import at_rank, ranks_among, verification
from ..pocket import FACTORS, HELD_OUT, world

PRESERVED = ("smile", "open", "gaze_x", "gaze_y", "yaw", "pitch", "light_x", "light_y")
BATCH = 25
SCENES = 5_000_000
"""First scene seed of the held-out photos."""


@dataclass(frozen=True)
class People:
    """``count`` held-out people from the ``first``-th on, two photos each: one to anonymize, one in the gallery."""

    count: int
    first: int = 0

    def _faces(self, photo: int) -> world.Faces:
        people = range(self.first, self.first + self.count)
        return world.sample([HELD_OUT + i for i in people], [SCENES + 2 * i + photo for i in people])

    @cached_property
    def photos(self) -> Tensor:
        """(N, 3, 128, 128)."""
        return world.render(self._faces(0))

    @cached_property
    def gallery(self) -> Tensor:
        """(N, 3, 128, 128): another photo of each, other expression, pose, hair, light and place."""
        return world.render(self._faces(1))

    @cached_property
    def factors(self) -> Tensor:
        """(N, 11) of the photos, in world.FACTORS' order and units."""
        return world.factors(self._faces(0))


class Reading(NamedTuple):
    """What the factor regressors see: factors (N, 11), and age, sex, skin as indices (N,)."""

    factors: Tensor
    age: Tensor
    sex: Tensor
    skin: Tensor


def read(images: Tensor, session: Any = None) -> Reading:
    """Regress factors and attributes from images (N, 3, 128, 128) in [0, 1]."""
    session = session or open_network(FACTORS, "cpu")
    (feed,) = session.get_inputs()
    found = [session.run(None, {feed.name: one[None].numpy().astype(np.float32)}) for one in images.cpu()]
    factors, *logits = (torch.from_numpy(np.concatenate(part)) for part in zip(*found, strict=True))
    return Reading(factors, *(part.argmax(1) for part in logits))


def judged(judge: FaceModel, images: Tensor) -> Tensor:
    """Unit embeddings (N, 512), face or not: a judge that sees none counts as whatever it says."""
    return normalize(judge.features(face_of_aligned(images)), dim=1)


def themselves(who: Identity) -> Identity:
    """The method: everyone is led away from themselves."""
    return who


def somebody_else(who: Identity) -> Identity:
    """The wrong-identity control: everyone is led away from their neighbour instead of themselves."""
    return Identity(who.embedding.roll(1, 0))


def anonymized(
    ports: Ports, photos: Tensor, plans: Mapping[str, Plan], who: Callable[[Identity], Identity] = themselves
) -> dict[str, Tensor]:
    """Results (N, 3, 128, 128) by plan, along one inversion a photo; plans differ in guidance and attribute only."""
    made: dict[str, list[Tensor]] = {name: [] for name in plans}
    identities = who(Identity(torch.cat([ports.embed(part).embedding for part in photos.split(BATCH)])))
    for k, part in enumerate(photos.split(BATCH)):
        identity = Identity(identities.embedding[k * BATCH : k * BATCH + len(part)])
        path = invert_image(part, ports, replace(next(iter(plans.values())), seed=k))
        for name, plan in plans.items():
            made[name].append(sample_image(path, identity, ports, plan))
    return {name: torch.cat(parts) for name, parts in made.items()}


def measured(people: People, images: Tensor, judge: FaceModel) -> dict[str, Estimate]:
    """Privacy, preservation and distance of results, each with a 95% interval: Wilson's for rank 1, else bootstrap.

    auc: verification against the other photo of the person and of everyone else. rank1: share found first in a gallery
    of all. r_*: correlation of the factor that is read with the true one. distance: mean |pixel difference|, 0...1.
    """
    similarity = judged(judge, images) @ judged(judge, people.gallery).T
    own = torch.eye(len(images), dtype=torch.bool)
    seen = read(images).factors
    distance = (images - people.photos).abs().mean((1, 2, 3))
    count = len(images)
    rows: dict[str, Estimate] = {
        "auc": verification(similarity, own, draws=200),
        "similarity": bootstrap(lambda i: float(similarity.diag()[i].mean()), count),
        "rank1": at_rank(ranks_among(similarity, own), 1),
        "distance": bootstrap(lambda i: float(distance[i].mean()), count),
    }
    for name in PRESERVED:
        k = world.FACTORS.index(name)
        pair = torch.stack([seen[:, k], people.factors[:, k]]).double()
        rows[f"r_{name}"] = bootstrap(lambda i, pair=pair: float(torch.corrcoef(pair[:, i])[0, 1]), count)
    return rows


OBEYED = {"age": 1 / len(world.AGES), "sex": 1 / len(world.SEXES), "skin": 1 / len(world.SKINS)}
"""What can be asked for in words, and how often chance obeys."""
WISHES = 6
"""Groups of people, each with other words for age, sex and skin."""
GUIDANCES = (4.0, 2.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -10.0, -12.0)


def curve(
    people: People, ports: Ports, judge: FaceModel, plan: Plan, guidances: Sequence[float] = GUIDANCES
) -> Iterator[dict[str, Any]]:
    """A row a method and guidance: {"method", "guidance", metric: Estimate ...}; wishes are asked of ours alone."""
    yield {"method": "photo", "guidance": None, **measured(people, people.photos, judge)}
    yield {
        "method": "blur",
        "guidance": None,
        **measured(people, torch.stack([blurred(one) for one in people.photos]), judge),
    }
    plans = {str(g): replace(plan, guidance=g) for g in guidances}
    obeyed = attribute_success(people, ports, plans)
    for method, who in (("ours", themselves), ("wrong identity", somebody_else)):
        for name, images in anonymized(ports, people.photos, plans, who).items():
            row = {"method": method, "guidance": float(name), **measured(people, images, judge)}
            yield row | obeyed[name] if who is themselves else row


def attribute_success(people: People, ports: Ports, plans: Mapping[str, Plan]) -> dict[str, dict[str, Estimate]]:
    """By plan: share of results that the regressors read as asked, ``obeyed_age``, ``_sex`` and ``_skin``.

    What is asked has nothing to do with who is there.
    """
    right: dict[str, list[Tensor]] = {name: [] for name in plans}
    for group in range(WISHES):
        age, sex, skin = (group % len(part) for part in (world.AGES, world.SEXES, world.SKINS))
        words = Attribute(world.AGES[age], world.SEXES[sex], f"{world.SKINS[skin]} skin")
        asked = {name: replace(plan, attribute=words) for name, plan in plans.items()}
        for name, images in anonymized(ports, people.photos[group::WISHES], asked).items():
            seen = read(images)
            right[name].append(torch.stack((seen.age == age, seen.sex == sex, seen.skin == skin)).double())
    return {name: _shares(torch.cat(parts, 1)) for name, parts in right.items()}


def _shares(right: Tensor) -> dict[str, Estimate]:
    return {f"obeyed_{name}": wilson(int(row.sum()), len(row)) for name, row in zip(OBEYED, right, strict=True)}

"""The method's claims, measured on people that no training has seen, where every factor is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ..faces.face import Face
from ..faces.geometry import ALIGNED_BOX, face_for_recogniser, face_in_aligned, face_of_aligned
from ..faces.judges import Judge
from ..faces.onnx_session import open_network
from ..faces.recognise import FaceModel
from ..media.photo import blurred
from ..method.anonymize import invert_image, sample_image
from ..method.types import Attribute, Identity, Plan, Ports
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import at_rank, ranks_among, verification
from ..pocket import FACTORS as REGRESSORS
from .world.factors import AGES, FACTORS, SEXES, SKINS

PRESERVED = ("smile", "open", "gaze_x", "gaze_y", "yaw", "pitch", "light_x", "light_y")
BATCH = 25


class Crowd(Protocol):
    """``count`` people whom no training has seen: a photo of each to anonymize, another one in the gallery."""

    @property
    def count(self) -> int: ...

    @property
    def photos(self) -> Tensor:
        """(N, 3, 128, 128)."""
        ...

    @property
    def gallery(self) -> Tensor: ...

    @property
    def factors(self) -> Tensor:
        """(N, 11) of the photos, in FACTORS' order and units."""
        ...

    def points(self, number: int) -> Tensor | None:
        """(N, 5, 2) of photo 0 or of the gallery (1), in the unit square; None where all are framed alike."""
        ...


class Reading(NamedTuple):
    """What the factor regressors see: factors (N, 11), and age, sex, skin as indices (N,)."""

    factors: Tensor
    age: Tensor
    sex: Tensor
    skin: Tensor


def read_factors(images: Tensor, session: Any = None) -> Reading:
    """Regress factors and attributes from images (N, 3, 128, 128) in [0, 1]."""
    session = session or open_network(REGRESSORS, "cpu")
    (feed,) = session.get_inputs()
    outputs = [session.run(None, {feed.name: image[None].numpy().astype(np.float32)}) for image in images.cpu()]
    factors, *logits = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*outputs, strict=True))
    return Reading(factors, *(logit.argmax(1) for logit in logits))


def judged(judge: FaceModel | Judge, images: Tensor, points: Tensor | None = None) -> Tensor:
    """Unit embeddings (N, D) of aligned crops (N, 3, S, S), face or not: a judge that sees none counts as whatever it
    says. points: (N, 5, 2) of the faces in the unit square, where the crops are not framed alike.

    dlib's embeddings, made for distances, are compared by their angle like all others: attacks add and negate them.
    """
    if isinstance(judge, FaceModel) and points is None:
        return normalize(judge.features(face_of_aligned(images)), dim=1)
    faces = [face_in_aligned(image) for image in images] if points is None else _faces(images, points)
    if isinstance(judge, FaceModel):
        crops = [face_for_recogniser(image, face, judge.size) for image, face in zip(images, faces, strict=True)]
        return normalize(judge.features(torch.stack(crops)), dim=1)
    return normalize(torch.stack([judge.embed(image, face) for image, face in zip(images, faces, strict=True)]), dim=1)


def _faces(images: Tensor, points: Tensor) -> list[Face]:
    side = images.shape[-1]
    x0, y0, x1, y1 = (side * share for share in ALIGNED_BOX)
    return [Face((x0, y0, x1, y1), image * side - 0.5, 1.0) for image in points]


def themselves(identity: Identity) -> Identity:
    """The method: everyone is led away from themselves."""
    return identity


def somebody_else(identity: Identity) -> Identity:
    """The wrong-identity control: everyone is led away from their neighbour instead of themselves."""
    return Identity(identity.embedding.roll(1, 0))


def anonymized(
    ports: Ports, photos: Tensor, plans: Mapping[str, Plan], choose: Callable[[Identity], Identity] = themselves
) -> dict[str, Tensor]:
    """Results (N, 3, 128, 128) by plan, along one inversion a photo; plans differ in guidance and attribute only."""
    results: dict[str, list[Tensor]] = {name: [] for name in plans}
    identities = choose(Identity(torch.cat([ports.embed(chunk).embedding for chunk in photos.split(BATCH)])))
    for k, chunk in enumerate(photos.split(BATCH)):
        identity = Identity(identities.embedding[k * BATCH : k * BATCH + len(chunk)])
        path = invert_image(chunk, ports, replace(next(iter(plans.values())), seed=k))
        for name, plan in plans.items():
            results[name].append(sample_image(path, identity, ports, plan))
    return {name: torch.cat(parts) for name, parts in results.items()}


def measured(people: Crowd, images: Tensor, judge: FaceModel | Judge) -> dict[str, Estimate]:
    """Privacy, preservation and distance of results, each with a 95% interval: Wilson's for rank 1, else bootstrap.

    auc: verification against the other photo of the person and of everyone else. rank1: share found first in a gallery
    of all. r_*: correlation of the factor that is read with the true one. distance: mean |pixel difference|, 0...1.
    """
    similarity = judged(judge, images, people.points(0)) @ judged(judge, people.gallery, people.points(1)).T
    own = torch.eye(len(images), dtype=torch.bool)
    factors = read_factors(images).factors
    distance = (images - people.photos).abs().mean((1, 2, 3))
    count = len(images)
    rows: dict[str, Estimate] = {
        "auc": verification(similarity, own, draws=200),
        "similarity": bootstrap(lambda i: float(similarity.diag()[i].mean()), count),
        "rank1": at_rank(ranks_among(similarity, own), 1),
        "distance": bootstrap(lambda i: float(distance[i].mean()), count),
    }
    for name in PRESERVED:
        k = FACTORS.index(name)
        pair = torch.stack([factors[:, k], people.factors[:, k]]).double()
        rows[f"r_{name}"] = bootstrap(lambda i, pair=pair: float(torch.corrcoef(pair[:, i])[0, 1]), count)
    return rows


OBEYED = {"age": 1 / len(AGES), "sex": 1 / len(SEXES), "skin": 1 / len(SKINS)}
"""What can be asked for in words, and how often chance obeys."""
WISHES = 6
"""Groups of people, each with other words for age, sex and skin."""
GUIDANCES = (4.0, 2.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -10.0, -12.0)


Judges = Mapping[str, FaceModel | Judge]
"""By name."""


def curve(
    people: Crowd, ports: Ports, judges: Judges, plan: Plan, guidances: Sequence[float] = GUIDANCES
) -> Iterator[dict[str, Any]]:
    """A row a method, guidance and judge: {"method", "guidance", "judge", metric: Estimate ...}; wishes are asked of
    ours alone."""

    def rows(method: str, guidance: float | None, images: Tensor) -> Iterator[dict[str, Any]]:
        for name, judge in judges.items():
            yield {"method": method, "guidance": guidance, "judge": name, **measured(people, images, judge)}

    yield from rows("photo", None, people.photos)
    yield from rows("blur", None, torch.stack([blurred(photo) for photo in people.photos]))
    yield from rows("pixelation", None, torch.stack([pixelated(photo) for photo in people.photos]))
    plans = {str(g): replace(plan, guidance=g) for g in guidances}
    obeyed = attribute_success(people, ports, plans)
    for method, choose in (("ours", themselves), ("wrong identity", somebody_else)):
        for name, images in anonymized(ports, people.photos, plans, choose).items():
            for row in rows(method, float(name), images):
                yield row | obeyed[name] if choose is themselves else row


def pixelated(image: Tensor, cells: int = 16) -> Tensor:
    """An aligned crop (3, S, S) in squares."""
    side = image.shape[-1]
    return interpolate(interpolate(image[None], (cells, cells), mode="area"), (side, side), mode="nearest")[0]


def attribute_success(people: Crowd, ports: Ports, plans: Mapping[str, Plan]) -> dict[str, dict[str, Estimate]]:
    """By plan: share of results that the regressors read as asked, ``obeyed_age``, ``_sex`` and ``_skin``.

    What is asked has nothing to do with who is there.
    """
    right: dict[str, list[Tensor]] = {name: [] for name in plans}
    for group in range(WISHES):
        age, sex, skin = (group % len(values) for values in (AGES, SEXES, SKINS))
        words = Attribute(AGES[age], SEXES[sex], f"{SKINS[skin]} skin")
        wanted_plans = {name: replace(plan, attribute=words) for name, plan in plans.items()}
        for name, images in anonymized(ports, people.photos[group::WISHES], wanted_plans).items():
            reading = read_factors(images)
            right[name].append(torch.stack((reading.age == age, reading.sex == sex, reading.skin == skin)).double())
    return {name: _shares(torch.cat(parts, 1)) for name, parts in right.items()}


def _shares(right: Tensor) -> dict[str, Estimate]:
    return {f"obeyed_{name}": wilson(int(row.sum()), len(row)) for name, row in zip(OBEYED, right, strict=True)}

"""The gates that the shipped weights must pass, measured on people that no training has seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..faces.detector import Detector
from ..faces.face import Face
from ..faces.recognise import FaceModel
from ..method.anonymize import invert_image, sample_image
from ..method.guidance import network_guidance
from ..method.identity import null_identity
from ..method.schedule import sigmas, timesteps
from ..method.solver import Previous, step
from ..method.trajectory import SeededNoise, alpha, to_state
from ..method.types import Attribute, Identity, Plan, Ports
from ..metrics.reidentification import auc, tar_at_far
from ..metrics.sharpness import sharpness
from .baselines import whole_face
from .evaluation import BATCH, Crowd, Judges, judged, read_factors
from .real_nets import REAL
from .world.factors import AGES, FACTORS, SEXES, SKINS

WORDS = {"age": AGES, "sex": SEXES, "skin": SKINS}
GUIDANCE = -6.0
"""At which results must look like faces."""
SURE, SHARP = 0.6, 0.6
"""CenterFace's score of a result that looks like a face, and its sharpness in the reconstruction's."""


class Gate(NamedTuple):
    """One claim: what was measured and what it must be. A value of NaN was not measured, and fails."""

    name: str
    value: float
    wanted: str
    passed: bool

    def __str__(self) -> str:
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name}: {self.value:.4g} (wanted {self.wanted})"


def at_least(name: str, value: float, least: float) -> Gate:
    return Gate(name, value, f">= {least:g}", value >= least)


def at_most(name: str, value: float, most: float) -> Gate:
    return Gate(name, value, f"<= {most:g}", value <= most)


class Album(Protocol):
    """People whom no training has seen, ``photos_each`` photographs of everyone, one person after another."""

    @property
    def photos_each(self) -> int: ...

    @property
    def images(self) -> Tensor:
        """(N, 3, 128, 128)."""
        ...

    @property
    def attributes(self) -> Tensor:
        """(N, 3): indices of age, sex and skin."""
        ...

    @property
    def points(self) -> Tensor | None:
        """(N, 5, 2) in the unit square; None where all are framed alike."""
        ...


@dataclass(frozen=True)
class Examiners:
    """Judges and detector of the gates. judges: by name; of ``REAL`` those that are missing make their gates fail.
    detector: CenterFace, or None where it is missing. steering: the conditioning recogniser."""

    judges: Judges
    detector: Detector | None
    steering: FaceModel


def gates(ports: Ports, album: Album, people: Crowd, by: Examiners) -> Iterator[Gate]:
    """Every gate in turn. album: of many people, for the photographs; people: for the slow ones."""
    yield from photographs(album, by)
    yield from autoencoder(ports, people, by)
    identities = ports.embed(people.photos)
    generated = [
        generate(ports, Identity(chunk), "", 4.0, seed=k) for k, chunk in enumerate(identities.embedding.split(BATCH))
    ]
    yield from _per_judge(
        by, "identity guidance +4, AUC", 0.97, lambda judge: verification(by, judge, torch.cat(generated), people)
    )
    for name, rate in text_control(ports, len(people.photos)).items():
        yield at_least(f"text control of {name}", rate, 0.9)
    yield at_most("null replay against the reconstruction", null_replay(ports, people.photos[:4]), 1e-5)
    yield from results(ports, people, by.detector)


def photographs(album: Album, by: Examiners) -> Iterator[Gate]:
    """What real nets make of the photographs themselves, and what the conditioning recogniser does."""
    images = album.images
    available = [name for name in REAL if name in by.judges]
    apart = {name: pairs(album, judged(by.judges[name], images, album.points)) for name in available}
    for name in REAL:
        similarities = apart.get(name)
        yield at_least(f"photographs, AUC ({name})", auc(*similarities) if similarities else nan, 0.99)
        yield at_least(f"photographs, TAR@FAR 1e-3 ({name})", accepted(*similarities) if similarities else nan, 0.8)
    name = "photographs in which CenterFace finds the face and nothing else"
    share = nan if by.detector is None else sum(len(by.detector(image)) == 1 for image in images) / len(images)
    yield at_least(name, share, 0.995)
    alike = pairs(album, judged(by.steering, images), same_attributes=True)
    yield at_least("conditioning recogniser TAR@FAR 1e-3, impostors of the same attributes", accepted(*alike), 0.85)


def accepted(genuine: Tensor, impostor: Tensor, far: float = 1e-3) -> float:
    """TAR at a FAR; NaN, which fails, where impostors are too few to show it."""
    return tar_at_far(genuine, impostor, far).value if len(impostor) * far >= 1 else nan


def _per_judge(by: Examiners, name: str, least: float, measure: Callable[[str], float]) -> Iterator[Gate]:
    """A gate a judge; of real ones that are not there, a failure."""
    for judge in dict.fromkeys((*REAL, *by.judges)):
        yield at_least(f"{name} ({judge})", measure(judge) if judge in by.judges else nan, least)


def pairs(album: Album, embedded: Tensor, same_attributes: bool = False) -> tuple[Tensor, Tensor]:
    """(genuine, impostor) similarities of unit embeddings (N, D); impostors share all attributes if asked."""
    similarity = embedded @ embedded.T
    person = torch.arange(len(embedded)) // album.photos_each
    same = person[:, None] == person
    alike = (album.attributes[:, None] == album.attributes).all(-1) | (not same_attributes)
    upper = torch.ones_like(same).triu(1)
    return similarity[same & upper], similarity[~same & alike & upper]


def autoencoder(ports: Ports, people: Crowd, by: Examiners) -> Iterator[Gate]:
    """What the VAE alone keeps."""
    decoded = torch.cat([ports.decode(ports.encode(chunk)) for chunk in people.photos.split(BATCH)])
    factors = read_factors(decoded).factors
    for name in ("smile", "open", "gaze_x", "yaw"):
        k = FACTORS.index(name)
        r = float(torch.corrcoef(torch.stack([factors[:, k], people.factors[:, k]]))[0, 1])
        yield at_least(f"VAE reconstruction, r of {name}", r, 0.9)
    for judge in dict.fromkeys((*REAL, *by.judges)):
        available = judge in by.judges
        loss = (
            verification(by, judge, people.photos, people) - verification(by, judge, decoded, people)
            if available
            else nan
        )
        yield at_most(f"VAE reconstruction, AUC lost ({judge})", loss, 0.01)


def verification(by: Examiners, judge: str, images: Tensor, people: Crowd) -> float:
    """AUC of images (N, 3, 128, 128), one a person, against the gallery."""
    see = by.judges[judge]
    similarity = judged(see, images, people.points(0)) @ judged(see, people.gallery, people.points(1)).T
    others = ~torch.eye(len(images), dtype=torch.bool)
    return auc(similarity.diag(), similarity[others])


def text_control(ports: Ports, people: int) -> dict[str, float]:
    """Share of sampled pictures that the regressors read as the word asked for, by attribute.

    The words stand in the unconditional branch: guidance -3 is classifier-free guidance of 4 towards them.
    """
    rates: dict[str, float] = {}
    for name, values in WORDS.items():
        right: list[Tensor] = []
        for k, value in enumerate(values):
            attribute = Attribute(look=f"{value} skin") if name == "skin" else Attribute(**{name: value})
            generated = generate(ports, null_identity(max(people // len(values), 4)), attribute.prompt, -3.0, seed=k)
            right.append(getattr(read_factors(generated), name) == k)
        rates[name] = float(torch.cat(right).double().mean())
    return rates


def null_replay(ports: Ports, photos: Tensor) -> float:
    """max |difference| of pixels between a null replay and the VAE's reconstruction."""
    plan = Plan(steps=20, at_once=1)
    path = invert_image(photos, ports, plan)
    same = sample_image(path, null_identity(len(photos)), ports, plan)
    return float((same - ports.decode(path.x0)).abs().max())


def results(ports: Ports, people: Crowd, detector: Detector | None) -> Iterator[Gate]:
    """Whether anonymized pictures look like faces, to CenterFace and by their sharpness."""
    plan, results, still = Plan(steps=20, guidance=GUIDANCE), list[Tensor](), list[Tensor]()
    for k, chunk in enumerate(people.photos.split(BATCH)):
        path = invert_image(chunk, ports, plan, indices=range(k * BATCH, k * BATCH + len(chunk)))
        results.append(sample_image(path, ports.embed(chunk), ports, plan))
        still.append(ports.decode(path.x0))
    after, before = torch.cat(results), torch.cat(still)
    confident = nan
    if detector is not None:
        confident = sum(_surest(detector(image)) >= SURE for image in after) / len(after)
    yield at_least(f"results at guidance {GUIDANCE:g} that CenterFace scores {SURE:g} or more", confident, 0.98)
    face = whole_face(after.shape[-1])[0] > 0.5
    share = float(sharpness(after, face).mean() / sharpness(before, face).mean())
    yield at_least(f"results at guidance {GUIDANCE:g}, sharpness in the reconstruction's", share, SHARP)


def _surest(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def generate(ports: Ports, identity: Identity, prompt: str, guidance: float, seed: int, steps: int = 30) -> Tensor:
    """Pictures (B, 3, 128, 128) from noise alone, by the method's own solver."""
    shape = (len(identity.embedding), 4, 16, 16)
    levels = sigmas(timesteps(steps, 0.0), ports.sigma)
    noise = SeededNoise(steps + 1, shape, seed)
    predict = network_guidance(ports.branches(identity, torch.zeros(shape), prompt), guidance)
    x, past = to_state(noise[0]) * levels[0], None
    for k in range(steps):
        prediction = Previous(to_state(predict(x, levels[k])), levels[k])
        law = step(x, prediction.x0, levels[k], levels[k + 1], past)
        x, past = law.mean + law.std * noise[k + 1], prediction
    return ports.decode(x * alpha(levels[-1]))

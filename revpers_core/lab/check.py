"""The gates that the shipped weights must pass, measured on people that no training has seen."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..faces import recognise
from ..faces.geometry import face_of_aligned
from ..faces.recognise import FaceModel
from ..method.anonymize import invert_image, sample_image
from ..method.guidance import network_guidance
from ..method.identity import null_identity
from ..method.schedule import sigmas, timesteps
from ..method.solver import Previous, step
from ..method.trajectory import SeededNoise, alpha, to_state
from ..method.types import Attribute, Identity, Plan, Ports
from ..metrics.reidentification import auc, tar_at_far
from ..pocket import FACE_MODEL, HELD_OUT, JUDGE, world
from .laboratory import BATCH, People, judged, read

WORLD = 300
PHOTOS = 4
WORDS = {"age": world.AGES, "sex": world.SEXES, "skin": world.SKINS}


class Gate(NamedTuple):
    """One claim: what was measured and what it must be."""

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


def gates(ports: Ports, people: int = 100) -> Iterator[Gate]:
    """Every gate in turn; ``people``: how many held-out people the slow ones are measured on."""
    crowd = world.sample(
        [HELD_OUT + i for i in range(WORLD) for _ in range(PHOTOS)],
        [HELD_OUT * 7 + k for k in range(WORLD * PHOTOS)],
    )
    faces = face_of_aligned(world.render(crowd))
    for name, path in (("conditioning recogniser", FACE_MODEL), ("judge", JUDGE)):
        genuine, impostor = pairs(recognise.load(path), faces, world.attributes(crowd))
        yield at_least(
            f"{name} TAR@FAR 1e-3, impostors of the same attributes", tar_at_far(genuine, impostor, 1e-3).value, 0.85
        )
    judge, held_out = recognise.load(JUDGE), People(people)
    yield from autoencoder(ports, judge, held_out)
    yield at_least("identity guidance +4, AUC", identity_control(ports, judge, held_out), 0.97)
    for name, rate in text_control(ports, people).items():
        yield at_least(f"text control of {name}", rate, 0.9)
    yield at_most("null replay against the reconstruction", null_replay(ports, held_out.photos[:4]), 1e-5)


def pairs(model: FaceModel, faces: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
    """(genuine, impostor) similarities of faces (PHOTOS a person, in order); impostors share all attributes (N, 3)."""
    embedded = normalize(model.features(faces), dim=1)
    similarity = embedded @ embedded.T
    person = torch.arange(len(faces)) // PHOTOS
    same = person[:, None] == person
    alike = (attributes[:, None] == attributes).all(-1)
    upper = torch.ones_like(same).triu(1)
    return similarity[same & upper], similarity[~same & alike & upper]


def autoencoder(ports: Ports, judge: FaceModel, people: People) -> Iterator[Gate]:
    """What the VAE alone keeps."""
    made = torch.cat([ports.decode(ports.encode(part)) for part in people.photos.split(BATCH)])
    seen = read(made).factors
    for name in ("smile", "open", "gaze_x", "yaw"):
        k = world.FACTORS.index(name)
        r = float(torch.corrcoef(torch.stack([seen[:, k], people.factors[:, k]]))[0, 1])
        yield at_least(f"VAE reconstruction, r of {name}", r, 0.9)
    loss = verification(judge, people.photos, people) - verification(judge, made, people)
    yield at_most("VAE reconstruction, AUC lost", loss, 0.01)


def verification(judge: FaceModel, images: Tensor, people: People) -> float:
    """AUC of images (N, 3, 128, 128), one a person, against the gallery."""
    similarity = judged(judge, images) @ judged(judge, people.gallery).T
    others = ~torch.eye(len(images), dtype=torch.bool)
    return auc(similarity.diag(), similarity[others])


def identity_control(ports: Ports, judge: FaceModel, people: People) -> float:
    """AUC of pictures that are sampled from noise with guidance +4 on the identity of a photo."""
    who = ports.embed(people.photos)
    made = [generate(ports, Identity(part), "", 4.0, seed=k) for k, part in enumerate(who.embedding.split(BATCH))]
    return verification(judge, torch.cat(made), people)


def text_control(ports: Ports, people: int) -> dict[str, float]:
    """Share of sampled pictures that the regressors read as the word asked for, by attribute.

    The words stand in the unconditional branch: guidance -3 is classifier-free guidance of 4 towards them.
    """
    rates: dict[str, float] = {}
    for name, values in WORDS.items():
        right: list[Tensor] = []
        for k, value in enumerate(values):
            said = Attribute(look=f"{value} skin") if name == "skin" else Attribute(**{name: value})
            made = generate(ports, null_identity(max(people // len(values), 4)), said.prompt, -3.0, seed=k)
            right.append(getattr(read(made), name) == k)
        rates[name] = float(torch.cat(right).double().mean())
    return rates


def null_replay(ports: Ports, photos: Tensor) -> float:
    """max |difference| of pixels between a null replay and the VAE's reconstruction."""
    plan = Plan(steps=20, at_once=1)
    path = invert_image(photos, ports, plan)
    same = sample_image(path, null_identity(len(photos)), ports, plan)
    return float((same - ports.decode(path.x0)).abs().max())


def generate(ports: Ports, who: Identity, prompt: str, guidance: float, seed: int, steps: int = 30) -> Tensor:
    """Pictures (B, 3, 128, 128) from noise alone, by the method's own solver."""
    shape = (len(who.embedding), 4, 16, 16)
    levels = sigmas(timesteps(steps, 0.0), ports.sigma)
    noise = SeededNoise(steps + 1, shape, seed)
    predict = network_guidance(ports.branches(who, torch.zeros(shape), prompt), guidance)
    x, past = to_state(noise[0]) * levels[0], None
    for k in range(steps):
        prediction = Previous(to_state(predict(x, levels[k])), levels[k])
        law = step(x, prediction.x0, levels[k], levels[k + 1], past)
        x, past = law.mean + law.std * noise[k + 1], prediction
    return ports.decode(x * alpha(levels[-1]))

"""What an attacker can try who has our code, and how far it gets: each attack with its chance level and a control."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor
from torch.nn.functional import normalize

from ..faces.judges import Judge
from ..faces.recognise import FaceModel
from ..media import images
from ..method.types import Plan, Ports
from ..metrics.interval import Estimate, wilson
from ..metrics.reidentification import fnir_at_fpir, tar_at_far
from .evaluation import judged
from .inversion_attack import reconstruct
from .judge_threshold import pairs
from .people import Albums, Matching, anonymize_people, matching, seeded

AVERAGED = 4
UNDONE = 30
"""People whose outputs are run backwards: every round costs as much as an anonymization."""
WRITTEN = 20
STRANGERS, PHOTOS, FAR, FPIR = 100, 4, 1e-3, 1e-2
"""People without an entry in a search at most, photos of each, and the rates of false accepts and false finds."""


class Row(NamedTuple):
    """An attack. knows: what the attacker has beside the output and our code. matching: how well people are found."""

    attack: str
    knows: str
    matching: Matching


@dataclass(frozen=True)
class Recognisers:
    """The two recognisers of an attack.

    judge: took no part. steering: the recogniser that conditions the run, which any attacker has too."""

    judge: FaceModel | Judge
    steering: FaceModel


@dataclass(frozen=True)
class Outputs:
    """What the tool makes of a crowd's photos, each only once however many judges ask."""

    crowd: Albums
    ports: Ports
    plan: Plan
    cache: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def of(self, photo: int, seed: int) -> Tensor:
        """(N, 3, S, S) of photo number ``photo`` of everyone, with a seed."""
        if (photo, seed) not in self.cache:
            results = anonymize_people(self.ports, self.crowd.photo(photo), seeded(self.plan, seed))
            self.cache[photo, seed] = results
        return self.cache[photo, seed]


def attacks(outputs: Outputs, eyes: Recognisers) -> Iterator[Row]:
    """A row an attack on the outputs of photo 0 with seed 1; further seeds stand for draws that the attacker does not
    know unless the row says so."""
    crowd, plan = outputs.crowd, outputs.plan

    def see(images: Tensor, photo: int, rows: slice = slice(None), model: FaceModel | Judge = eyes.judge) -> Tensor:
        points = crowd.points(photo)
        return judged(model, images, None if points is None else points[rows])

    results = outputs.of(0, 1)
    photo_b, other_b = see(crowd.photo(0), 0), see(crowd.photo(1), 1)
    other_a = see(crowd.photo(1), 1, model=eyes.steering)
    yield Row("no protection (control)", "another photo of everyone", matching(photo_b @ other_b.T))

    made_b, made_a = see(results, 0), see(results, 0, model=eyes.steering)
    yield Row(
        "re-identification by a judge that took no part (transfer)",
        "another photo of everyone",
        matching(made_b @ other_b.T),
    )
    yield Row("re-identification from the very photo", "the photos themselves", matching(made_b @ photo_b.T))
    yield Row("re-identification by the steering recogniser", "another photo of everyone", matching(made_a @ other_a.T))
    yield Row("anti-match", "another photo; ranks by the least alike", matching(-made_b @ other_b.T))
    yield Row("anti-match by the steering recogniser", "another photo; least alike", matching(-made_a @ other_a.T))

    parrot = see(outputs.of(1, 1), 1)
    yield Row("parrot", "another photo, settings and seed", matching(made_b @ parrot.T))
    repeated = see(outputs.of(0, 2), 0)
    yield Row("parrot on the very photo", "the photos and settings, not the seed", matching(made_b @ repeated.T))

    later = [see(outputs.of(k, k), k) for k in range(2, min(2 + AVERAGED, crowd.photos_each))]
    yield Row("linkability", "two outputs, different photos and seeds", matching(made_b @ later[0].T))
    averaged = normalize(torch.stack([made_b, *later]).sum(0), dim=1)
    yield Row(f"average over {1 + len(later)} outputs", "as many photos' outputs", matching(averaged @ other_b.T))
    yield Row(
        f"average over {1 + len(later)} outputs, anti-match", "as many; least alike", matching(-averaged @ other_b.T)
    )

    rows = slice(0, UNDONE)
    for name, seed, knows in (
        ("running the process backwards", 1, "settings and seed, no photo"),
        ("... with a wrong seed (control)", 99, "settings"),
    ):
        guess = reconstruct(outputs.ports, results[rows], seeded(plan, seed), eyes.steering)
        yield Row(name, knows, matching(see(guess, 0, rows) @ other_b[rows].T))
    yield Row("... before it began (control)", "nothing", matching(made_b[rows] @ other_b[rows].T))


def confirmed(outputs: Outputs) -> Estimate:
    """Share of outputs that whoever has photo, settings and seed makes again, to 1/255 a pixel value: a guess is
    confirmed. Chance 0."""
    results = outputs.of(0, 1)
    repeated = anonymize_people(outputs.ports, outputs.crowd.photo(0)[:WRITTEN], seeded(outputs.plan, 1))
    return wilson(int(((results[:WRITTEN] - repeated).abs().amax((1, 2, 3)) <= 1 / 255).sum()), len(repeated))


class Search(NamedTuple):
    """How well a gallery search finds people.

    tar: share above the threshold that ``FAR`` of the pairs of strangers exceed. fnir: share that is not found first
    above the threshold at which ``FPIR`` of the photos of ``strangers``, who have no entry, find somebody."""

    probes: str
    tar: Estimate
    fnir: Estimate
    strangers: int


def searches(crowd: Albums, results: Tensor, judge: FaceModel | Judge) -> list[Search]:
    """Photos, and ``results`` made of them, searched for among other photos of everyone."""
    entries = judged(judge, crowd.photo(1), crowd.points(1))
    strangers = crowd.strangers(STRANGERS)
    each = range(min(PHOTOS, strangers.photos_each))
    others = torch.cat([judged(judge, strangers.photo(k), strangers.points(k)) for k in each])
    own = torch.eye(len(entries), dtype=torch.bool)
    result_rows: list[Search] = []
    apart = torch.cat([pairs(others[: strangers.count]), (others @ entries.T).flatten()])
    for name, probes in (("photos (control)", crowd.photo(0)), ("results", results)):
        likeness = judged(judge, probes, crowd.points(0)) @ entries.T
        accepted = tar_at_far(likeness.diag(), apart, FAR)
        result_rows.append(
            Search(name, accepted, fnir_at_fpir(likeness, own, others @ entries.T, FPIR), strangers.count)
        )
    return result_rows


def telling_files(results: Tensor) -> Estimate:
    """Share of written files that hold anything but pixels, though the sources held text, EXIF and a profile."""
    telling = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, result in enumerate(results):
            source, output = Path(folder) / f"{i}.png", Path(folder) / f"{i}_out.png"
            note, exif = PngImagePlugin.PngInfo(), Image.Exif()
            note.add_text("parameters", "seed 1")
            exif[0x010E] = "somebody"
            images.to_pil(result).save(source, pnginfo=note, exif=exif)
            images.write_png(images.to_pil(images.read(source)), output)
            telling += set(chunks(output.read_bytes())) != {"IHDR", "IDAT", "IEND"}
    return wilson(telling, len(results))


def chunks(data: bytes) -> list[str]:
    """Names of a PNG's chunks, in order."""
    names, at = list[str](), 8
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode("latin-1"))
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return names


class Group(NamedTuple):
    """How well people of one attribute value are told apart.

    people: how many. before, after: AUC among people of one attribute value only, so that it cannot help."""

    name: str
    people: int
    before: Estimate
    after: Estimate


def groups(crowd: Albums, outputs: Tensor, judge: FaceModel | Judge, words: Mapping[str, Sequence[str]]) -> list[Group]:
    """Who is protected how well, by attribute value."""
    photo, other = (judged(judge, crowd.photo(k), crowd.points(k)) for k in (0, 1))
    result_embeddings = judged(judge, outputs, crowd.points(0))
    result_rows: list[Group] = []
    for column, (attribute, values) in enumerate(words.items()):
        for k, value in enumerate(values):
            (members,) = torch.where(crowd.attributes[:, column] == k)
            if len(members) < 2:
                continue
            before, after = (
                matching(embeddings[members] @ other[members].T).auc for embeddings in (photo, result_embeddings)
            )
            result_rows.append(Group(f"{attribute}: {value}", len(members), before, after))
    return result_rows

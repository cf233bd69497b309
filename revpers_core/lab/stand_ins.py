"""What stand-ins do: to privacy and to what should stay, and who can link whose results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..faces.recognise import FaceModel
from ..media.pseudonyms import Pseudonyms, Strangers
from ..method.anonymize import sample_image
from ..method.identity import identity_of
from ..method.trajectory import Trajectory
from ..method.types import Identity, Plan, Ports
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import auc
from .evaluation import BATCH, Crowd, Judges, judged, measured
from .judge_threshold import pairs
from .people import invert_latents, matching, seeded
from .steps import factor_correlation

GUIDANCES = (-1.0, -2.0, -4.0, -6.0)
NOBODY_CAME, A_STRANGER = "nobody (the paper)", "a stranger"
CROWD = 200
"""People whose stand-ins under one key must differ."""


@dataclass
class Releases:
    """Results of two photos of everyone, each inverted once under a noise seed and sampled once for each that is asked.

    folder: results are kept there, so that a run that was stopped goes on.
    """

    people: Crowd
    ports: Ports
    plan: Plan
    folder: Path | None = None

    def __post_init__(self):
        self._paths: dict[tuple[int, int], list[Trajectory]] = {}
        self._results: dict[str, Tensor] = {}

    @cached_property
    def identities(self) -> list[Identity]:
        """Everyone to the recogniser that steers, by photo."""
        return [_concatenated([self.ports.embed(chunk) for chunk in self._photo(k).split(BATCH)]) for k in (0, 1)]

    def _photo(self, number: int) -> Tensor:
        return self.people.gallery if number else self.people.photos

    def stand_ins(self, key: int | None) -> Identity | None:
        """Everyone's (N, 512) under a key, nobody's for None."""
        if key is None:
            return None
        pseudonyms, identities = Pseudonyms(Strangers(key)), self.identities[0]
        each = [identities.rows(slice(i, i + 1)) for i in range(len(identities.embedding))]
        return _concatenated(
            [pseudonyms.cast([identity], f"person {i}")[0].identity for i, identity in enumerate(each)]
        )

    def __call__(self, photo: int, noise: int, key: int | None, guidance: float | None = None) -> Tensor:
        """(N, 3, 128, 128)."""
        plan = seeded(self.plan if guidance is None else replace(self.plan, guidance=guidance), noise)
        name = sha256(self._photo(photo).numpy().tobytes() + repr((plan, key)).encode()).hexdigest()[:32]
        if name not in self._results:
            path = self.folder and self.folder / f"{name}.pt"
            if path and path.is_file():
                self._results[name] = torch.load(path, weights_only=True)
            else:
                self._results[name] = self._sampled(photo, plan, key)
                if path:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    torch.save(self._results[name], path.with_suffix(".part"))
                    path.with_suffix(".part").replace(path)
        return self._results[name]

    def _sampled(self, photo: int, plan: Plan, key: int | None) -> Tensor:
        if (photo, plan.seed) not in self._paths:
            parts = self._photo(photo).split(BATCH)
            self._paths[photo, plan.seed] = [
                invert_latents(self.ports, self.ports.encode(chunk), plan) for chunk in parts
            ]
        instead, results = self.stand_ins(key), list[Tensor]()
        for k, path in enumerate(self._paths[photo, plan.seed]):
            rows = slice(k * BATCH, k * BATCH + len(path.x0))
            new = None if instead is None else Identity(instead.embedding[rows])
            results.append(
                sample_image(path, Identity(self.identities[photo].embedding[rows]), self.ports, plan, instead=new)
            )
        return torch.cat(results)


def _concatenated(parts: list[Identity]) -> Identity:
    return Identity(torch.cat([identity.embedding for identity in parts]), population=parts[0].population)


def privacy(releases: Releases, judges: Judges) -> Iterator[dict[str, Any]]:
    """A row a stand-in, guidance and judge: is the source still known, and what stays."""
    for guidance in GUIDANCES:
        for stand_in, key in ((NOBODY_CAME, None), (A_STRANGER, 1)):
            images = releases(0, 1, key, guidance)
            stays = factor_correlation(releases.people, images)
            for name, judge in judges.items():
                measures = measured(releases.people, images, judge)
                row = {"instead": stand_in, "guidance": guidance, "judge": name, "kept": stays}
                yield row | {k: measures[k] for k in ("auc", "rank1", "r_smile", "r_open", "r_gaze_x", "r_pitch")}


def at_equal_preservation(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of ``privacy``'s rows, a stranger beside nobody where as much stays: AUC and rank 1 of a stranger, with the ends
    of their intervals, on the straight line between the two guidances whose results keep more and less.

    A row a judge and guidance of nobody; none where a stranger's results all keep more, or all less.
    """
    equal = list[dict[str, Any]]()
    for nobody in (row for row in rows if row["instead"] == NOBODY_CAME):
        strangers = [row for row in rows if row["instead"] == A_STRANGER and row["judge"] == nobody["judge"]]
        strangers.sort(key=lambda row: -row["kept"].value)
        for more, less in pairwise(strangers):
            span = more["kept"].value - less["kept"].value
            share = (more["kept"].value - nobody["kept"].value) / span if span else -1.0
            if not 0 <= share <= 1:
                continue
            row = {"judge": nobody["judge"], "kept": nobody["kept"].value, "guidance": nobody["guidance"]}
            row["stranger's guidance"] = more["guidance"] + share * (less["guidance"] - more["guidance"])
            for name in ("auc", "rank1"):
                row[name] = nobody[name]
                row[f"{name}, {A_STRANGER}"] = _between(more[name], less[name], share)
            equal.append(row)
            break
    return equal


def _between(start: Estimate, end: Estimate, share: float) -> Estimate:
    """On the straight line from start (share 0) to end (1), both ends of the interval too."""
    return Estimate(*(a + share * (b - a) for a, b in zip(start, end, strict=True)))


def links(releases: Releases, judges: Judges) -> Iterator[dict[str, Any]]:
    """A row a question and judge: two results of one person against results of two people."""
    first, people = releases(0, 1, 1), releases.people
    questions = {
        "two photos, nobody comes instead (the paper)": (releases(0, 1, None), releases(1, 2, None), 1),
        "two photos, the same stranger by key": (first, releases(1, 2, 1), 1),
        "two photos, two keys": (first, releases(1, 2, 2), 1),
        "one photo, another noise seed, nobody (the paper)": (releases(0, 1, None), releases(0, 2, None), 0),
        "one photo, another noise seed, the same stranger": (first, releases(0, 2, 1), 0),
        "one photo, another person seed": (first, releases(0, 1, 2), 0),
    }
    for name, judge in judges.items():
        for question, (a, b, photo) in questions.items():
            likeness = judged(judge, a, people.points(0)) @ judged(judge, b, people.points(photo)).T
            matches, mates = matching(likeness), likeness.diag()
            mean = bootstrap(lambda i, own=mates: float(own[i].mean()), people.count)
            yield {"question": question, "judge": name, "auc": matches.auc, "rank1": matches.rank1, "cosine": mean}


def reroll(releases: Releases, judges: Judges) -> Iterator[dict[str, Any]]:
    """A row a judge: is a result more like the one of the same person seed (another noise) than of another?"""
    a, same, other = releases(0, 1, 1), releases(0, 2, 1), releases(0, 1, 2)
    for name, judge in judges.items():
        see = [judged(judge, images, releases.people.points(0)) for images in (a, same, other)]
        same_person, other_person = (see[0] * see[1]).sum(1), (see[0] * see[2]).sum(1)
        yield {
            "judge": name,
            "auc": bootstrap(lambda i, p=same_person, q=other_person: auc(p[i], q[i]), len(a)),
            "same": bootstrap(lambda i, p=same_person: float(p[i].mean()), len(a)),
            "other": bootstrap(lambda i, q=other_person: float(q[i].mean()), len(a)),
        }


def known_stand_in(releases: Releases, steering: FaceModel) -> Iterator[dict[str, Any]]:
    """Attackers who know whose stand-in a result shows, and take it away from what the steering recogniser sees."""
    results, stand_ins = releases(0, 1, 1), releases.stand_ins(1)
    assert stand_ins is not None
    embeddings, source = judged(steering, results, releases.people.points(0)), releases.identities[1].embedding
    apart = normalize(embeddings - (embeddings * stand_ins.embedding).sum(1, keepdim=True) * stand_ins.embedding, dim=1)
    for name, likeness in (
        ("does not know the stand-in", embeddings @ source.T),
        ("knows it and takes it away", apart @ source.T),
        ("has the stand-ins alone: which result is whose stand-in's?", embeddings @ stand_ins.embedding.T),
    ):
        matches = matching(likeness)
        yield {"attacker": name, "auc": matches.auc, "rank1": matches.rank1}


def clashes(steering: FaceModel, count: int = CROWD) -> dict[str, Estimate]:
    """Among stand-ins of so many people under one key: pairs that the recogniser takes for one person, and people whose
    first draw was refused for being like themselves."""
    draw = torch.Generator().manual_seed(0)
    population = steering.population
    assert population is not None
    people = [identity_of(population.person(torch.randn(512, generator=draw))[None]) for _ in range(count)]
    pseudonyms = Pseudonyms(Strangers(1), same=population.same)
    identities = [replace(identity, population=population) for identity in people]
    cast = [pseudonyms.cast([identity], f"person {i}")[0] for i, identity in enumerate(identities)]
    likeness = pairs(torch.cat([pseudonym.identity.embedding for pseudonym in cast]))
    return {
        "pairs taken for one person": wilson(int((likeness >= population.same).sum()), len(likeness)),
        "first draw refused": wilson(sum(pseudonym.number > 0 for pseudonym in cast), count),
    }

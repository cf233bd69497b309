"""The verdict in one sentence, the figures behind it, and the record that may be passed on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch

from ..faces.judges import Judge
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import at_rank, auc, ranks
from .look import Looked, Seat, Surround

ENOUGH = 5
"""Faces from which on an AUC is worth telling."""


@dataclass(frozen=True)
class Opinion:
    """What one judge says of all faces.

    known: share that it takes for the same person. rank1: share whose likeliest original of all is their own, chance
    one in as many as there are; anti: the same for the *least* alike original. auc: own original against the others',
    .5 is chance, below it results avoid their source. None where there are too few faces. rendered: it knows rendered
    faces only.
    """

    judge: str
    threshold: float
    source: str
    known: Estimate
    rank1: Estimate | None
    anti: Estimate | None
    auc: Estimate | None
    rendered: bool


@dataclass(frozen=True)
class Report:
    """Everything an audit found. It holds no embedding, but ``seats`` hold crops of the originals: ``record`` drops
    them."""

    opinions: list[Opinion]
    seats: list[Seat]
    surrounds: list[Surround]
    missing: list[str]
    unseen: list[str]

    @property
    def passed(self) -> bool:
        """Whether every judge looked at every picture's every face and knows nobody."""
        looked = bool(self.opinions and self.seats) and not self.missing and not self.unseen
        return looked and not any(any(seat.known) for seat in self.seats)

    @property
    def verdict(self) -> str:
        """One sentence that a user may act upon."""
        said = [f"re-identified by {judge}: {', '.join(faces)}" for judge, faces in self.known_by().items()]
        if not self.opinions:
            said.append("unverified: no judge was given")
        elif not self.seats:
            said.append("unknown: no judge could see a face")
        elif not said:
            said.append(f"not re-identified by {len(self.opinions)} of {len(self.opinions)} judges")
        if self.seats and self.opinions and all(one.rendered for one in self.opinions):
            said.append("judged as rendered faces only: this vouches for no photo")
        if self.missing:
            said.append(f"no result for {', '.join(self.missing)}")
        if self.unseen and self.seats:
            said.append(f"unknown in {', '.join(self.unseen)}: no face was found there")
        return "; ".join(said)

    def known_by(self) -> dict[str, list[str]]:
        """Judge -> the faces that it still knows."""
        found: dict[str, list[str]] = {}
        for seat in self.seats:
            for opinion, known in zip(self.opinions, seat.known, strict=True):
                if known:
                    found.setdefault(opinion.judge, []).append(f"face {seat.number} of {seat.image}")
        return found

    @property
    def table(self) -> str:
        """A line a judge, then what stayed."""
        lines = [f"{'judge':<20} {'still known':<22} {'found first':<22} {'found last':<22} AUC"]
        for one in self.opinions:
            cells = [f"{v}" if v else "-" for v in (one.known, one.rank1, one.anti, one.auc)]
            lines.append(f"{one.judge:<20} {cells[0]:<22} {cells[1]:<22} {cells[2]:<22} {cells[3]}")
        if len(self.seats) > 1:
            lines.append(f"by chance: found first or last {1 / len(self.seats):.3f}, AUC 0.500")
        for name, value in self.stayed().items():
            lines.append(f"{name}: {'-' if value is None else f'{value:.3f}'}")
        return "\n".join(lines)

    def stayed(self) -> dict[str, float | None]:
        """Means over faces and pictures; None where none could be measured."""
        values = {
            "pose change from 5 points (degrees)": [one.pose for one in self.seats],
            "mouth change from 5 points (eye distances)": [one.expression for one in self.seats],
            "SSIM outside the faces": [one.ssim for one in self.surrounds],
            "change outside the faces (0-1)": [one.change for one in self.surrounds],
            "seam (1 is none)": [one.seam for one in self.surrounds],
        }
        seen = {name: [v for v in found if v is not None] for name, found in values.items()}
        return {name: mean(found) if found else None for name, found in seen.items()}

    def record(self) -> dict[str, Any]:
        """Plain numbers and names: no embedding, no picture."""
        judges = [one.judge for one in self.opinions]
        return {
            "verdict": self.verdict,
            "passed": self.passed,
            "judges": [_plain(one) for one in self.opinions],
            "faces": [
                {
                    "image": seat.image,
                    "face": seat.number,
                    "box": [round(v, 1) for v in seat.face.box],
                    "similarity": {n: _rounded(v) for n, v in zip(judges, seat.likeness, strict=True)},
                    "re-identified": dict(zip(judges, seat.known, strict=True)),
                }
                for seat in self.seats
            ],
            "missing": self.missing,
            "unseen": self.unseen,
            "stayed": {name: None if v is None else _rounded(v) for name, v in self.stayed().items()},
        }

    def json(self) -> str:
        return json.dumps(self.record())


def report(looked: Looked, judges: Sequence[Judge]) -> Report:
    """What follows from what was seen."""
    opinions = [_opinion(k, judge, looked) for k, judge in enumerate(judges)]
    return Report(opinions, looked.seats, looked.surrounds, looked.missing, looked.unseen)


def _opinion(k: int, judge: Judge, looked: Looked) -> Opinion:
    count = len(looked.seats)
    known = wilson(sum(seat.known[k] for seat in looked.seats), count)
    rank1 = anti = verification = None
    if count > 1:
        sources, results = looked.embedded[k]
        likeness = torch.tensor([[judge.similarity(one, other) for other in sources] for one in results])
        owner = torch.arange(count)
        rank1, anti = (at_rank(ranks(sign * likeness, owner), 1) for sign in (1, -1))
        if count >= ENOUGH:
            others = ~torch.eye(count, dtype=torch.bool)
            verification = bootstrap(lambda i: auc(likeness.diag()[i], likeness[i][others[i]]), count)
    return Opinion(
        judge.name, judge.rule.threshold, judge.rule.source, known, rank1, anti, verification, judge.rule.rendered
    )


def _plain(opinion: Opinion) -> dict[str, Any]:
    told = vars(opinion)
    return {
        k: {n: _rounded(v) for n, v in e._asdict().items()} if isinstance(e := told[k], Estimate) else e for k in told
    }


def _rounded(value: float) -> float | None:
    """To 4 digits; None for NaN, which JSON does not have."""
    return round(value, 4) if value == value else None

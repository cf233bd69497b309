"""The verdict in one sentence, the figures behind it, and the record that may be passed on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ..faces.judges import Judge
from ..metrics.frechet import frechet
from ..metrics.interval import Estimate
from .compare import Comparison, FaceComparison, Surround
from .judge_report import JudgeReport, judge_report, likeness_table

SURE = 0.5
"""How far on the way from the threshold to the likeness with itself somebody must be to be seen in another's result:
among N results any face has N chances to resemble one."""


@dataclass(frozen=True)
class Report:
    """Everything an audit found. It holds no embedding, but ``faces`` hold crops of the originals: ``record`` drops
    them.

    elsewhere: (face, picture) where a judge is sure of a face in another picture's result. extra: results that belong
    to no original, which nobody looked at. distances: between faces before and after, by name. unread: what is said of
    files that cannot be read.
    """

    judge_reports: list[JudgeReport]
    faces: list[FaceComparison]
    surrounds: list[Surround]
    missing: list[str]
    unseen: list[str]
    mixed: list[tuple[str, str]]
    elsewhere: list[tuple[str, str]]
    extra: list[str]
    distances: dict[str, float]
    unread: list[str]

    @property
    def passed(self) -> bool:
        """Whether every judge looked at every picture's every face and knows nobody."""
        looked = bool(self.faces) and any(judged.measured for judged in self.judge_reports)
        wrong = self.missing or self.unseen or self.mixed or self.elsewhere or self.extra or self.unread
        return looked and not wrong and not any(entry.failed for entry in self.faces)

    @property
    def verdict(self) -> str:
        """One sentence that a user may act upon."""
        sentences = [f"re-identified by {judge}: {', '.join(faces)}" for judge, faces in self.known_by().items()]
        sentences += [f"{face} turns up in the result of {picture}" for face, picture in self.elsewhere]
        sentences += [f"the result of {name} shows {other}: were files mixed up?" for name, other in self.mixed]
        lost_faces = [str(entry) for entry in self.faces if entry.lost and not any(entry.known)]
        if not self.judge_reports:
            sentences.append("unverified: no judge was given")
        elif len(lost_faces) == len(self.faces):
            sentences.append("unknown: no judge could see a face" + (" in the results" if lost_faces else ""))
        elif lost_faces:
            sentences.append(f"unknown for {', '.join(lost_faces)}: no face is found there any more")
        sentences += [
            f"unknown for {', '.join(faces)}: {judge} is blind there" for judge, faces in self.blind_to().items()
        ]
        if not sentences:
            sentences.append(f"not re-identified by {len(self.judge_reports)} of {len(self.judge_reports)} judges")
        if self.faces and self.judge_reports and all(judged.rendered for judged in self.judge_reports):
            sentences.append("judged as rendered faces only: this vouches for no photo")
        guessed = [judged.judge for judged in self.judge_reports if not judged.measured]
        if self.faces and guessed:
            sentences.append(f"the threshold of {', '.join(guessed)} was not measured: it vouches for nobody")
        if self.missing:
            sentences.append(f"no result for {', '.join(self.missing)}")
        if self.unread:
            sentences.append(f"nobody could look at {'; '.join(self.unread)}")
        if self.unseen and self.faces:
            sentences.append(f"unknown in {', '.join(self.unseen)}: no face was found there")
        if self.extra:
            sentences.append(f"nobody looked at {', '.join(self.extra)}: no original belongs to it")
        return "; ".join(sentences)

    def known_by(self) -> dict[str, list[str]]:
        """Judge -> the faces that it still knows."""
        return self._by_judge([entry.known for entry in self.faces])

    def blind_to(self) -> dict[str, list[str]]:
        """Judge -> the faces that it does not know in their own mirror image."""
        return self._by_judge([entry.blind for entry in self.faces])

    def _by_judge(self, sentences: Sequence[Sequence[bool]]) -> dict[str, list[str]]:
        by_judge: dict[str, list[str]] = {}
        for entry, answers in zip(self.faces, sentences, strict=True):
            for judged, yes in zip(self.judge_reports, answers, strict=True):
                if yes:
                    by_judge.setdefault(judged.judge, []).append(str(entry))
        return by_judge

    @property
    def table(self) -> str:
        """A line a judge, then what stayed."""
        heads = ("known, or not judged", "found first", "found last", "AUC")
        lines = [f"{'judge':<20} " + " ".join(f"{head:<22}" for head in heads).rstrip()]
        for judged in self.judge_reports:
            cells = [f"{v}" if v else "-" for v in (judged.known, judged.rank1, judged.anti, judged.auc)]
            lines.append(f"{judged.judge:<20} " + " ".join(f"{cell:<22}" for cell in cells).rstrip())
        for judged in self.judge_reports:
            lines += [f"{judged.judge}: {name} {value}" for name, value in self._searches(judged)]
        lines += [f"{name}: {value:.3f}" for name, value in self.distances.items()]
        for name, value in self.stayed().items():
            lines.append(f"{name}: {'-' if value is None else f'{value:.3f}'}")
        return "\n".join(lines)

    @staticmethod
    def _searches(judged: JudgeReport) -> Iterator[tuple[str, str]]:
        """Of one judge, with the level of chance."""
        if judged.rank5 and judged.gallery > 5:
            yield f"among the first 5 of {judged.gallery}", str(judged.rank5)
        if judged.chance1 is not None:
            yield "by chance", f"found first or last {judged.chance1:.3f}, AUC 0.500"
        if judged.tar and judged.far is not None:
            yield f"TAR at FAR {judged.far:g}", f"{judged.tar} (chance {judged.far:g})"
        if judged.fnir and judged.fpir is not None:
            yield (
                f"FNIR at FPIR {judged.fpir:g}",
                f"{judged.fnir} (nobody can be found: {1 - judged.fpir / judged.gallery:.3f})",
            )

    def stayed(self) -> dict[str, float | None]:
        """Means over faces and pictures; None where none could be measured."""
        values = {
            "pose change from 5 points (degrees)": [face.pose for face in self.faces],
            "mouth change from 5 points (eye distances)": [face.expression for face in self.faces],
            "gaze change from the dark of the eyes (eye distances)": [face.gaze for face in self.faces],
            "SSIM outside the faces": [surround.ssim for surround in self.surrounds],
            "change outside the faces (0-1)": [surround.change for surround in self.surrounds],
            "seam (1 is none)": [surround.seam for surround in self.surrounds],
        }
        measured = {name: [v for v in measurements if v is not None] for name, measurements in values.items()}
        return {name: mean(measurements) if measurements else None for name, measurements in measured.items()}

    def record(self) -> dict[str, Any]:
        """Plain numbers and names: no embedding, no picture."""
        judges = [judged.judge for judged in self.judge_reports]
        return {
            "verdict": self.verdict,
            "passed": self.passed,
            "judges": [_plain(judged) for judged in self.judge_reports],
            "faces": [
                {
                    "image": entry.image,
                    "face": entry.number,
                    "box": [round(v, 1) for v in entry.face.box],
                    "similarity": {n: rounded(v) for n, v in zip(judges, entry.likeness, strict=True)},
                    "re-identified": dict(zip(judges, entry.known, strict=True)),
                    "blind": dict(zip(judges, entry.blind, strict=True)),
                    "lost": entry.lost,
                }
                for entry in self.faces
            ],
            "missing": self.missing,
            "unseen": self.unseen,
            "unread": self.unread,
            "mixed up": [{"result of": name, "shows": other} for name, other in self.mixed],
            "elsewhere": [{"face": face, "result of": picture} for face, picture in self.elsewhere],
            "extra": self.extra,
            "distances": {name: rounded(value) for name, value in self.distances.items()},
            "stayed": {name: None if v is None else rounded(v) for name, v in self.stayed().items()},
        }

    def json(self) -> str:
        return json.dumps(self.record())


def report(comparison: Comparison, judges: Sequence[Judge], extra: Sequence[str] = ()) -> Report:
    """The report on a comparison: verdict, figures and what speaks against it. extra: results without an original."""
    names = _apart([judge.name for judge in judges])
    tables = [
        likeness_table(judge, results, sources)
        for judge, (sources, results) in zip(judges, comparison.embedded, strict=True)
    ]
    judge_reports = [judge_report(k, names[k], judge, comparison, tables[k]) for k, judge in enumerate(judges)]
    return Report(
        judge_reports, comparison.faces, comparison.surrounds, comparison.missing, comparison.unseen, comparison.mixed,
        _elsewhere(comparison, judges, tables), list(extra), _distances(comparison, names), comparison.unread,
    )  # fmt: skip


def _apart(names: Sequence[str]) -> list[str]:
    """Judges of one name told apart, so that no answer hides another's."""
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _elsewhere(comparison: Comparison, judges: Sequence[Judge], tables: Sequence[Tensor]) -> list[tuple[str, str]]:
    """Faces of which a judge is sure in another picture's result, unless that one shows the same person before."""
    elsewhere: dict[tuple[str, str], None] = {}
    for judge, table, (sources, _) in zip(judges, tables, comparison.embedded, strict=True):
        for j, source in enumerate(sources):
            sure = judge.rule.threshold + SURE * (judge.similarity(source, source) - judge.rule.threshold)
            for i in torch.where(table[:, j] >= sure)[0].tolist():
                source_face, result_face = comparison.faces[j], comparison.faces[i]
                if source_face.image != result_face.image and not judge.same_person(source, sources[i]):
                    elsewhere[str(source_face), result_face.image] = None
    return list(elsewhere)


def _distances(comparison: Comparison, names: Sequence[str]) -> dict[str, float]:
    """Of the faces as sets and pair by pair: by the user's networks, else by the first judge's."""
    outputs, distances = comparison.network_outputs, dict[str, float]()
    if len(outputs.before) > 1:
        distances["FID of the faces' crops, if the network is FID's"] = frechet(
            torch.stack(outputs.before), torch.stack(outputs.after)
        )
    elif names and len(comparison.faces) > 1:
        sources, results = comparison.embedded[0]
        distances[f"Frechet distance of {names[0]}'s features (no FID)"] = frechet(
            torch.stack(sources), torch.stack(results)
        )
    if outputs.distance:
        distances["perceptual distance of the faces' crops"] = mean(outputs.distance)
    return distances


def _plain(judged: JudgeReport) -> dict[str, Any]:
    fields = vars(judged)
    return {
        k: {n: rounded(v) for n, v in e._asdict().items()} if isinstance(e := fields[k], Estimate) else e
        for k in fields
    }


def rounded(value: float) -> float | None:
    """To 4 digits; None for NaN, which JSON does not have."""
    return round(value, 4) if value == value else None

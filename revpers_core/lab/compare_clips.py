"""What one noise and one identity do for a clip, beside frames on their own, cheaper ways and blur."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .. import pocket
from ..faces import detect
from ..method.types import Plan, Ports
from ..metrics.interval import Estimate, bootstrap
from ..metrics.reidentification import auc
from ..metrics.steadiness import correlation_in_time, farthest, flicker, neighbours, warp_error
from .clip_ways import EVERY, FILLS, OURS, SOURCE, STILLS, WayResult, economy, made_every_way
from .clips import MOVES, factors, other_photos, strangers
from .evaluation import Judges, judged, read_factors
from .world.factors import FACTORS

SEEN = ("worst frame", "mean", "AUC of a frame", "AUC of the mean", "neighbours", "farthest")
"""Figures by a judge."""
MOVED = ("landmarks", "factor r", "flicker", "warp error")
"""Figures without one."""
FLICKER, STEADY = 0.6, 0.03
"""Wanted: at most this part of the flicker of frames on their own; neighbours at most so far from the source's."""
Figures = dict[str, Any]
"""Of one clip: {way: {figure: number, judge: {figure: number}}}."""


def compare_clips(
    people: int, frames: int, ports: Ports, judges: Judges, plan: Plan, folder: Path | None = None
) -> Iterator[list[Figures]]:
    """The figures of all clips so far, after each one. folder: where they are kept, so that a run that was stopped goes
    on."""
    crowd = strangers()
    apart = {name: judged(judge, crowd) for name, judge in judges.items()}
    finished: list[Figures] = []
    for person in range(people):
        file = folder and folder / f"{_digest(person, frames, plan, judges)}.json"
        if file is not None and file.is_file():
            figures = json.loads(file.read_text(encoding="utf-8"))
        else:
            figures = _measured(person, frames, ports, judges, apart, plan)
            if file is not None:
                _keep(file, figures)
        finished.append(figures)
        yield finished


def _digest(person: int, frames: int, plan: Plan, judges: Judges) -> str:
    """Of all that a clip's figures depend on beside the networks."""
    return hashlib.sha256(json.dumps([person, frames, repr(plan), sorted(judges)]).encode()).hexdigest()[:32]


def _keep(file: Path, figures: Figures) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(figures), encoding="utf-8")
    unfinished.replace(file)


def _measured(
    person: int, frames: int, ports: Ports, judges: Judges, apart: Mapping[str, Tensor], plan: Plan
) -> Figures:
    ways = made_every_way(person, frames, ports, plan)
    first = next(ways)
    source = first.frames
    photos = other_photos(person)
    own = {name: (judged(judge, source), judged(judge, photos)) for name, judge in judges.items()}
    find_points = _finder()
    points, figures = find_points(source), dict[str, Any]()
    for way in (first, *ways):
        seen = {name: _seen(judged(judge, way.frames), *own[name], apart[name]) for name, judge in judges.items()}
        figures[way.name] = _moved(way, source, find_points(way.frames), points, person) | seen
    return figures


def _finder() -> Callable[[Tensor], Tensor]:
    """Frames -> their five points (T, 5, 2), NaN where no face is found."""
    detector, upright = detect.load(pocket.DETECTOR, "cpu"), detect.Search(smallest=40, turn="never")

    def find_points(images: Tensor) -> Tensor:
        detections = [detect.find_faces(image, [detector], upright) for image in images]
        return torch.stack([faces[0].points if faces else torch.full((5, 2), torch.nan) for faces in detections])

    return find_points


def _seen(after: Tensor, before: Tensor, photos: Tensor, strangers: Tensor) -> dict[str, float]:
    """What a judge sees. after, before: (T, D) of the result and the source; photos, strangers: (n, D) of the person's
    others and of other people's."""
    alike = cosine_similarity(after, before)
    middle, mean = after[len(after) // 2], after.mean(0)
    return {
        "worst frame": float(alike.max()),
        "mean": float(alike.mean()),
        "AUC of a frame": _auc(middle, photos, strangers),
        "AUC of the mean": _auc(mean, photos, strangers),
        "neighbours": neighbours(after),
        "farthest": farthest(after),
    }


def _auc(probe: Tensor, photos: Tensor, strangers: Tensor) -> float:
    return auc(cosine_similarity(probe[None], photos), cosine_similarity(probe[None], strangers))


def _moved(way: WayResult, source: Tensor, points: Tensor, source_points: Tensor, person: int) -> dict[str, float]:
    visible = ~(points.isnan() | source_points.isnan()).flatten(1).any(1)
    enough = int(visible.sum()) > len(visible) // 2
    return {
        "landmarks": correlation_in_time(points[visible], source_points[visible]) if enough else float("nan"),
        "factor r": _factor_r(way.frames, person),
        "flicker": flicker(way.frames, way.base),
        "warp error": warp_error(way.frames, source),
    }


def _factor_r(result: Tensor, person: int) -> float:
    """Mean correlation over time of expression, pose and gaze, read in the clip, with the true ones."""
    estimated = read_factors(result).factors.double()[:, [FACTORS.index(name) for name in MOVES]]
    pairs = torch.stack([estimated, factors(person, len(result)).double()]).permute(2, 0, 1)
    return float(torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]).nanmean())


def rows_of(clips: Sequence[Figures]) -> list[dict[str, Any]]:
    """A row a way and judge: {"way", "judge", figure: Estimate ...} by bootstrap over clips."""
    judges = [name for name, value in clips[0][SOURCE].items() if isinstance(value, dict)]
    rows: list[dict[str, Any]] = []
    for way in clips[0]:
        moved = {name: _mean([clip[way][name] for clip in clips]) for name in MOVED}
        for judge in judges:
            seen = {name: _mean([clip[way][judge][name] for clip in clips]) for name in SEEN}
            rows.append({"way": way, "judge": judge, **seen, **moved})
    return rows


def _mean(values: Sequence[float]) -> Estimate:
    numbers = torch.tensor(values, dtype=torch.float64)
    return bootstrap(lambda drawn: float(numbers[drawn].nanmean()), len(numbers))


def flicker_ratio(clips: Sequence[Figures], way: str) -> Estimate:
    """A way's flicker over that of frames on their own."""
    ours, stills = (torch.tensor([clip[name]["flicker"] for clip in clips]) for name in (way, STILLS))
    return bootstrap(lambda drawn: float(ours[drawn].mean() / stills[drawn].mean()), len(clips))


def difference(clips: Sequence[Figures], judge: str, a: tuple[str, str], b: tuple[str, str]) -> Estimate:
    """Mean difference of two (way, figure) in the same clips; judge: "" for figures without one."""

    def values(way: str, figure: str) -> Tensor:
        return torch.tensor([(clip[way][judge] if judge else clip[way])[figure] for clip in clips]).double()

    return _mean((values(*a) - values(*b)).tolist())


class Economy(dict[str, Estimate]):
    """Of a cheaper way, each figure's difference from ours; worse: those whose whole interval is on the wrong side."""

    WORSE_ABOVE = ("flicker", "worst frame")
    WORSE_BELOW = ("factor r", "landmarks")

    @property
    def worse(self) -> list[str]:
        above = [name for name, difference in self.items() if name.startswith(self.WORSE_ABOVE) and difference.low > 0]
        return above + [
            name for name, difference in self.items() if name.startswith(self.WORSE_BELOW) and difference.high < 0
        ]


def economies(clips: Sequence[Figures]) -> dict[str, Economy]:
    """Each cheaper way beside ours."""
    judges = [name for name, value in clips[0][OURS].items() if isinstance(value, dict)]
    compared: dict[str, Economy] = {}
    for way in (economy(k, fill) for k in EVERY for fill in FILLS):
        found = Economy()
        for figure in ("flicker", "factor r", "landmarks"):
            found[figure] = difference(clips, "", (way, figure), (OURS, figure))
        for judge in judges:
            found[f"worst frame, {judge}"] = difference(clips, judge, (way, "worst frame"), (OURS, "worst frame"))
        compared[way] = found
    return compared

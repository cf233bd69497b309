"""Every method on the same people by the same measures."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..faces.detector import Detector
from ..faces.masks import whole_face
from ..method.types import Plan, Ports
from ..metrics.change import change
from ..metrics.frechet import frechet
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import at_rank, ranks
from ..metrics.ssim import ssim
from .baselines import METHODS, Baseline
from .evaluation import BATCH, Crowd, Judges, judged, measured

SURE = 0.5
"""Score from which on a face counts as found."""


def compare_methods(
    people: Crowd, ports: Ports, judges: Judges, plan: Plan, methods: Mapping[str, Baseline] = METHODS, *,
    detect: Detector,
) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
    """(method, its measures by one judge, whose name is "judge", after another).

    To the laboratory's measures come: found_last, share whose own gallery photo is the least alike of all (chance 1 in
    N: more is overshoot); face_found, share in which ``detect`` finds a face; ssim_outside and change_outside the face;
    frechet, distance of the judge's features from those of the gallery's photos, not comparable with FID.
    """
    galleries = {name: judged(judge, people.gallery, people.points(1)) for name, judge in judges.items()}
    outside = (whole_face(people.photos.shape[-1]) == 0)[None]
    for method, run in methods.items():
        results = torch.cat(
            [run(chunk, ports, replace(plan, seed=k)) for k, chunk in enumerate(people.photos.split(BATCH))]
        )
        count = len(results)
        where = outside.expand(count, -1, -1, -1)
        shared = {
            "face_found": wilson(sum(any(face.score > SURE for face in detect(image)) for image in results), count),
            "ssim_outside": mean(ssim(results, people.photos, where)),
            "change_outside": mean(change(results, people.photos, where)),
        }
        for name, judge in judges.items():
            embedded, gallery = judged(judge, results, people.points(0)), galleries[name]
            last = at_rank(ranks(-embedded @ gallery.T, torch.arange(count)), 1)
            row = {"judge": name, **measured(people, results, judge), "found_last": last, **shared}
            yield method, row | {"frechet": round(frechet(embedded, gallery), 4)}


def mean(values: Tensor) -> Estimate:
    return bootstrap(lambda i: float(values[i].mean()), len(values))

"""Every method on the same people by the same measures."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..faces.detector import Detector
from ..faces.recognise import FaceModel
from ..method.types import Plan, Ports
from ..metrics.change import change
from ..metrics.frechet import frechet
from ..metrics.interval import Estimate, bootstrap, wilson
from ..metrics.reidentification import at_rank, ranks
from ..metrics.ssim import ssim
from .baselines import METHODS, Method, whole_face
from .laboratory import BATCH, People, judged, measured

SURE = 0.5
"""Score from which on a face counts as found."""


def compare_methods(
    people: People, ports: Ports, judge: FaceModel, plan: Plan, methods: Mapping[str, Method] = METHODS, *,
    detect: Detector,
) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
    """(method, its measures). To the laboratory's measures come: found_last, share whose own gallery photo is the least
    alike of all (chance 1 in N: more is overshoot); face_found, share in which ``detect`` finds a face; ssim_outside
    and change_outside the face; frechet, distance of the judge's features from those of the gallery's photos, not
    comparable with FID."""
    gallery = judged(judge, people.gallery)
    outside = (whole_face(people.photos.shape[-1]) == 0)[None]
    for name, method in methods.items():
        made = torch.cat(
            [method(part, ports, replace(plan, seed=k)) for k, part in enumerate(people.photos.split(BATCH))]
        )
        count, seen = len(made), judged(judge, made)
        last = ranks(-seen @ gallery.T, torch.arange(count))
        where = outside.expand(count, -1, -1, -1)
        row = measured(people, made, judge) | {
            "found_last": at_rank(last, 1),
            "face_found": wilson(sum(any(face.score > SURE for face in detect(one)) for one in made), count),
            "ssim_outside": mean(ssim(made, people.photos, where)),
            "change_outside": mean(change(made, people.photos, where)),
        }
        yield name, {**row, "frechet": round(frechet(seen, gallery), 4)}


def mean(values: Tensor) -> Estimate:
    return bootstrap(lambda i: float(values[i].mean()), len(values))

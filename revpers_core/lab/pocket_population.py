"""How the pocket's recogniser sees rendered people, measured on people of no test from whom it has not learned: what is
measured here ships beside its weights."""

from pathlib import Path

import torch
from torch.nn.functional import normalize

from ..faces import population, recognise
from ..faces.geometry import face_of_aligned
from ..faces.judge_spec import FAR
from ..method.population import Population
from ..metrics.reidentification import threshold_at_far
from ..pocket import FACE_MODEL
from .data import PHOTOS, Photos
from .judge_threshold import pairs

BATCH = 40


def measure(photos: Photos, recogniser: Path = FACE_MODEL) -> Population:
    """Of everybody from whom the judge learns instead, a photo each."""
    model = recognise.load(recogniser)
    first = photos.of(judge=True)[::PHOTOS]
    embedded = torch.cat(
        [normalize(model.features(face_of_aligned(photos[batch])), dim=1) for batch in first.split(BATCH)]
    )
    threshold = round(threshold_at_far(pairs(embedded), FAR), 4)
    source = f"{len(first)} rendered people; FAR {FAR:g} on {len(first) * (len(first) - 1) // 2} pairs of them"
    return population.of_people(embedded, threshold, source)


def write(photos: Photos, recogniser: Path = FACE_MODEL) -> None:
    """Put it beside the recogniser's weights, as whoever trains them must."""
    population.write(measure(photos, recogniser), recogniser)

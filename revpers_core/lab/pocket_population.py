"""How the pocket's recogniser sees rendered people, measured on people of no training and no test: what is measured
here ships beside its weights."""

import torch
from torch.nn.functional import normalize

from ..faces import population, recognise
from ..faces.geometry import face_of_aligned
from ..faces.judge_spec import FAR
from ..method.population import Population
from ..metrics.reidentification import threshold_at_far
from ..pocket import FACE_MODEL, HELD_OUT, world
from .judge_threshold import pairs

PEOPLE = 1200
FIRST = HELD_OUT - 400_000
BATCH = 40


def measure(people: int = PEOPLE) -> Population:
    """Of so many rendered people, a photo each; 0.1 s a person."""
    model, chunks = recognise.load(FACE_MODEL), list[torch.Tensor]()
    for start in range(0, people, BATCH):
        count = min(BATCH, people - start)
        photos = world.render(world.sample(range(FIRST + start, FIRST + start + count), range(start, start + count)))
        chunks.append(normalize(model.features(face_of_aligned(photos)), dim=1))
    embedded = torch.cat(chunks)
    threshold = round(threshold_at_far(pairs(embedded), FAR), 4)
    source = f"{people} rendered people; FAR {FAR:g} on {people * (people - 1) // 2} pairs of them"
    return population.of_people(embedded, threshold, source)


def write() -> None:
    """Put it beside the recogniser's weights, as whoever trains them must."""
    population.write(measure(), FACE_MODEL)

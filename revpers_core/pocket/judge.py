"""The pocket world's judge: a recogniser of another architecture than the one that conditions, with its own rule."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..faces import recognise
from ..faces.geometry import face_of_aligned
from ..faces.judges import ArcFaceJudge, Rule, cosine
from ..faces.recognise import FaceModel
from ..metrics.reidentification import threshold_at_far
from . import HELD_OUT, JUDGE, world

STRANGERS = 64
FIRST = HELD_OUT + 500_000
FAR, FLOOR = 1e-3, 1e-2


def pocket_judge() -> ArcFaceJudge:
    """Judge B for rendered faces; of real people it knows nothing. Its rule is measured here, in about 2 s."""
    model = recognise.load(JUDGE)
    return ArcFaceJudge(model, measured_rule(model))


def measured_rule(model: FaceModel, strangers: int = STRANGERS) -> Rule:
    """Threshold and floor of a recogniser on all pairs of rendered strangers, so that they fit whatever weights."""
    seeds = range(FIRST, FIRST + strangers)
    likeness = pairs(normalize(model.features(face_of_aligned(world.render(world.sample(seeds, seeds)))), dim=1))
    source = f"FAR {FAR:g} and least {FLOOR:.0%} of {len(likeness)} pairs of rendered strangers"
    return Rule(cosine, threshold_at_far(likeness, FAR), float(likeness.quantile(FLOOR)), source, rendered=True)


def pairs(embedded: Tensor) -> Tensor:
    """Cosine similarities of all pairs of unit embeddings (N, D): (N (N - 1) / 2,)."""
    count = len(embedded)
    return (embedded @ embedded.T)[torch.ones(count, count).triu(1) > 0]

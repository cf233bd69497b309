"""Where judge B's threshold comes from: pairs of rendered strangers. What is measured here ships beside its weights."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..faces import judge_spec, recognise
from ..faces.geometry import face_of_aligned
from ..faces.judge_spec import FAR, LEAST, JudgeSpec
from ..metrics.reidentification import threshold_at_far
from ..pocket import JUDGE


def description(photos: Tensor, judge: Path = JUDGE) -> JudgeSpec:
    """Judge B with threshold and floor as all pairs of strangers have them. photos: (N, 3, S, S), one each, framed as
    FFHQ's are. Raises ValueError where they are too few for FAR."""
    likeness = pairs(normalize(recognise.load(judge).features(face_of_aligned(photos)), dim=1))
    threshold, floor = threshold_at_far(likeness, FAR), float(likeness.quantile(LEAST))
    source = f"FAR {FAR:g} and least {LEAST:.0%} of {len(likeness)} pairs of rendered strangers"
    return JudgeSpec(judge.name, round(threshold, 6), round(floor, 6), source, rendered=True)


def write(photos: Tensor, judge: Path = JUDGE) -> None:
    """Put the description beside the judge's weights, as whoever trains them must."""
    judge_spec.write(description(photos, judge), judge.with_suffix(".json"))


def pairs(embedded: Tensor) -> Tensor:
    """Cosine similarities of all pairs of unit embeddings (N, D): (N (N - 1) / 2,)."""
    count = len(embedded)
    return (embedded @ embedded.T)[torch.ones(count, count).triu(1) > 0]

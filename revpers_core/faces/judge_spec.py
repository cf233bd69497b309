"""What must be known of a recogniser's file before it may judge: its input's form, and from where on two faces are one
person's. A small JSON file beside the network says it, so that no threshold is taken for another network's."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..metrics.reidentification import tar_at_far, threshold_at_far
from . import recognise
from .judges import ARCFACE_RULE, ArcFaceJudge, DecisionRule, cosine, negative_distance
from .onnx_session import Place

METRICS = {"cosine": cosine, "euclid": negative_distance}
FAR, LEAST = 1e-3, 1e-2
"""False accepts at the threshold, and the share of strangers below the floor."""


@dataclass(frozen=True)
class JudgeSpec:
    """A judge's file.

    file: the ONNX network's name. threshold: from which cosine on (or below which distance, metric "euclid") two faces
    are one person's; floor: below which cosine (above which distance) 1% of strangers lie; source: where both are from,
    in words. None where nobody has measured them. size: of its square input in pixels. channels: "RGB" or "BGR"
    (AdaFace). mean, std: of the input in 0...255, one number or one a channel. output: its embedding's name; empty for
    the first one. rendered: it knows rendered faces only, and vouches for no photo.
    """

    file: str
    threshold: float | None = None
    floor: float | None = None
    source: str = ""
    size: int = 112
    channels: str = "RGB"
    mean: float | Sequence[float] = 127.5
    std: float | Sequence[float] = 127.5
    metric: str = "cosine"
    output: str = ""
    rendered: bool = False

    def __post_init__(self):
        if self.metric not in METRICS:
            raise ValueError(f"{self.file}: metric must be one of {', '.join(METRICS)}, got {self.metric!r}")
        if self.threshold is None or self.floor is None:
            return
        if not self.source:
            raise ValueError(f"{self.file}: a threshold needs a source: say on which people it was measured")
        most = 1.0 if self.metric == "cosine" else float("inf")
        least = -1.0 if self.metric == "cosine" else 0.0
        if not (isfinite(self.threshold) and least < self.threshold < most and least <= self.floor <= most):
            raise ValueError(
                f"{self.file}: threshold and floor of metric {self.metric} must be between {least:g} and {most:g}, got "
                f"{self.threshold:g} and {self.floor:g}"
            )

    @property
    def rule(self) -> DecisionRule:
        """The decision rule of this file; unmeasured thresholds are ``GUESS``."""
        likeness = METRICS[self.metric]
        if self.threshold is None or self.floor is None:
            if self.metric != "cosine":
                raise ValueError(f"{self.file}: for metric {self.metric} its description must give threshold and floor")
            return GUESS
        sign = 1 if self.metric == "cosine" else -1
        return DecisionRule(likeness, sign * self.threshold, sign * self.floor, self.source, self.rendered)


GUESS = replace(ARCFACE_RULE, source="fr_feature's, not measured for this file: describe it", measured=False)
"""For a file that nobody has described: it can find somebody, and vouches for nobody."""
FR_FEATURE = JudgeSpec(
    "fr_feature.onnx", ARCFACE_RULE.threshold, ARCFACE_RULE.floor, ARCFACE_RULE.source, mean=127, std=128
)
KNOWN = {FR_FEATURE.file: FR_FEATURE}


def load_judge(path: str | Path, provider: str | Place = "cpu") -> ArcFaceJudge:
    """A judge from NAME.onnx, with NAME.json beside it where there is one, or from NAME.json.

    Raises ValueError for a description or network that cannot be used.
    """
    path = Path(path)
    spec_path = path if path.suffix == ".json" else path.with_suffix(".json")
    if spec_path.is_file() or path.suffix == ".json":
        return build_judge(read(spec_path), spec_path.parent, provider)
    spec = KNOWN.get(path.name, JudgeSpec(path.name))
    return ArcFaceJudge(recognise.load(path, provider, mean=spec.mean, std=spec.std), spec.rule)


def load_first_judge(paths: Sequence[Path], provider: str | Place = "cpu") -> ArcFaceJudge:
    """The judge among a model pack's files (insightface packs hold detectors and landmark nets too).

    Raises ValueError when none of them is one.
    """
    described = [path for path in paths if path.with_suffix(".json").is_file()]
    if described:
        return load_judge(described[0], provider)
    name = recognise.load_first(paths).name
    return load_judge(next(path for path in paths if path.stem == name), provider)


def build_judge(spec: JudgeSpec, folder: Path, provider: str | Place = "cpu") -> ArcFaceJudge:
    """The judge whose file lies in a folder."""
    d = spec
    model = recognise.load_with_spec(folder / d.file, d.size, d.channels, d.output, provider, mean=d.mean, std=d.std)
    return ArcFaceJudge(model, d.rule)


def read(path: Path) -> JudgeSpec:
    """Read a judge's description. Raises ValueError where it is none."""
    try:
        fields: Any = json.loads(path.read_text(encoding="utf-8"))
        return JudgeSpec(**fields)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path}: this is no description of a judge: {error}") from error


def write(spec: JudgeSpec, path: Path) -> None:
    path.write_text(json.dumps(asdict(spec), indent=1) + "\n", encoding="utf-8")


def measure_threshold(spec: JudgeSpec, embedded: Sequence[Sequence[Tensor]]) -> JudgeSpec:
    """The description with threshold and floor as they are on people of one's own.

    embedded: (D,) each, of every photo of every person. Raises ValueError where pairs of strangers are too few for
    ``FAR``.
    """
    likeness = METRICS[spec.metric]
    flat = [(person, embedding) for person, photos in enumerate(embedded) for embedding in photos]
    pairs = [(a[0] == b[0], likeness(a[1], b[1])) for i, a in enumerate(flat) for b in flat[:i]]
    strangers = torch.tensor([value for same, value in pairs if not same], dtype=torch.float64)
    mates = torch.tensor([value for same, value in pairs if same], dtype=torch.float64)
    if strangers.isnan().any():
        raise ValueError(f"{spec.file} gives NaN for some of these photos: it cannot judge")
    threshold = threshold_at_far(strangers, FAR)
    share_found = (
        f"; finds {tar_at_far(mates, strangers, FAR)} of {len(mates)} pairs of one person" if len(mates) else ""
    )
    source = (
        f"FAR {FAR:g} and least {LEAST:.0%} of {len(strangers)} pairs of strangers, {len(embedded)} people{share_found}"
    )
    floor = float(strangers.quantile(LEAST))
    sign = 1 if spec.metric == "cosine" else -1
    return replace(spec, threshold=round(sign * threshold, 6), floor=round(sign * floor, 6), source=source)

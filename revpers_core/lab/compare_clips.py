"""What one noise and one identity do for a clip, beside frames on their own, blur and another renderer's face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import pocket
from ..faces import detect
from ..faces.geometry import face_in_aligned
from ..faces.judges import Judge
from ..method.anonymize import invert_image, sample_image
from ..method.identity import identity_of
from ..method.types import Plan, Ports
from ..metrics.reidentification import auc
from ..metrics.steadiness import correlation_in_time, farthest, flicker, neighbours, warp_error
from ..pocket import world
from . import baselines
from .clips import MOVES, clip, moving, other_photo
from .evaluation import read_factors

Way = Callable[[Tensor, int, Ports, Plan], Tensor]
"""(a clip (T, 3, S, S), whose it is, the network, settings) -> the clip made anonymous."""
STAND_IN = 900
"""Of the clips' people, the one whom a swap puts in everybody's place."""


def per_frame(frames: Tensor, person: int, ports: Ports, plan: Plan) -> Tensor:
    """Each frame for itself: a noise and an identity of its own."""
    path = invert_image(frames, ports, plan)
    return sample_image(path, ports.embed(frames), ports, plan)


def one_stranger(frames: Tensor, person: int, ports: Ports, plan: Plan) -> Tensor:
    """As ``revpers video`` does: one noise, the mean identity."""
    path = invert_image(frames, ports, plan, indices=[0] * len(frames))
    mean = identity_of(ports.embed(frames).embedding.mean(0, keepdim=True))
    return sample_image(path, mean, ports, plan)


def every_second(frames: Tensor, person: int, ports: Ports, plan: Plan) -> Tensor:
    """The same for every second frame; those between are the mean of their neighbours."""
    sampled = one_stranger(frames[::2], person, ports, plan)
    out = sampled.repeat_interleave(2, 0)[: len(frames)].clone()
    out[1:-1:2] = (sampled[:-1] + sampled[1:])[: len(out[1:-1:2])] / 2
    return out


def swapped(frames: Tensor, person: int, ports: Ports, plan: Plan) -> Tensor:
    """An ideal face swap: the renderer draws one fixed stand-in with every frame's own expression, pose and light."""
    source, stand_in = moving(person, len(frames)), moving(STAND_IN, len(frames))
    return world.render(world.Faces(stand_in.identity, source.scene))


def of_photos(method: Callable[[Tensor, Ports, Plan], Tensor]) -> Way:
    return lambda frames, person, ports, plan: method(frames, ports, plan)


WAYS: dict[str, Way] = {
    "source": of_photos(baselines.photo),
    "VAE alone": of_photos(baselines.autoencoder),
    "blur": of_photos(baselines.blur),
    "swap of a fixed stand-in (rendered, ideal)": swapped,
    "each frame for itself": per_frame,
    "one noise, one identity (ours)": one_stranger,
    "ours, every second frame": every_second,
}


@dataclass(frozen=True)
class _Clip:
    """A person's clip, what the VAE makes of it, another photo's embedding, and the points of every frame."""

    person: int
    frames: Tensor
    decoded: Tensor
    other: Tensor
    points: Tensor


def compare_clips(people: int, frames: int, ports: Ports, judge: Judge, plan: Plan) -> "Sequence[dict[str, Any]]":
    """A row a way, over as many clips as people."""
    detector, upright = detect.load(pocket.DETECTOR), detect.Search(smallest=40, turn="never")

    def embedded(images: Tensor) -> Tensor:
        return torch.stack([judge.embed(image, face_in_aligned(image)) for image in images])

    def points(images: Tensor) -> Tensor:
        detections = [detect.find_faces(image, [detector], upright) for image in images]
        return torch.stack([faces[0].points if faces else torch.full((5, 2), torch.nan) for faces in detections])

    clips: list[_Clip] = []
    for person in range(people):
        source = clip(person, frames)
        decoded = ports.decode(ports.encode(source))
        clips.append(_Clip(person, source, decoded, embedded(other_photo(person)[None])[0], points(source)))
    return [_row(name, way, clips, embedded, points, ports, plan) for name, way in WAYS.items()]


def _row(
    name: str, way: Way, clips: Sequence[_Clip], embedded: Callable[[Tensor], Tensor],
    points: Callable[[Tensor], Tensor], ports: Ports, plan: Plan,
) -> dict[str, Any]:  # fmt: skip
    measurements: list[tuple[Tensor, dict[str, float]]] = []
    for sample in clips:
        result = way(sample.frames, sample.person, ports, plan)
        after, before = embedded(result), embedded(sample.frames)
        alike = torch.nn.functional.cosine_similarity(after, before)
        result_points, source_points = points(result), sample.points
        visible = ~(result_points.isnan() | source_points.isnan()).flatten(1).any(1)
        base = sample.frames if name in ("source", "blur") or name.startswith("swap") else sample.decoded
        figures = {
            "worst frame": float(alike.max()),
            "mean": float(alike.mean()),
            "neighbours": neighbours(after),
            "farthest": farthest(after),
            "landmarks": correlation_in_time(result_points[visible], source_points[visible])
            if int(visible.sum()) > 3
            else float("nan"),
            "factor r": _factor_r(result, sample.person),
            "flicker": flicker(result, base),
            "warp error": warp_error(result, sample.frames),
        }
        measurements.append((after.mean(0), figures))
    means = torch.stack([mean for mean, _ in measurements])
    others = torch.stack([sample.other for sample in clips])
    similar = torch.nn.functional.cosine_similarity(means[:, None], others[None], dim=-1)
    own = torch.eye(len(clips), dtype=torch.bool)
    row: dict[str, Any] = {"way": name, "AUC of the mean": auc(similar[own], similar[~own])}
    return row | {
        key: sum(figures[key] for _, figures in measurements) / len(measurements) for key in measurements[0][1]
    }


def _factor_r(result: Tensor, person: int) -> float:
    """Mean correlation over time of expression, pose and gaze, read in the clip, with the true ones."""
    estimated, true = read_factors(result).factors.double(), world.factors(moving(person, len(result))).double()
    columns = [world.FACTORS.index(name) for name in MOVES]
    pairs = (torch.stack([estimated[:, k], true[:, k]]) for k in columns)
    return float(torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]).nanmean())

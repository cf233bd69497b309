"""Ways to make a clip anonymous, from the same frames: ours, frames on their own, cheaper ones, blur."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ..media import between
from ..media.pseudonyms import Pseudonyms, Strangers
from ..method.anonymize import invert_image, sample_image
from ..method.identity import identity_of
from ..method.types import Plan, Ports
from ..metrics.steadiness import follow
from . import baselines
from .clips import clip

KEY = 1
"""Of the strangers who come instead."""
SOURCE, STILLS, OURS = "source", "each frame for itself", "one noise, one identity (ours)"
STRANGER = "ours, a stranger comes instead"
EVERY = (2, 4)
"""Economy: every k-th frame is sampled."""
Fill = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(sampled frames, the source, what the VAE makes of it, k) -> all frames."""


class WayResult(NamedTuple):
    """A clip made by one way. base: what its flicker is compared with, the source or, where a network drew the clip,
    the VAE's picture of it."""

    name: str
    frames: Tensor
    base: Tensor


def blended(sampled: Tensor, source: Tensor, decoded: Tensor, k: int) -> Tensor:
    """What the product offers: between two sampled frames a linear blend of both, in the face's own coordinates.
    sampled: ((T - 1) / k + 1, C, H, W)."""
    return between.blended(sampled, range(0, len(source), k))


def flowed(sampled: Tensor, source: Tensor, decoded: Tensor, k: int) -> Tensor:
    """The same blend, both sampled frames first carried along the source's optical flow."""
    frames = [sampled[0]]
    for number, (earlier, later) in enumerate(pairwise(sampled)):
        first = number * k
        for t in range(first + 1, first + k):
            ahead = follow(earlier, source[first : t + 1])
            back = follow(later, source[t : first + k + 1].flip(0))
            frames.append(torch.lerp(ahead, back, (t - first) / k))
        frames.append(later)
    return torch.stack(frames)


def changed_alike(sampled: Tensor, source: Tensor, decoded: Tensor, k: int) -> Tensor:
    """Each frame's own picture plus a blend of the change that both sampled frames underwent."""
    return decoded + blended(sampled - decoded[::k], source, decoded, k)


FILLS: dict[str, Fill] = {"blended": blended, "along the flow": flowed, "the change blended": changed_alike}


def economy(k: int, fill: str) -> str:
    """The name of a cheaper way."""
    return f"ours, every {k} frames, {fill}"


def made_every_way(person: int, frames: int, ports: Ports, plan: Plan) -> Iterator[WayResult]:
    """Somebody's clip by every way. frames: a multiple of 4 and one more, so that it ends with a sampled frame."""
    source = clip(person, frames)
    decoded = ports.decode(ports.encode(source))
    yield WayResult(SOURCE, source, source)
    yield WayResult("VAE alone", decoded, decoded)
    yield WayResult("blur", baselines.blur(source, ports, plan), source)
    identities = ports.embed(source)
    yield WayResult(STILLS, sample_image(invert_image(source, ports, plan), identities, ports, plan), decoded)
    path = invert_image(source, ports, plan, indices=[0] * frames)
    mean = identity_of(identities.embedding.mean(0, keepdim=True))
    ours = sample_image(path, mean, ports, plan)
    yield WayResult(OURS, ours, decoded)
    (stranger,) = Pseudonyms(Strangers(KEY)).cast([replace(mean, population=identities.population)], f"person {person}")
    yield WayResult(STRANGER, sample_image(path, mean, ports, plan, instead=stranger.identity), decoded)
    for k in EVERY:
        for name, fill in FILLS.items():
            # frames share nothing but noise and identity: those that are left out change nothing in the others
            yield WayResult(economy(k, name), fill(ours[::k], source, decoded, k), decoded)

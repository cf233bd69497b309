"""Named ways to lead away from a person, over the same inversion, network and adapter.

Guidance has one sign for all of them: below 0 leads away.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .identity import opposite
from .types import Identity, Method

FREE = 0.1
"""NullFace: share of the steps before the keep-mask is blended in (10 of its 100)."""


class Steering(NamedTuple):
    """The conditional branch's identity, and the guidance of the formula ``uncond + guidance (cond - uncond)``."""

    identity: Identity
    guidance: float


def steering(method: Method, identity: Identity, guidance: float) -> Steering:
    """Reverse personalization walks away from the person, e at g below 0; NullFace (arXiv:2503.08478) towards the
    opposite of the person, -e at -g."""
    return Steering(opposite(identity), -guidance) if method is Method.NULLFACE else Steering(identity, guidance)


def check_words(method: Method, has_words: bool, has_stand_in: bool) -> None:
    """Raise ValueError where words or a stand-in are in the unconditional branch, from which NullFace leads away."""
    if method is Method.NULLFACE and (has_words or has_stand_in):
        raise ValueError(
            "nullface leads away from what stands in the unconditional branch: leave out age, sex, look, text and who "
            "comes instead, or choose the method 'reverse'"
        )


def blended_late(sigmas: tuple[float, ...], where: Callable[[float], Tensor]) -> Callable[[float], Tensor]:
    """NullFace's keep-mask: everything may change in the first tenth of the steps, then only ``where``."""
    free = sigmas[max(1, round(FREE * (len(sigmas) - 1)))]
    return lambda sigma: torch.ones_like(where(sigma)) if sigma >= free else where(sigma)

"""Edit-friendly inversion (arXiv:2304.06140) and replay: the method's core, blind to what network predicts.

The inversion draws every state of the photo's trajectory with noise of its own and keeps both branches' predictions
there. Neither depends on guidance, so the noise maps of *any* guidance follow from them by algebra alone.
The state is float64 where the device has it: predictions are rounded to the network's precision in both phases alike,
and a null replay gives the photo back to about 1e-16 (float32 states drift by 1e-3).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import NamedTuple, Protocol, overload

import numpy as np
import torch
from torch import Tensor

from .memory import in_chunks
from .solver import Previous, step


class Need(Enum):
    """Which of the two branches a prediction is made of."""

    BOTH = "both"
    UNCOND = "uncond"
    COND = "cond"


class Branches(Protocol):
    """The network under one identity and its words."""

    def __call__(self, x: Tensor, sigma: float | Tensor, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
        """The (uncond, cond) predictions of x0; where one alone is needed it stands in both places.

        x: (B, 4, h, w) in the state's dtype. sigma: one level, or, where the inversion asks for several steps at once,
        one a row, (B,) float64 on the CPU.
        """
        ...


Predict = Callable[[Tensor, float], Tensor]
"""(x, sigma) -> the guided prediction of x0."""
Guide = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""(uncond, cond, x, sigma) -> the guided prediction of x0."""
OnStep = Callable[[int, Tensor, Tensor], None]
"""Told (step, x0 prediction, state) after every step: progress, previews, interrupt (by raising)."""


@dataclass(frozen=True)
class Quirks:
    """Where the paper's code departs from its maths (for parity tests only)."""

    stale_history: bool = False
    """The first replay step extrapolates from the inversion's last prediction."""
    short_runs_end_first_order: bool = False
    """Below 15 steps the replay's last step is of first order; the inversion's is not."""


EXACT = Quirks()
REFERENCE = Quirks(stale_history=True, short_runs_end_first_order=True)


class SeededNoise(Sequence[Tensor]):
    """Independent standard normal noise per step, drawn when asked for; an item's depends on (seed, its index) only.

    shape: (B, C, h, w). indices: the items' places in the whole batch, 0...B-1 unless given. Yields float32 on CPU.
    """

    def __init__(self, steps: int, shape: Sequence[int], seed: int, indices: Sequence[int] | None = None):
        self.steps, self.shape, self.seed = steps, tuple(shape), seed
        self.indices = tuple(range(self.shape[0])) if indices is None else tuple(indices)
        if len(self.indices) != self.shape[0]:
            raise ValueError(f"expected {self.shape[0]} batch indices, got {len(self.indices)}")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, k: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not 0 <= k < self.steps:
            raise IndexError(k)
        return torch.stack([torch.randn(self.shape[1:], generator=self._generator(i, k)) for i in self.indices])

    def rows(self, rows: slice) -> "SeededNoise":
        """The noise of some of the items."""
        indices = self.indices[rows]
        return SeededNoise(self.steps, (len(indices), *self.shape[1:]), self.seed, indices)

    def _generator(self, index: int, k: int) -> torch.Generator:
        (state,) = np.random.SeedSequence([self.seed, index, k]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state) >> 1)


class Trajectory(NamedTuple):
    """A photo's inversion. It restores the original exactly: keep it as private as the photo.

    x0: (B, 4, h, w) clean latents in the model's scale. sigmas: N + 1 falling levels. noise: N draws of x0's shape.
    uncond, cond: N predictions of x0 each, in the network's output dtype. together: faces that shared a call, all where
    it is 0; a replay in the same parts rounds the same way. A NamedTuple of lists of tensors, since that is what
    ComfyUI's cache can weigh.
    """

    x0: Tensor
    sigmas: tuple[float, ...]
    noise: Sequence[Tensor]
    uncond: list[Tensor]
    cond: list[Tensor]
    chunk_size: int = 0

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    def state(self, k: int, device: torch.device | None = None) -> Tensor:
        """The state before step k; for k = N the clean latent, taken as the noisy one at the last level."""
        x0 = to_state(self.x0, device)
        if k == self.steps:
            return x0 / alpha(self.sigmas[k])
        return x0 + self.sigmas[k] * self.noise[k].to(x0.device, non_blocking=True).to(x0)

    def to(self, device: torch.device | str) -> "Trajectory":
        """The same with its tensors on another device."""
        cond = [step.to(device) for step in self.cond]
        same = all(a is b for a, b in zip(self.uncond, self.cond, strict=True))
        uncond = cond if same else [step.to(device) for step in self.uncond]
        return self._replace(x0=self.x0.to(device), uncond=uncond, cond=cond)

    def rows(self, rows: slice) -> "Trajectory":
        """The trajectory of some of the items."""
        noise = self.noise.rows(rows) if isinstance(self.noise, SeededNoise) else [step[rows] for step in self.noise]
        cond = [step[rows] for step in self.cond]
        same = all(a is b for a, b in zip(self.uncond, self.cond, strict=True))
        uncond = cond if same else [step[rows] for step in self.uncond]
        return Trajectory(self.x0[rows], self.sigmas, noise, uncond, cond)


def concatenate(parts: Sequence[Trajectory], noise: Sequence[Tensor]) -> Trajectory:
    """Trajectories of consecutive items as one; noise: theirs together."""
    if len(parts) == 1:
        return parts[0]._replace(noise=noise)
    each = zip(*(chunk.cond for chunk in parts), strict=True), zip(*(chunk.uncond for chunk in parts), strict=True)
    cond, uncond = ([torch.cat(step) for step in steps] for steps in each)
    x0 = torch.cat([chunk.x0 for chunk in parts])
    return Trajectory(x0, parts[0].sigmas, noise, uncond, cond, max(len(chunk.x0) for chunk in parts))


@overload
def alpha(sigma: float) -> float: ...
@overload
def alpha(sigma: Tensor) -> Tensor: ...
def alpha(sigma: float | Tensor) -> float | Tensor:
    """Scale of the variance-preserving coordinates at ``sigma``: x_vp = alpha * x."""
    return (1 + sigma**2) ** -0.5


def to_state(x: Tensor, device: torch.device | None = None) -> Tensor:
    """``x`` in the state's precision: float64, on the CPU where the device has none (MPS)."""
    device = x.device if device is None else device
    return x.to("cpu" if device.type == "mps" else device, torch.float64)


def need_both(sigma: float) -> Need:
    """Both branches at every level: guidance acts at all of them."""
    del sigma
    return Need.BOTH


def invert(
    branches: Branches,
    x0: Tensor,
    sigmas: tuple[float, ...],
    noise: Sequence[Tensor],
    *,
    at_once: int = 1,
    need: Callable[[float], Need] = need_both,
    on_step: OnStep | None = None,
) -> Trajectory:
    """Invert clean latents x0 (B, 4, h, w): 2 N evaluations per item, none of which depends on guidance.

    ``branches`` must be under the null identity. ``at_once``: so many steps share a call of the network, fewer once
    memory runs out; they do not depend on each other, but a batch of another size rounds otherwise, and a null replay
    is exact to about 1e-4 only. ``need``: the branches at a level; one is enough where both are told the same or
    guidance is 0. The predictions stay where they were made. Raises ValueError when x0 is not finite or the noise does
    not fit.
    """
    if not torch.isfinite(x0).all():
        raise ValueError("the latent holds NaN or infinite values: encode the image with a VAE in float32 or bfloat16")
    if len(noise) != len(sigmas) - 1 or tuple(noise[0].shape) != tuple(x0.shape):
        raise ValueError(
            f"expected {len(sigmas) - 1} noises of shape {tuple(x0.shape)}, "
            f"got {len(noise)} of shape {tuple(noise[0].shape)}"
        )
    path = Trajectory(x0, sigmas, noise, [], [])

    def predict(steps: slice) -> list[tuple[Tensor, Tensor, Tensor]]:
        predictions: list[tuple[Tensor, Tensor, Tensor]] = []
        for needed, group in groupby(range(path.steps)[steps], lambda k: need(sigmas[k])):
            chunk = list(group)
            states = [path.state(k) for k in chunk]
            predicted = _together(branches, states, [sigmas[k] for k in chunk], needed)
            predictions += [(x, *pair) for x, pair in zip(states, predicted, strict=True)]
        return predictions

    def keep(steps: slice) -> None:
        for x, uncond, cond in predict(steps):
            path.uncond.append(uncond)
            path.cond.append(cond)
            if on_step:
                on_step(len(path.cond) - 1, cond, x)

    in_chunks(path.steps, at_once, keep)
    return path


def _together(
    branches: Branches, states: list[Tensor], sigmas: Sequence[float], need: Need
) -> list[tuple[Tensor, Tensor]]:
    """Both predictions for each of the states (B, 4, h, w), from one call."""
    if len(states) == 1:
        return [branches(states[0], sigmas[0], need)]
    rows = len(states[0])
    levels = torch.tensor(sigmas, dtype=torch.float64).repeat_interleave(rows)
    uncond, cond = branches(torch.cat(states), levels, need)
    conditional = cond.split(rows)
    return list(zip(conditional if need is not Need.BOTH else uncond.split(rows), conditional, strict=True))


def noise_maps(path: Trajectory, guide: Guide, device: torch.device | None = None) -> Iterator[Tensor]:
    """The N maps (B, 4, h, w) that carry the trajectory under ``guide``; no network is called."""
    x, past = path.state(0, device), None
    for k in range(path.steps):
        prediction, following = _recorded(path, k, guide, x), path.state(k + 1, device)
        law = step(x, prediction.x0, prediction.sigma, path.sigmas[k + 1], past)
        yield (following - law.mean) / law.std
        x, past = following, prediction


def sample(
    predict: Predict,
    path: Trajectory,
    guide: Guide,
    *,
    mask: Callable[[float], Tensor] | None = None,
    quirks: Quirks = EXACT,
    device: torch.device | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample again along the trajectory's noise; returns clean latents (B, 4, h, w) in the state's precision.

    ``predict`` and ``guide`` must stand for the same guidance. ``mask(sigma)``: (B or 1, 1, h, w) in [0, 1], where the
    photo may change; elsewhere its own trajectory is put back before every step and at the end.
    """
    path = path.to(to_state(path.x0, device).device)
    x, past = path.state(0), None
    if quirks.stale_history:
        past = _recorded(path, path.steps - 1, guide, path.state(path.steps - 1))
    for k, z in enumerate(noise_maps(path, guide)):
        sigma, sigma_next = path.sigmas[k], path.sigmas[k + 1]
        if quirks.short_runs_end_first_order and path.steps < 15 and k == path.steps - 1:
            past = None
        prediction = Previous(to_state(predict(x, sigma), x.device), sigma)
        law = step(x, prediction.x0, sigma, sigma_next, past)
        x, past = law.mean + law.std * z, prediction
        if mask is not None:
            x = torch.lerp(path.state(k + 1), x, mask(sigma_next).to(x))
        if on_step:
            on_step(k, prediction.x0, x)
    return x * alpha(path.sigmas[-1])


def _recorded(path: Trajectory, k: int, guide: Guide, x: Tensor) -> Previous:
    uncond, cond = (predictions[k].to(x.device, non_blocking=True) for predictions in (path.uncond, path.cond))
    return Previous(to_state(guide(uncond, cond, x, path.sigmas[k]), x.device), path.sigmas[k])

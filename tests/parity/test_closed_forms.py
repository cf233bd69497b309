"""DDIM inversion and NullFace where their results are known without a network.

The network's part is played by the exact denoiser of a Gaussian: data around a mean m with spread SPREAD, m being what
the branch is told, have the prediction D(x, sigma) = m + a (x - m), a = SPREAD² / (SPREAD² + sigma²). All that a run
does is then linear, and its result is a number times what the branches are told. The numbers here come from the
formulas of the papers in their own coordinates (variance preserving, alpha and sigma by the cumulative product of the
training betas), written anew: nothing of the method's code is asked for them.
"""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from revpers_core.lab import baselines
from revpers_core.method.anonymize import invert_image, sample_image
from revpers_core.method.identity import null_identity
from revpers_core.method.schedule import sdxl_sigmas
from revpers_core.method.trajectory import Need
from revpers_core.method.types import Identity, Method, Plan

SPREAD = 0.8
SHAPE = (1, 4, 2, 2)
NOBODY, SOMEBODY, WORDS = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(i)).double() for i in range(3))
"""Means of the branches' data: cond under nobody, cond under the person, uncond."""
PERSON = Identity(torch.eye(1, 512))
ALPHAS_CUMPROD = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def mean_under(identity: Identity) -> Tensor:
    """The mean under an identity: it moves along the embedding's first number, from NOBODY to SOMEBODY at 1."""
    return NOBODY + float(identity.embedding[0, 0]) * (SOMEBODY - NOBODY)


def branches(identity: Identity, latents: Tensor, prompt: str = "", **_: Any) -> Any:
    def network(x: Tensor, sigma: float, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
        a = SPREAD**2 / (SPREAD**2 + sigma**2)
        return WORDS + a * (x - WORDS), mean_under(identity) + a * (x - mean_under(identity))

    return network


PORTS: Any = SimpleNamespace(
    device=torch.device("cpu"),
    encode=lambda image: LATENT,
    decode=lambda latents: latents,
    embed=lambda image: PERSON,
    sigma=sdxl_sigmas().__getitem__,
    at_once=lambda latents, wanted=0: 1,
    faces_at_once=lambda shape: shape[0],
    branches=branches,
)
LATENT = torch.randn(SHAPE, generator=torch.Generator().manual_seed(9)).double()
IMAGE = torch.zeros(1, 3, 16, 16)


def times(steps: int, skip: float) -> list[int]:
    """Falling timesteps, and 0 at which the clean latent lies."""
    return [*np.trunc(np.linspace(1000 - 1000 * skip - 1, 1, steps)).astype(int), 0]


def guided(person: Tensor, guidance: float) -> Tensor:
    return WORDS + guidance * (person - WORDS)


def noise_in(x: Tensor, mean: Tensor, abar: float) -> Tensor:
    """The exact denoiser's epsilon in variance-preserving x."""
    variance = abar * SPREAD**2 + (1 - abar)
    return (1 - abar) ** 0.5 * (x - abar**0.5 * mean) / variance


def ddim(x: Tensor, mean: Tensor, here: int, there: int) -> Tensor:
    """One deterministic step (arXiv:2010.02502, eq. 12 with sigma 0), up or down."""
    now, after = ALPHAS_CUMPROD[here], ALPHAS_CUMPROD[there]
    epsilon = noise_in(x, mean, now)
    clean = (x - (1 - now) ** 0.5 * epsilon) / now**0.5
    return after**0.5 * clean + (1 - after) ** 0.5 * epsilon


@pytest.mark.parametrize(("steps", "skip", "guidance"), [(8, 0.7, -6.0), (20, 0.5, -10.0), (5, 0.3, -1.0)])
def test_ddim_inversion_is_the_papers(steps: int, skip: float, guidance: float) -> None:
    ours = baselines.ddim(IMAGE, PORTS, Plan(steps, skip, guidance))
    x = LATENT
    for here, there in pairwise(reversed(times(steps, skip))):
        x = ddim(x, guided(NOBODY, guidance), here, there)
    for here, there in pairwise(times(steps, skip)):
        x = ddim(x, guided(SOMEBODY, guidance), here, there)
    assert (ours - x).abs().max() < 1e-9 * x.abs().max()
    assert (ours - LATENT).abs().max() > 0.1


def test_ddim_of_many_steps_is_the_flows_exact_solution() -> None:
    """Along the flow of a Gaussian, x - m grows like the spread at the level, (SPREAD² + sigma²)^(1/2): nearer with
    more steps, by first order."""
    skip, guidance, root = 0.3, -2.0, ALPHAS_CUMPROD[0] ** 0.5

    def miss(steps: int) -> float:
        low, high = (np.sqrt(1 / ALPHAS_CUMPROD[t] - 1) for t in (0, times(steps, skip)[0]))
        grown = np.sqrt((SPREAD**2 + high**2) / (SPREAD**2 + low**2))
        up = guided(NOBODY, guidance) + grown * (LATENT / root - guided(NOBODY, guidance))
        down = root * (guided(SOMEBODY, guidance) + (up - guided(SOMEBODY, guidance)) / grown)
        ours = baselines.ddim(IMAGE, PORTS, Plan(steps, skip, guidance))
        return float((ours - down).abs().max() / down.abs().max())

    coarse, fine = miss(100), miss(400)
    assert fine < 0.02 and 3 < coarse / fine < 5, (coarse, fine)


def reverse_step(x: Tensor, clean: Tensor, before: Tensor, here: int, there: int, past: int) -> Tensor:
    """The mean of a step of SDE-DPM-Solver++(2M) (arXiv:2211.01095, in the half log-SNR lambda = log(alpha / sigma)),
    from the prediction ``clean`` at ``here`` and ``before`` at ``past``; of first order where they are the same."""
    alpha, sigma = (np.sqrt(part) for part in (ALPHAS_CUMPROD, 1 - ALPHAS_CUMPROD))
    lambdas = np.log(alpha / sigma)
    h, h_past = lambdas[there] - lambdas[here], lambdas[here] - lambdas[past]
    slope = (clean - before) * (h / h_past) if past != here else 0 * clean
    decay = np.exp(-2 * h)
    return (
        sigma[there] / sigma[here] * np.exp(-h) * x
        + alpha[there] * (1 - decay) * clean
        + 0.5 * alpha[there] * (1 - decay) * slope
    )


def nullface(steps: int, skip: float, guidance: float, keep: Tensor) -> Tensor:
    """NullFace (arXiv:2503.08478): the person's opposite at positive guidance along the photo's own noise maps.

    The maps are those that carry the photo's trajectory under nobody, so that they cancel in the difference of both
    trajectories: ``apart`` obeys the solver's mean alone. ``keep`` is put back but for the first tenth of the steps."""
    opposite = 2 * NOBODY - SOMEBODY
    push = guidance * (opposite - NOBODY)  # by how much the guided means differ
    apart, past, before = torch.zeros(SHAPE).double(), None, None
    free = max(1, round(0.1 * steps))
    for k, (here, there) in enumerate(pairwise(times(steps, skip))):
        abar = ALPHAS_CUMPROD[here]
        a = abar * SPREAD**2 / (abar * SPREAD**2 + 1 - abar)  # D(x) = m + a (x / alpha - m)
        clean = (1 - a) * push + a * apart / abar**0.5
        apart = reverse_step(apart, clean, clean if before is None else before, here, there, past or here)
        past, before = here, clean
        if k + 1 > free:
            apart = apart * keep
    return LATENT + apart


@pytest.mark.parametrize(
    ("steps", "skip", "guidance"), [(8, 0.7, 10.0), (30, 0.7, 10.0), (100, 0.7, 10.0), (6, 0.4, 3.0)]
)
@pytest.mark.parametrize("kept", [False, True], ids=["everywhere", "kept parts"])
def test_nullface_is_the_papers(steps: int, skip: float, guidance: float, kept: bool) -> None:
    where = torch.tensor([[1.0, 0.0], [0.25, 1.0]])[None, None].double() if kept else None
    plan = Plan(steps, skip, -guidance, method=Method.NULLFACE)
    path = invert_image(IMAGE, PORTS, plan)
    ours = sample_image(path, PERSON, PORTS, plan, where=where)
    expected = nullface(steps, skip, guidance, torch.ones(1, 1, 2, 2).double() if where is None else where)
    assert (ours - expected).abs().max() < 1e-9 * expected.abs().max()
    assert (ours - LATENT).abs().max() > 0.1
    nobody = sample_image(path, null_identity(1), PORTS, plan, where=where)
    assert (nobody - LATENT).abs().max() < 1e-10

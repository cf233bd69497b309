"""The solver's order, measured against a closed form; wrong coefficients must fail the same measurement."""

from itertools import pairwise
from math import cos, log, sin

import numpy as np
import pytest
import torch

from revpers_core.method.solver import Previous, step

PULL = -0.5
FIRST, LAST = 3.0, 0.05


def levels(steps: int) -> list[float]:
    """Falling sigmas whose steps in log sigma alternate 1 : 2, so that the ratio of two steps matters."""
    widths = np.array([1.0, 2.0] * (steps // 2))
    return [float(FIRST * np.exp(-w)) for w in np.cumsum([0, *widths]) / widths.sum() * log(FIRST / LAST)]


def exact(sigma: float) -> float:
    """A mean path (z = 0) under the prediction x0 = PULL x + cos(l), l = -ln sigma: it solves dx/dl = 2 (x0 - x)."""
    rate, time = 2 * (1 - PULL), -log(sigma)
    return 2 * (rate * cos(time) + sin(time)) / (1 + rate**2) + 0.3 * sigma**rate


def error(rule, steps: int) -> float:
    sigmas = levels(steps)
    x, past = torch.tensor([exact(FIRST)], dtype=torch.float64), None
    for sigma, sigma_next in pairwise(sigmas):
        now = Previous(PULL * x + cos(-log(sigma)), sigma)
        x, past = rule(x, now.x0, sigma, sigma_next, past).mean, now
    return abs(x.item() - exact(LAST))


def order(rule) -> float:
    steps = [16, 32, 64, 128]
    return float(-np.polyfit(np.log(steps), np.log([error(rule, n) for n in steps]), 1)[0])


def extrapolating(factor):
    """The step with its extrapolation times ``factor(h, h_past)``."""

    def rule(x, x0, sigma, sigma_next, past):
        if past is not None:
            times = factor(log(sigma / sigma_next), log(past.sigma / sigma))
            past = Previous(x0 - times * (x0 - past.x0), past.sigma)
        return step(x, x0, sigma, sigma_next, past)

    return rule


def test_second_order_with_the_past():
    assert abs(order(step) - 2) < 0.1


@pytest.mark.parametrize(
    "factor",
    [
        lambda h, h_past: 2.0,  # h / h_past without the 2
        lambda h, h_past: 0.5,
        lambda h, h_past: -1.0,  # the wrong sign
        lambda h, h_past: h_past / h,  # as if all steps were equal
    ],
)
def test_wrong_coefficients_are_not_second_order(factor):
    assert order(extrapolating(factor)) < 1.5


def test_first_order_without_the_past():
    first = order(lambda x, x0, sigma, sigma_next, past: step(x, x0, sigma, sigma_next))
    assert abs(first - 1) < 0.1


def test_noise_keeps_the_level():
    """Where x0 is known, a state x0 + sigma n must become x0 + sigma' n': same mean, exactly that variance."""
    x0 = torch.tensor([0.7], dtype=torch.float64)
    law = step(x0 + 2.0, x0, 2.0, 0.9)
    keep = (law.mean - x0).item() / 2.0
    assert (keep * 2.0) ** 2 + law.std**2 == pytest.approx(0.9**2, rel=1e-12)
    assert step(x0, x0, 2.0, 0.9).mean.item() == pytest.approx(0.7, rel=1e-12)

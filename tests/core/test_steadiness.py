"""Metrics of clips, on clips of which the answer is known."""

import pytest
import torch

from revpers_core.metrics.steadiness import correlation_in_time, farthest, flicker, neighbours, warp_error


def drifting(steps: int, speed: int) -> torch.Tensor:
    """(T, 3, 48, 64): a picture that moves to the right, ``speed`` pixels a frame."""
    wide = torch.rand(3, 48, 128, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.avg_pool2d(wide[None], 3, 1, 1)[0]
    return torch.stack([wide[:, :, 32 - speed * t : 96 - speed * t] for t in range(steps)])


def test_flicker_is_what_the_source_does_not_do():
    source = drifting(6, 2)
    jump = torch.tensor([0.0, 0.1, 0.0, 0.1, 0.0, 0.1]).view(6, 1, 1, 1)
    assert flicker(source, source) == 0 and flicker(source + 0.2, source) == pytest.approx(0, abs=1e-6)
    assert flicker(source + jump, source) == pytest.approx(0.2, abs=1e-5)


def test_warp_error_follows_the_movement():
    source = drifting(4, 2)
    still = (source[1:] - source[:-1]).abs().mean()
    assert warp_error(source, source) < 0.2 * still
    assert warp_error(source.flip(0), source) > 3 * warp_error(source, source)


def test_likeness_from_frame_to_frame():
    turning = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    assert neighbours(turning) == pytest.approx(0.7) and farthest(turning) == pytest.approx(0.0)


def test_correlation_counts_what_moves():
    moving = torch.linspace(0, 9, 10).view(10, 1, 1).repeat(1, 2, 2)
    moving[:, 1] = 5
    assert correlation_in_time(3 * moving + 1, moving) == pytest.approx(1)
    assert correlation_in_time(-moving, moving) == pytest.approx(-1)

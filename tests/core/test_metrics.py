"""Metrics against figures that can be worked out by hand."""

import math

import pytest
import torch

from revpers_core.metrics.interval import bootstrap, wilson
from revpers_core.metrics.reidentification import auc, ranks, tar_at_far, threshold_at_far


def test_auc_counts_pairs() -> None:
    assert auc(torch.tensor([0.9, 0.2]), torch.tensor([0.5, 0.1])) == 0.75
    assert auc(torch.tensor([0.5]), torch.tensor([0.5, 0.5])) == 0.5
    assert auc(torch.tensor([-1.0]), torch.tensor([0.0, 1.0])) == 0.0
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, generator=draw) + 1, torch.randn(500, generator=draw)
    assert auc(a, b) == pytest.approx(float((a[:, None] > b).double().mean()))


def test_true_accepts_at_a_false_accept_rate() -> None:
    impostor = torch.arange(1000) / 1000
    assert threshold_at_far(impostor, 1e-2) == pytest.approx(0.989)
    assert tar_at_far(torch.tensor([0.5, 0.99, 0.995, 1.5]), impostor, 1e-2) == 0.75
    with pytest.raises(ValueError, match="at least 1000"):
        threshold_at_far(torch.zeros(10), 1e-3)


def test_ranks_count_who_is_more_alike() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.1, 0.2], [0.5, 0.5, 0.5]])
    assert ranks(similarity, torch.tensor([0, 1, 2])).tolist() == [1, 3, 1]


def test_wilson_is_the_textbooks() -> None:
    low, high = wilson(8, 10)[1:]
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert wilson(0, 20).low == 0.0 and wilson(0, 20).high == pytest.approx(0.161, abs=1e-3)
    assert math.isnan(wilson(0, 0).value)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    draw = torch.Generator().manual_seed(3)
    covered = 0
    for trial in range(100):
        sample = torch.randn(60, generator=draw) + 2
        found = bootstrap(lambda i, sample=sample: float(sample[i].mean()), 60, draws=300, seed=trial)
        covered += found.low <= 2 <= found.high
    assert 85 <= covered <= 99

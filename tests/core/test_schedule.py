"""The schedule against the tables and timesteps of the paper's own code."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from revpers_core.method.schedule import Spacing, sdxl_sigmas, sigmas, timesteps

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"


def test_sigmas_are_the_references():
    tables = load_file(GOLDEN / "tables.safetensors")
    ours = torch.tensor(sdxl_sigmas(), dtype=torch.float64)
    assert ((-ours.log()) - tables["lambda_t.f64t"]).abs().max() < 1e-11
    assert (1 / (1 + ours**2) - tables["alphas_cumprod.f64t"]).abs().max() < 1e-14
    assert (1 / (1 + ours**2) - tables["alphas_cumprod.f32"].double()).abs().max() < 1e-5


@pytest.mark.parametrize("case", sorted((GOLDEN / "cases").glob("*.json")), ids=lambda path: path.stem)
def test_timesteps_are_the_references(case):
    settings = json.loads(case.read_text())
    expected = load_file(case.with_suffix(".safetensors"))["timesteps"].tolist()
    assert timesteps(settings["N"], settings["skip"]) == expected


def test_the_papers_run():
    steps = timesteps(100, 0.7)
    assert (steps[0], steps[-1], len(steps)) == (299, 1, 100)
    levels = sigmas(steps, sdxl_sigmas().__getitem__)
    assert len(levels) == 101 and levels[-1] == pytest.approx(0.0292, abs=1e-4)
    assert all(np.diff(levels) < 0)


@pytest.mark.parametrize(
    ("steps", "skip", "words"),
    [
        (1, 0.7, "2 or more"),
        (10, 1.0, "below 1"),
        (10, -0.1, "at least 0"),
        (300, 0.7, "fewer steps"),
        (10, 0.995, "299|4 "),
    ],
)
def test_impossible_runs_are_refused(steps, skip, words):
    with pytest.raises(ValueError, match=words):
        timesteps(steps, skip)


def test_the_most_steps_that_fit_are_distinct():
    assert len(set(timesteps(299, 0.7))) == 299
    assert len(set(timesteps(999, 0.0))) == 999


def test_levels_that_do_not_fall_are_refused():
    with pytest.raises(ValueError, match="fewer steps"):
        sigmas([10, 10, 5], sdxl_sigmas().__getitem__)


@pytest.mark.parametrize(("steps", "skip"), [(2, 0.7), (10, 0.7), (100, 0.7), (299, 0.7), (999, 0.0), (600, 0.3)])
def test_log_snr_spacing_has_the_same_ends_and_no_step_twice(steps, skip):
    even, ours = timesteps(steps, skip), timesteps(steps, skip, Spacing.LOG_SNR)
    assert (ours[0], ours[-1], len(ours)) == (even[0], even[-1], steps)
    assert all(a > b for a, b in pairwise(ours))


def test_log_snr_spacing_is_even_in_log_snr_where_timesteps_are_fine_enough():
    table = sdxl_sigmas()
    logs = np.log([table[t] for t in timesteps(7, 0.0, Spacing.LOG_SNR)])
    assert np.abs(np.diff(logs) / np.diff(logs).mean() - 1).max() < 0.15
    with pytest.raises(ValueError, match="do not fit"):
        timesteps(300, 0.7, Spacing.LOG_SNR)

"""``revpers clips`` on as little as it takes: every way has its figures, and those that must be right are."""

import json
import math

import pytest

from revpers_core.cli.main import main

pytest.importorskip("diffusers")


def test_every_way_has_its_figures(tmp_path):
    assert main(["clips", "--people", "2", "--frames", "5", "--steps", "2", "-o", str(tmp_path)]) == 0
    rows = {row["way"]: row for row in json.loads((tmp_path / "clips.json").read_text())["rows"]}
    assert len(rows) == 7 and (tmp_path / "clips.md").read_text().count("\n|") == 9
    source, ours = rows["source"], rows["one noise, one identity (ours)"]
    assert source["worst frame"] == pytest.approx(1, abs=1e-3) and source["flicker"] == 0
    assert source["landmarks"] == pytest.approx(1, abs=1e-6) and source["factor r"] > 0.5
    assert ours["mean"] < rows["VAE alone"]["mean"] and ours["flicker"] < rows["each frame for itself"]["flicker"]
    assert all(math.isfinite(row["warp error"]) for row in rows.values())


def test_too_little_is_an_error(tmp_path, capsys):
    assert main(["clips", "--people", "1", "-o", str(tmp_path)]) == 1
    assert "2 people and 5 frames or more" in capsys.readouterr().err

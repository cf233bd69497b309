"""``revpers clips`` on as little as it takes: every way has its figures, and those that must be right are."""

import json
import math

import pytest
import torch

from revpers_core.cli.main import main
from revpers_core.lab.clip_ways import OURS, SOURCE, STILLS, STRANGER, blended, changed_alike, economy, flowed
from revpers_core.lab.clips import MOVES, SHOWN, clip, factors
from revpers_core.lab.compare_clips import economies, flicker_ratio
from revpers_core.lab.evaluation import read_factors
from revpers_core.lab.world.factors import FACTORS
from revpers_core.media import gallery

TINY = ["clips", "--people", "2", "--frames", "5", "--steps", "2", "--judge", "pocket"]


def test_every_way_has_its_figures_and_a_stopped_run_goes_on(tmp_path, monkeypatch, capsys):
    pytest.importorskip("diffusers")
    asked = [*TINY, "--keep", str(tmp_path / "keep"), "-o"]
    assert main([*asked, str(tmp_path / "a")]) == 0
    rows = {row["way"]: row for row in json.loads((tmp_path / "a/clips.json").read_text())["rows"]}
    assert len(rows) == 12 and len(list((tmp_path / "keep").iterdir())) == 2
    values = {way: {key: row[key]["value"] for key in row if isinstance(row[key], dict)} for way, row in rows.items()}
    source, ours = values[SOURCE], values[OURS]
    assert source["worst frame"] == pytest.approx(1, abs=1e-3) and source["flicker"] == 0
    assert source["landmarks"] == pytest.approx(1, abs=1e-6) and math.isfinite(source["factor r"])
    assert ours["mean"] < values["VAE alone"]["mean"] and ours["flicker"] < values[STILLS]["flicker"]
    assert ours["worst frame"] != values[STRANGER]["worst frame"]
    assert all(math.isfinite(one["warp error"]) for one in values.values())

    monkeypatch.setattr("revpers_core.lab.compare_clips.made_every_way", None)  # nothing is made again
    assert main([*asked, str(tmp_path / "b")]) == 0
    assert (tmp_path / "b/clips.md").read_text() == (tmp_path / "a/clips.md").read_text()


@pytest.mark.parametrize("number", range(3))
def test_the_truth_is_that_of_the_frames(number):
    """The head turns in the pictures as it does in the numbers."""
    turned = read_factors(clip(number, 45)).factors[:, FACTORS.index("yaw")]
    pair = torch.stack([turned, factors(number, 45)[:, MOVES.index("yaw")]])
    assert torch.corrcoef(pair)[0, 1] > 0.85
    person = gallery.photo(SHOWN[number])
    assert all(person.words[key] == word for key, word in gallery.clip(number).words.items())
    with pytest.raises(ValueError, match="have 48 frames, 49 are asked for"):
        clip(number, 49)


@pytest.mark.parametrize("wrong", [["--people", "1"], ["--people", "4"], ["--frames", "6"], ["--frames", "1"]])
def test_too_little_is_an_error(tmp_path, capsys, wrong):
    assert main([*TINY, *wrong, "-o", str(tmp_path)]) == 1
    assert "2 or 3 people, and 5 frames or more" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_is_left_out_is_filled_from_both_sides():
    still = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)).expand(5, -1, -1, -1)
    brighter = torch.linspace(0, 0.2, 5).view(5, 1, 1, 1)
    for fill in (blended, flowed):
        assert torch.allclose(fill((still + brighter)[::2], still, still, 2), still + brighter, atol=1e-6)
        assert torch.allclose(fill((still + brighter)[::4], still, still, 4), still + brighter, atol=1e-6)
    moving = torch.stack([still[0].roll(t, -1) for t in range(5)])
    filled = changed_alike((moving + 0.1)[::4], moving, moving, 4)
    assert torch.allclose(filled, moving + 0.1, atol=1e-6)
    carried = flowed(moving[::4], moving, moving, 4)
    assert (
        (carried - moving)[..., 8:-8, 8:-8].abs().max()
        < 1e-6
        < (blended(moving[::4], moving, moving, 4) - moving).abs().max()
    )


def test_worse_is_what_is_worse_for_certain():
    def figures(flicker: float, r: float, worst: float) -> dict:
        return {"flicker": flicker, "factor r": r, "landmarks": 1.0, "a judge": {"worst frame": worst}}

    cheap = {
        economy(k, fill): figures(0.02, 0.5, 0.2) for k in (2, 4) for fill in ("along the flow", "the change blended")
    }
    cheap |= {economy(k, "blended"): figures(0.01, 0.9, 0.9) for k in (2, 4)}
    clips = [{OURS: figures(0.01, 0.9, 0.2), STILLS: figures(0.04, 0.9, 0.2), **cheap} for _ in range(3)]
    found = economies(clips)
    assert found[economy(2, "blended")].worse == ["worst frame, a judge"]
    assert found[economy(4, "along the flow")].worse == ["flicker", "factor r"]
    assert flicker_ratio(clips, OURS).value == pytest.approx(0.25)

"""The laboratory's commands: what they print, write and return."""

import csv
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from revpers_core.cli import main
from revpers_core.faces import recognise
from revpers_core.faces.geometry import framing
from revpers_core.lab import attacks, check, evaluation, real_nets, rendered
from revpers_core.lab.check import Gate
from revpers_core.lab.evaluation import judged
from revpers_core.lab.world.shot import describe, held_out_shot
from revpers_core.media import gallery
from revpers_core.metrics.sharpness import sharpness
from revpers_core.pocket import FACE_MODEL

PEOPLE = 6


def test_a_curve_is_a_table_for_everyone_and_a_plot(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation.curve, "__defaults__", ((0.0, -6.0),))
    call = ["curve", "--people", PEOPLE, "--steps", 2, "--skip", 0.7, "--judge", "pocket", "-o", tmp_path / "curve"]
    assert main.main([str(part) for part in call]) == 0
    rows = list(csv.DictReader((tmp_path / "curve/curve.csv").open()))
    report = json.loads((tmp_path / "curve/curve.json").read_text())
    methods = ["photo", "blur", "pixelation", *["ours"] * 2, *["wrong identity"] * 2]
    assert [row["method"] for row in report["rows"]] == methods
    assert [row["guidance"] for row in report["rows"]] == [None, None, None, 0.0, -6.0, 0.0, -6.0]
    for row, flat in zip(report["rows"], rows, strict=True):
        for name in ("auc", "rank1", "r_smile", "r_light_x", "distance"):
            assert float(flat[name]) == pytest.approx(row[name]["value"], abs=1e-4)
            assert float(flat[f"{name}_low"]) <= float(flat[name]) <= float(flat[f"{name}_high"])
    photo, still = report["rows"][0], report["rows"][3]
    assert photo["distance"]["value"] == 0 < still["distance"]["value"]
    assert photo["rank1"]["low"] < 1 and photo["auc"]["value"] > 0.9  # six of six is no certainty
    assert set(still) >= {"obeyed_age", "obeyed_sex", "obeyed_skin"} and "obeyed_age" not in photo
    text = (tmp_path / "curve/curve.md").read_text()
    assert f"rank 1 in a gallery of all {PEOPLE}" in text.lower() and "| ours | -6 | pocket |" in text
    assert (tmp_path / "curve/curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("second", "code", "said"), [(0.95, 0, "every gate passed"), (0.5, 1, "1 of 2 gates failed")])
def test_a_gate_that_fails_is_an_exit_code(second, code, said, tmp_path, monkeypatch, capsys):
    found = [Gate("a", 0.9, ">= 0.85", True), check.at_least("b", second, 0.85)]
    monkeypatch.setattr(check, "gates", lambda *args: iter(found))
    assert main.main(["pocket", "check", "--judge", "pocket", "-o", str(tmp_path)]) == code
    assert said in capsys.readouterr().out
    assert [row["passed"] for row in json.loads((tmp_path / "gates.json").read_text())["rows"]] == [True, not code]
    assert ("FAIL" in (tmp_path / "gates.md").read_text()) == bool(code)


def test_missing_real_nets_are_said_loudly_and_their_gates_fail(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("REVPERS_CACHE", str(tmp_path))
    found = real_nets.find_judges()
    assert "pocket" in found.judges and any("FR_FEATURE IS NOT THERE" in line for line in found.missing)
    with pytest.raises(ValueError, match="make judges"):
        real_nets.find_judges(["fr_feature"])
    pocket = found.judges["pocket"]
    by = check.Examiners({"pocket": pocket, "dlib": pocket}, None, recognise.load(FACE_MODEL))
    gates = {gate.name: gate for gate in islice(check.photographs(rendered.GalleryAlbum(), by), 5)}
    for name in ("photographs, AUC (fr_feature)", "photographs, TAR@FAR 1e-3 (fr_feature)"):
        assert gates[name].value != gates[name].value and not gates[name].passed
    assert not next(gate for name, gate in gates.items() if "CenterFace" in name).passed
    assert 0.5 < gates["photographs, AUC (dlib)"].value <= 1


def test_a_rate_that_so_few_pairs_cannot_show_is_not_measured():
    fewest, many = torch.linspace(0, 0.5, 999), torch.linspace(0, 0.5, 1001)
    genuine = torch.tensor([0.9, 0.1])
    assert check.accepted(genuine, fewest) != check.accepted(genuine, fewest)
    assert check.accepted(genuine, many) == 0.5


def test_a_blurred_picture_is_less_sharp_and_a_flat_one_is_not_sharp_at_all():
    noise = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    assert (sharpness(soft) < 0.2 * sharpness(noise)).all()
    assert (sharpness(torch.full((1, 3, 16, 16), 0.4)) < 1e-20).all()
    half = torch.cat([noise[:1, ..., :16], torch.full((1, 3, 32, 16), 0.5)], -1)
    left = torch.zeros(32, 32, dtype=torch.bool)
    left[:, :14] = True
    assert sharpness(half, left)[0] > 0.5 * sharpness(noise)[0] and sharpness(half, left.flip(1))[0] < 1e-20


@pytest.fixture
def held_out(tmp_path, monkeypatch) -> Path:
    """A folder of rendered people, cut from the gallery, which the commands use."""
    seeds = [held_out_shot(i, k) for i in range(5) for k in range(4)]
    crops = torch.stack([gallery.photo(i, k).crop(160) for i in range(5) for k in range(4)])
    np.savez(
        tmp_path / "held-00000.npz",
        images=(crops * 255).round().byte().permute(0, 2, 3, 1).numpy(),
        points=np.tile(framing(160).float().numpy() / 160, (20, 1, 1)),
        person=np.array([person for person, _ in seeds]),
        shot=np.array([taken for _, taken in seeds]),
    )
    monkeypatch.setattr(rendered.RenderedPeople.__init__, "__defaults__", (0, tmp_path, 4))
    return tmp_path


def test_rendered_people_are_measured_too(held_out, monkeypatch):
    out = held_out / "out"
    call = ["attacks", "--world", "rendered", "--people", 3, "--steps", 2, "--judge", "pocket", "-o", out]
    people = rendered.RenderedPeople(3)
    assert people.photo(1).shape == (3, 3, 128, 128) and people.points(0).shape == (3, 5, 2)
    factors, attributes, _ = describe(*held_out_shot(2, 0))
    assert people.factors[2].tolist() == factors.tolist() and tuple(people.attributes[2].tolist()) == attributes
    assert torch.equal(people.strangers(2).photo(0)[0], rendered.RenderedPeople(4).photo(0)[3])
    with pytest.raises(ValueError, match="held-out --count 9"):
        rendered.RenderedPeople(9)
    for name, value in {"STRANGERS": 2, "FAR": 0.5, "FPIR": 0.5}.items():
        monkeypatch.setattr(attacks, name, value)
    assert main.main([str(part) for part in call]) == 0
    rows = json.loads((out / "attacks.json").read_text())["rows"]
    assert {row.get("judge") for row in rows} == {"pocket", None}
    assert "average over 3 outputs" in {row.get("attack") for row in rows}


def test_points_say_where_the_face_is_that_a_judge_sees():
    """A crop in which the face is not where it should be, and the same one framed right."""
    judge, picture = recognise.load(FACE_MODEL), gallery.aligned_face(0)[None]
    points = framing(128).float()[None] / 128 + 0.5 / 128
    moved = torch.roll(picture, (9, -6), (2, 3))
    there = points + torch.tensor([-6, 9]) / 128
    seen = judged(judge, picture, points)
    assert float((seen * judged(judge, moved, there)).sum()) > 0.98 > float((seen * judged(judge, moved, points)).sum())

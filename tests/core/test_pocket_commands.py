"""The laboratory's commands: what they print, write and return."""

import csv
import json

import pytest

from revpers_core.cli import main
from revpers_core.lab import check, laboratory
from revpers_core.lab.check import Gate

PEOPLE = 6


def test_a_curve_is_a_table_for_everyone_and_a_plot(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(laboratory.curve, "__defaults__", ((0.0, -6.0),))
    call = ["curve", "--people", PEOPLE, "--steps", 2, "--skip", 0.7, "-o", tmp_path / "curve"]
    assert main.main([str(part) for part in call]) == 0
    rows = list(csv.DictReader((tmp_path / "curve/curve.csv").open()))
    told = json.loads((tmp_path / "curve/curve.json").read_text())
    methods = ["photo", "blur", *["ours"] * 2, *["wrong identity"] * 2]
    assert [row["method"] for row in told["rows"]] == methods
    assert [row["guidance"] for row in told["rows"]] == [None, None, 0.0, -6.0, 0.0, -6.0]
    for row, flat in zip(told["rows"], rows, strict=True):
        for name in ("auc", "rank1", "r_smile", "r_light_x", "distance"):
            assert float(flat[name]) == pytest.approx(row[name]["value"], abs=1e-4)
            assert float(flat[f"{name}_low"]) <= float(flat[name]) <= float(flat[f"{name}_high"])
    photo, still = told["rows"][0], told["rows"][2]
    assert photo["distance"]["value"] == 0 < still["distance"]["value"]
    assert photo["rank1"]["low"] < 1 and photo["auc"]["value"] > 0.9  # six of six is no certainty
    assert set(still) >= {"obeyed_age", "obeyed_sex", "obeyed_skin"} and "obeyed_age" not in photo
    text = (tmp_path / "curve/curve.md").read_text()
    assert f"rank 1 in a gallery of all {PEOPLE}" in text.lower() and "| ours | -6 |" in text
    assert (tmp_path / "curve/curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("second", "code", "said"), [(0.95, 0, "every gate passed"), (0.5, 1, "1 of 2 gates failed")])
def test_a_gate_that_fails_is_an_exit_code(second, code, said, tmp_path, monkeypatch, capsys):
    found = [Gate("a", 0.9, ">= 0.85", True), check.at_least("b", second, 0.85)]
    monkeypatch.setattr(check, "gates", lambda ports, people: iter(found))
    assert main.main(["pocket", "check", "-o", str(tmp_path)]) == code
    assert said in capsys.readouterr().out
    assert [row["passed"] for row in json.loads((tmp_path / "gates.json").read_text())["rows"]] == [True, not code]
    assert ("FAIL" in (tmp_path / "gates.md").read_text()) == bool(code)

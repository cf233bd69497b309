"""The golden cases as tests (the command line, for other cases: ``python tests/parity/run.py``)."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "f32"), ("float64", "f64t")])
def test_diffusers_host_equals_the_papers_code(dtype, kind):
    from diffusers_host import DiffusersHost
    from run import measure, read_cases, verdict

    golden = FOLDER / "golden"
    host = DiffusersHost(golden, dtype)
    rows = [measure(case, host) for case in read_cases(golden, golden / "cases", kind)]
    assert len(rows) == 8
    assert verdict(rows, dtype) == []


def test_a_stand_in_gives_what_both_hosts_give():
    """ComfyUI's host is held to the same file (tests/host/test_parity.py)."""
    from diffusers_host import DiffusersHost
    from run import INSTEAD, measure_instead, read_cases
    from safetensors.torch import load_file

    golden, known = FOLDER / "golden", load_file(FOLDER / "instead.safetensors")
    host, cases = DiffusersHost(golden, "float32"), read_cases(golden, golden / "cases", "f32")
    for case in cases[:3]:
        row = measure_instead(case, host, known[case.settings["name"]])
        assert row["final"] <= INSTEAD and row["null_reset"] <= 1e-6
        assert (known[case.settings["name"]] - case.golden("final")).abs().max() > 100 * INSTEAD
    assert len(known) == len(cases) == 8


def test_the_verdict_sees_what_is_wrong():
    from run import verdict

    good = {"case": "a", "final": 1e-6, "null_reset": 1e-8}
    assert verdict([good], "float32") == []
    assert verdict([], "float32") == ["no cases found"]
    assert verdict([good, good, {**good, "final": 4e-4}], "float32") == ["a: final 4.0e-04"]
    assert verdict([{**good, "final": 1e-4}], "float32") == ["median final 1.0e-04"]
    assert verdict([{**good, "final": float("nan")}], "float32")[0] == "a: final nan"
    assert verdict([{**good, "null_reset": 2e-6}], "float32") == ["a: null_reset 2.0e-06"]
    assert verdict([good], "float64") != []

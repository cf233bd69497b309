"""What shipped workflows promise, read off their API forms; that they run is the host's tests."""

import json
from pathlib import Path

import pytest

API = Path(__file__).parents[2] / "workflows" / "api"
SAMPLES = {"NegativeIDGuidanceSampler", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo", "RevPersAnonymizeFolder"}
SAVES = {"RevPersSave", "RevPersSaveVideo", "RevPersAnonymizeFolder"}


@pytest.mark.parametrize("path", sorted(API.glob("*.pocket.json")), ids=lambda path: path.stem)
def test_what_a_pocket_template_saves_has_been_judged(path):
    """Whoever is put in: a face that the judge knows again is an error."""
    nodes = json.loads(path.read_text()).values()
    if not any(node["class_type"] in SAVES for node in nodes):
        return
    sampling = [node["inputs"] for node in nodes if node["class_type"] in SAMPLES]
    assert sampling and all("judge" in inputs for inputs in sampling)

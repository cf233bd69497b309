"""The shipped workflows for whole photos, run in ComfyUI: three rendered people side by side, found by the pocket
detector."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from server import Server
from test_server import workflow

SIDE = 128
FEW = {"steps": 5}
Pixels = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def run(server: Server) -> Any:
    """Queue a workflow whose stitched picture (node 6) is saved too: that picture and the result, 0...255."""

    def queued(name: str, **changes: Any) -> tuple[Pixels, Pixels]:
        prompt = workflow(name, **changes)
        prompt["99"] = {
            "class_type": "RevPersSave",
            "inputs": {"image": ["6", 0], "filename_prefix": "source", "with_workflow": False, "edited": True},
        }
        entry = server.result(server.queue(prompt))
        assert entry["status"]["status_str"] == "success", entry["status"]
        (result,) = [key for key, node in prompt.items() if node["class_type"] == "RevPersSave" and key != "99"]
        return opened(server, entry, "99"), opened(server, entry, result)

    return queued


def opened(server: Server, entry: dict[str, Any], node: str) -> Pixels:
    (saved,) = entry["outputs"][node]["images"]
    with Image.open(server.base / "output" / saved["subfolder"] / saved["filename"]) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def changes(source: Pixels, result: Pixels) -> list[float]:
    """Mean change in the middle of each of the three frames."""
    difference = np.abs(result - source)
    return [float(difference[40:100, SIDE * k + 35 : SIDE * k + 93].mean()) for k in range(3)]


def test_everyone_becomes_somebody_else(run: Any) -> None:
    source, result = run("anonymize_everyone.pocket", **FEW)
    assert result.shape == source.shape == (SIDE, 3 * SIDE, 3)
    assert min(changes(source, result)) > 4
    assert np.array_equal(result[:6], source[:6]), "the rest of the picture changed"


def test_the_kept_person_stays_bit_for_bit_and_the_others_do_not(run: Any) -> None:
    source, result = run("anonymize_keep_one.pocket", **FEW)
    first, kept, last = changes(source, result)
    assert kept == 0 and min(first, last) > 4
    assert np.array_equal(result[:, SIDE + 20 : 2 * SIDE - 20], source[:, SIDE + 20 : 2 * SIDE - 20])


def test_eyes_and_mouth_can_stay(run: Any) -> None:
    source, result = run("anonymize_everyone.pocket", keep_eyes_and_mouth=True, strength=0.8, **FEW)
    eyes = [[one[54:64, SIDE * k + 42 : SIDE * k + 56].mean(-1).ravel() for one in (source, result)] for k in range(3)]
    assert np.mean([np.corrcoef(*pair)[0, 1] for pair in eyes]) > 0.8

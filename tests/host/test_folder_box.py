"""A folder of photos, and the box that starts with three: what is made, named, resumed and shown in ComfyUI."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from server import Server
from test_server import workflow

FEW = {"steps": 5}


def words(server: Server, prompt: dict[str, Any]) -> str:
    """What the text box shows of a run that went well."""
    entry = server.result(server.queue(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]
    (shown,) = [out["text"] for out in entry["outputs"].values() if "text" in out]
    return "".join(shown)


@pytest.mark.upstream
def test_a_bad_photo_is_named_the_others_are_made_and_what_is_there_stays(server: Server) -> None:
    example = words(server, workflow("folder.pocket", save_to="example", **FEW))
    assert "3 of 3 photos are in example" in example, "the template makes its folder"
    folder, out = server.base / "input" / "holiday", server.base / "output" / "away"
    folder.mkdir()
    for name, person in (("a.png", 14), ("c.png", 8)):
        shutil.copy(server.base / "input" / "revpers example" / f"person {person}.png", folder / name)
    (folder / "b.jpg").write_bytes(b"no picture")
    prompt = workflow("folder.pocket", folder="holiday", save_to="away", **FEW)
    said = words(server, prompt)
    assert "2 of 3 photos are in away" in said and "photo 2 of 3, b.jpg: not made: " in said
    assert str(server.base) not in said and "photo 3 of 3, c.png: 1 face changed" in said
    first, second = sorted(out.glob("*.png"))
    before, other = first.stat().st_mtime_ns, np.asarray(Image.open(second))
    assert np.abs(other.astype(int) - np.asarray(Image.open(folder / "c.png"))).mean() > 2
    second.unlink()
    said = words(server, prompt)
    assert "photo 1 of 3, a.png: made before" in said and second.is_file() and first.stat().st_mtime_ns == before
    manifest = (out / "manifest.jsonl").read_text()
    assert "seed" not in manifest and str(server.base) not in manifest
    assert [json.loads(line)["image"] for line in manifest.splitlines()].count("a.png") == 1


@pytest.mark.upstream
@pytest.mark.parametrize("changes", [{"folder": "../custom_nodes"}, {"folder": "nothing here"}, {"save_to": "/tmp"}])
def test_folders_elsewhere_are_refused(server: Server, changes: dict[str, Any]) -> None:
    entry = server.result(server.queue(workflow("folder.pocket", **changes)))
    message = dict(entry["status"]["messages"])["execution_error"]["exception_message"]
    assert "must be the name of a folder inside" in message or "make it and put photos into it" in message


@pytest.mark.upstream
def test_three_boxes_from_photo_to_saved_photo_with_the_faces_numbered(server: Server) -> None:
    entry = server.result(server.queue(workflow("0_start_here.pocket", **FEW)))
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert entry["outputs"]["4"]["images"][0]["type"] == "output"
    (overlay,) = entry["outputs"]["3"]["images"]
    with Image.open(server.base / "temp" / overlay["filename"]) as picture:
        assert picture.size == (128, 128) and not picture.text, "a preview without the workflow"
    entry = server.result(server.queue(workflow("0_start_here.pocket", numbers="2", **FEW)))
    message = dict(entry["status"]["messages"])["execution_error"]["exception_message"]
    assert "there is no face number 2" in message


def test_nothing_is_listed_of_a_folder_elsewhere(comfy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """ComfyUI asks for the files' marks before the box can refuse the folder."""
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: pytest.fail(f"{self} was listed"))
    said = comfy.nodes["RevPersAnonymizeFolder"].fingerprint_inputs(folder="/", save_to="away")
    assert "must be the name of a folder inside" in said

"""The workflows of the last release, as they were: people have them on their disks."""

import json
from pathlib import Path
from typing import Any

import pytest
from server import Server
from test_workflows import files, photos  # noqa: F401 - a fixture that every test here takes

SHIPPED: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "last_release.json").read_text())
RUN = [name for name in SHIPPED if name.endswith(".pocket")]
OURS = ("FaceIDEmbed", "NullIDInvertDPMPP", "NegativeIDGuidanceSampler", "AttributePrompt")
FILES = {"ckpt_name", "adapter_name", "model_name", "image", "face_model_name", "detector_name", "judge_name"}
"""Menus of files, which are not here."""


@pytest.mark.upstream
@pytest.mark.parametrize("name", RUN)
def test_the_pocket_forms_run(server: Server, name: str) -> None:
    prompt = json.loads(json.dumps(SHIPPED[name]))
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"] |= {"steps": 5}
        if "strengths" in node["inputs"]:
            node["inputs"]["strengths"] = "0.02, 1"
    entry = server.result(server.queue(prompt))
    if name == "compare_strengths.pocket":  # a strength that leaves the person is an error now, unless allowed
        assert "allow_unchanged" in dict(entry["status"]["messages"])["execution_error"]["exception_message"]
        (sampler,) = [node for node in prompt.values() if node["class_type"] == "NegativeIDGuidanceSampler"]
        sampler["inputs"]["allow_unchanged"] = True
        entry = server.result(server.queue(prompt))
    assert files(server, entry)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_box_and_input_is_still_there(server: Server, name: str) -> None:
    info = server.get("/object_info")
    for node in SHIPPED[name].values():
        kind = node["class_type"]
        if not kind.startswith("RevPers") and kind not in OURS:
            continue
        offered = {**info[kind]["input"].get("required", {}), **info[kind]["input"].get("optional", {})}
        assert set(node["inputs"]) <= set(offered), kind
        assert set(info[kind]["input"].get("required", {})) <= set(node["inputs"]), kind
        for key, value in node["inputs"].items():
            options = offered[key][0] if isinstance(offered[key][0], list) else offered[key][1].get("options")
            if options is not None and key not in FILES and isinstance(value, str):
                assert value in options, (kind, key)


def test_the_list_is_whole() -> None:
    assert len(RUN) == 9 and len(SHIPPED) == 18

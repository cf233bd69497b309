"""The pack in a running ComfyUI: nodes offered, the shipped workflow run to a picture, cancelled, and run again."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from server import PATIENCE, Server

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NODES = {
    "FaceIDEmbed", "AttributePrompt", "NullIDInvertDPMPP", "NegativeIDGuidanceSampler", "RevPersLoadFaceIDAdapter",
    "RevPersLoadFaceModel", "RevPersLoadPocket", "RevPersPocketFace", "RevPersLoadFaceDetector", "RevPersLoadJudge",
    "RevPersDetectFaces", "RevPersSelectFaces", "RevPersCropFaces", "RevPersPasteFaces", "RevPersAnonymizeFaces",
    "RevPersAudit", "RevPersSave", "RevPersAdapterFromIPAdapter", "RevPersBeforeAfter", "RevPersSeveralStrengths",
    "RevPersCheckChange",
    "RevPersAnonymizeVideo", "RevPersSaveVideo", "RevPersAnonymizeFolder",
    "RevPersPseudonym", "RevPersSeal", "RevPersUnseal", "RevPersLoadEverything",
}  # fmt: skip


def workflow(name: str, **changes: Any) -> dict[str, Any]:
    """An API form, with widget values replaced wherever an input has that name."""
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    for node in prompt.values():
        node["inputs"] |= {key: value for key, value in changes.items() if key in node["inputs"]}
    return prompt


def picture(server: Server, prompt: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The saved picture of a run, 0...255."""
    entry = server.result(server.queue(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]
    (saved,) = [i for out in entry["outputs"].values() for i in out.get("images", []) if i["type"] == "output"]
    with Image.open(server.base / "output" / saved["subfolder"] / saved["filename"]) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_every_node_is_offered_and_explained(server: Server) -> None:
    info = server.get("/object_info")
    assert set(info) >= NODES
    for name in NODES:
        node = info[name]
        assert node["category"].startswith("ReversePersonalization") and node["description"]
        for group in ("required", "optional"):
            for key, spec in node["input"].get(group, {}).items():
                tooltip = spec[1].get("tooltip", "")
                assert tooltip, f"{name}.{key} has no tooltip"
                if spec[0] in ("INT", "FLOAT") and not spec[1].get("control_after_generate"):
                    for bound in ("min", "max"):
                        assert f"{spec[1][bound]:g}" in tooltip, f"{name}.{key}'s tooltip does not say its {bound}"
        assert all(node["output_tooltips"]), f"{name} has an output without a tooltip"


def test_the_users_signatures(server: Server) -> None:
    info = server.get("/object_info")

    def signature(name: str, known: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
        """What must be connected or set, with those of the known that may be left out; what comes out."""
        order = info[name]["input_order"]
        return order["required"] + [key for key in order.get("optional", []) if key in known], info[name]["output_name"]

    assert signature("FaceIDEmbed") == (["face_model", "image", "scale"], ["identity"])
    assert signature("AttributePrompt") == (["clip", "age", "sex", "look", "text"], ["positive", "attribute"])
    assert signature("NullIDInvertDPMPP", ("steps", "skip", "seed")) == (
        ["model", "adapter", "positive", "latent", "steps", "skip", "seed"],
        ["trajectory"],
    )
    assert signature("NegativeIDGuidanceSampler", ("guidance",)) == (
        ["model", "adapter", "identity", "trajectory", "attribute", "guidance"],
        ["latent"],
    )


def test_the_pocket_workflow_makes_another_face(server: Server) -> None:
    prompt = workflow("anonymize_aligned_face.pocket")
    changed = picture(server, prompt)
    assert changed.shape == (128, 128, 3)
    prompt = workflow("anonymize_aligned_face.pocket", guidance=0.0, strength=1.0)
    for node in prompt.values():
        if node["class_type"] == "NegativeIDGuidanceSampler":
            node["inputs"]["allow_unchanged"] = True
    nobody = picture(server, prompt)
    assert np.abs(changed - nobody).mean() > 2, "guidance changes nothing"


def test_only_the_sampler_runs_again_for_another_guidance(server: Server) -> None:
    prompt = workflow("anonymize_aligned_face.pocket", seed=7)
    picture(server, prompt)
    for node in prompt.values():
        if node["class_type"] == "NegativeIDGuidanceSampler":
            node["inputs"] |= {"guidance": -3.0, "strength": 1.0}
    entry = server.result(server.queue(prompt))
    messages = dict(entry["status"]["messages"])
    (inversion,) = [key for key, node in prompt.items() if node["class_type"] == "NullIDInvertDPMPP"]
    assert inversion in messages["execution_cached"]["nodes"]


def test_an_attribute_changes_the_face(server: Server) -> None:
    plain = picture(server, workflow("anonymize_aligned_face.pocket", guidance=-4.0, strength=1.0))
    old = picture(server, workflow("anonymize_aligned_face.pocket", guidance=-4.0, strength=1.0, age="old", sex="man"))
    assert np.abs(old - plain).mean() > 1


def test_models_that_other_packs_have_loaded_give_the_same_picture(server: Server) -> None:
    prompt = workflow("anonymize_aligned_face.pocket", steps=10, who="nobody")  # theirs has no statistics to draw from
    ours = picture(server, prompt)
    prompt |= {
        "20": {"class_type": "StandInInsightFace", "inputs": {}},
        "21": {"class_type": "StandInIPAdapter", "inputs": {}},
        "22": {"class_type": "RevPersAdapterFromIPAdapter", "inputs": {"ipadapter": ["21", 0], "strength": 1.0}},
    }
    for node in prompt.values():
        node["inputs"] |= {"adapter": ["22", 0]} if "adapter" in node["inputs"] else {}
        node["inputs"] |= {"face_model": ["20", 0]} if "face_model" in node["inputs"] else {}
    difference = np.abs(picture(server, prompt) - ours)  # theirs is read by onnxruntime, ours by torch
    assert difference.max() <= 2 and difference.mean() < 0.1, (difference.max(), difference.mean())


@pytest.mark.upstream
def test_a_cancelled_run_stops_within_two_seconds_and_the_next_is_right(server: Server) -> None:
    right = picture(server, workflow("anonymize_aligned_face.pocket", seed=11))
    long = server.queue(workflow("anonymize_aligned_face.pocket", seed=12, steps=999, skip=0.0))
    while not server.is_running():
        time.sleep(0.02)
    time.sleep(1.0)
    asked = time.monotonic()
    server.post("/interrupt", {})
    entry = server.result(long)
    assert time.monotonic() - asked < 2
    assert entry["status"]["status_str"] == "error"
    assert "execution_interrupted" in dict(entry["status"]["messages"])
    again = workflow("anonymize_aligned_face.pocket", seed=11, filename_prefix="again")
    assert np.array_equal(picture(server, again), right)


def wait_for_log(server: Server, words: str, times: int) -> None:
    """Until the server's log holds words so often."""
    end = time.monotonic() + PATIENCE
    while (server.base / "server.log").read_text().count(words) < times:
        assert time.monotonic() < end, f"{words!r} is not said"
        time.sleep(0.02)


def clip_files(server: Server) -> set[str]:
    return {
        str(path.relative_to(server.base))
        for folder in ("temp", "output")
        for path in (server.base / folder).rglob("*")
        if path.suffix in (".mp4", ".mkv", ".nut") or ".revpers" in path.name
    }


@pytest.mark.upstream
@pytest.mark.parametrize("moment", ["found", "made"])
def test_a_cancelled_clip_stops_within_two_seconds_and_leaves_no_half_file(server: Server, moment: str) -> None:
    """From the moment it is asked to the one at which the server says that it has stopped, counted in seconds
    of the server's own work, of which a machine that is taken by others gives it few."""
    log, before = server.base / "server.log", clip_files(server)
    said = {"found": "clip: 8 faces in 4 frames", "made": "inversion of 4 faces, 80 steps"}[moment]
    times = log.read_text().count(said) + 1
    run = server.queue(workflow("anonymize_clip.pocket", seed=13, steps=80, skip=0.0))
    wait_for_log(server, said, times)
    worked = server.worked()
    server.post("/interrupt", {})
    entry = server.result(run)
    assert server.worked() - worked < 2
    assert "execution_interrupted" in dict(entry["status"]["messages"])
    assert clip_files(server) == before


def test_too_many_steps_are_refused_in_words(server: Server) -> None:
    entry = server.result(server.queue(workflow("anonymize_aligned_face.pocket", steps=600)))
    message = dict(entry["status"]["messages"])["execution_error"]["exception_message"]
    assert "use fewer steps or a smaller skip" in message


@pytest.mark.upstream  # the sockets of stock nodes differ between versions
@pytest.mark.parametrize("name", [path.stem for path in sorted((WORKFLOWS / "api").glob("*.json"))])
def test_the_canvas_form_is_the_api_form(server: Server, name: str) -> None:
    from build_workflows import canvas

    api = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    result = canvas(name, api, server.get("/object_info"))
    shipped = WORKFLOWS / f"{name}.json"
    if os.environ.get("REVPERS_WRITE_WORKFLOWS"):
        shipped.write_text(json.dumps(result, indent=2) + "\n")
    assert json.loads(shipped.read_text()) == result, "run: make workflows"


@pytest.mark.upstream  # 0.3.64 has no blueprints
def test_the_blueprint_is_offered_and_made_of_todays_boxes_canvas_form(server: Server) -> None:
    from build_blueprint import NAME, blueprint

    expected, shipped = blueprint(server.get("/object_info")), WORKFLOWS.parent / "subgraphs" / f"{NAME}.json"
    if os.environ.get("REVPERS_WRITE_WORKFLOWS"):
        shipped.write_text(json.dumps(expected, indent=2) + "\n")
    assert json.loads(shipped.read_text()) == expected, "run: make workflows"
    offered = {one["name"]: key for key, one in server.get("/global_subgraphs").items()}
    assert json.loads(server.get(f"/global_subgraphs/{offered[NAME]}")["data"]) == expected


ITALIC = re.compile(r"(?<!\*)\*([A-Z][A-Za-z \n()?-]{3,50})\*(?!\*)")
ELSEWHERE = {"IPAdapter Model Loader"}
"""Boxes of other packs."""


@pytest.mark.upstream  # older versions call some of their boxes otherwise
def test_notes_and_help_pages_call_boxes_as_the_page_does(server: Server) -> None:
    from workflow_notes import NOTES

    boxes = {node["display_name"] or kind for kind, node in server.get("/object_info").items()}
    boxes |= {name.split(" (")[0] for name in boxes} | ELSEWHERE
    texts = {path.name: (path.read_text(), boxes) for path in (WORKFLOWS.parent / "web" / "docs").glob("*.md")}
    for name, note in NOTES.items():
        form = json.loads((WORKFLOWS / f"{name}.json").read_text())
        texts[name] = note, boxes | {node.get("title") for node in form["nodes"]}
    for where, (text, known) in texts.items():
        for name in {" ".join(found.split()) for found in ITALIC.findall(text)}:
            assert name in known or name == "NaN or infinite values", f"{where} speaks of {name}"


def test_every_input_and_output_is_on_the_help_page(server: Server) -> None:
    info = server.get("/object_info")
    for name in NODES:
        page, node = (WORKFLOWS.parent / "web" / "docs" / f"{name}.md").read_text(), info[name]
        assert page.startswith(f"# {node['display_name']}\n"), name
        inputs = [*node["input"].get("required", {}), *node["input"].get("optional", {})]
        missing = [key for key in (*inputs, *node["output_name"]) if f"**{key}**" not in page]
        assert not missing, f"web/docs/{name}.md does not say what {missing} is"


def test_the_english_locale_is_what_the_nodes_say(server: Server) -> None:
    from build_locale import node_definitions

    result = node_definitions({name: server.get("/object_info")[name] for name in sorted(NODES)})
    shipped = WORKFLOWS.parent / "locales" / "en" / "nodeDefs.json"
    if os.environ.get("REVPERS_WRITE_WORKFLOWS"):
        shipped.parent.mkdir(parents=True, exist_ok=True)
        shipped.write_text(json.dumps(result, indent=2) + "\n")
    assert json.loads(shipped.read_text()) == result, "run: make workflows"


@pytest.mark.upstream
def test_every_box_is_found_by_words_of_its_own(server: Server) -> None:
    info = server.get("/object_info")
    words = [word.lower() for name in NODES for word in info[name]["search_aliases"]]
    assert all(info[name]["search_aliases"] for name in NODES) and len(words) == len(set(words))
    first = {"privacy": "RevPersAnonymizeFaces", "compare": "RevPersBeforeAfter", "mask face": "RevPersPasteFaces"}
    assert all(word in info[name]["search_aliases"] for word, name in first.items())


def test_every_socket_of_ours_has_a_name_in_the_locale(server: Server) -> None:
    words = json.loads((WORKFLOWS.parent / "locales" / "en" / "main.json").read_text())["dataTypes"]
    info = server.get("/object_info")
    nodes = [info[name] for name in NODES]
    inputs = [spec[0] for node in nodes for part in node["input"].values() for spec in part.values()]
    kinds = [kind for one in [*inputs, *(o for node in nodes for o in node["output"])] for kind in str(one).split(",")]
    assert set(words) == {kind for kind in kinds if kind.startswith("REVPERS_")}

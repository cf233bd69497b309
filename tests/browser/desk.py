"""ComfyUI's page as somebody sits before it: looks, clicks, types, waits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from server import REPO, Server

CHROMIUM = Path(os.environ.get("REVPERS_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
PICTURES = REPO / "docs" / "pictures"
PACK = "ComfyUI-ReversePersonalization"

LISTEN = """() => {
  window.told = [];
  for (const name of ["progress_state", "b_preview_with_metadata", "executed", "execution_success",
                      "execution_error", "execution_interrupted"])
    app.api.addEventListener(name, e => window.told.push([name, name == "progress_state"
      ? Object.values(e.detail.nodes).map(n => [n.node_id, n.state, n.value, n.max]) : e.detail?.exception_message]));
}"""
ENDED = """name => {
  const refused = Object.values(app.lastNodeErrors ?? {}).flatMap(n => n.errors.map(e => `${e.message}: ${e.details}`));
  const ends = ["execution_success", "execution_error", "execution_interrupted"];
  return window.told.find(([n]) => n == name) ?? window.told.find(([n]) => ends.includes(n))
    ?? (refused.length ? ["refused", refused.join("; ")] : null);
}"""
STILL = """() => {
  const now = [app.canvas.ds.scale, ...app.canvas.ds.offset].join();
  window.frames_alike = window.view_before == now ? window.frames_alike + 1 : 0;
  window.view_before = now;
  return window.frames_alike >= 30;
}"""
WHERE_A_WIDGET_IS = """([id, name]) => {
  const node = app.graph.getNodeById(id), widget = node.widgets.find(w => w.name == name);
  if (widget.last_y === undefined) return null;  // not painted yet
  const { scale, offset } = app.canvas.ds, box = app.canvas.canvas.getBoundingClientRect();
  return [(node.pos[0] + node.size[0] / 2 + offset[0]) * scale + box.x,
          (node.pos[1] + widget.last_y + 10 + offset[1]) * scale + box.y];
}"""
COVERED = """() => {
  const boxes = app.graph._nodes.map(({ title, pos: [x, y], size: [width, height], flags: { collapsed } }) =>
    [title, x, y - 30, x + (collapsed ? 80 : width), y + (collapsed ? 0 : height)]);
  return boxes.flatMap(([title, x, y, right, low], i) => boxes.slice(0, i)
    .filter(([, a, b, c, d]) => x < c && a < right && y < d && b < low).map(([other]) => [title, other]));
}"""
PLAYED = """() => {
  const [clip, ...others] = [...document.querySelectorAll("video")].filter(v => v.videoWidth);
  if (!clip || others.length) return null;
  if (clip.ended) return [clip.videoWidth, clip.videoHeight, clip.duration];
  if (clip.paused) { clip.loop = false; clip.muted = true; clip.play(); }
  clip.loop = false;
  return null;
}"""
PAINTED = "app.graph.getNodeById(id).imgs?.[0]"


class Desk:
    """modern: Nodes 2.0 (boxes are HTML), otherwise the classic renderer (boxes are painted on a canvas)."""

    def __init__(self, page: Page, server: Server, modern: bool):
        self.page, self.server, self.modern = page, server, modern
        settings = {
            "Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.49.6", "Comfy.Locale": "en",
            "Comfy.VueNodes.Enabled": modern, "Comfy.Minimap.Visible": False,
            "LiteGraph.Canvas.MinFontSizeForLOD": 0,
        }  # fmt: skip
        server.post("/api/settings", settings)
        page.goto(server.url)
        page.wait_for_function("window.app?.extensionManager && app.graph?._nodes.length")
        page.evaluate(LISTEN)

    def open_template(self, name: str) -> None:
        """Through the template browser, in our pack's own category."""
        self.browse_templates()
        self.page.get_by_test_id(f"template-workflow-{name}").click()
        self.page.wait_for_function("app.graph._nodes.some(n => n.type.startsWith('RevPers'))")
        self.page.get_by_test_id("template-workflows-content").wait_for(state="hidden")
        self.fit()

    def open_form(self, form: dict[str, Any]) -> float:
        """A canvas form, fitted to the screen; returns the zoom."""
        self.page.evaluate("async ([form]) => { await app.loadGraphData(form); }", [form])
        self.page.wait_for_function("n => app.graph._nodes.length == n", arg=len(form["nodes"]))
        self.fit()
        return self.page.evaluate("app.canvas.ds.scale")

    def browse_templates(self) -> None:
        self.page.get_by_label("Templates", exact=True).first.click()
        self.page.get_by_text(PACK).first.click()

    def load(self, api: dict[str, Any]) -> None:
        """An API form, as dropped onto the page."""
        self.page.evaluate("async ([api]) => { await app.loadApiJson(api, 'dropped'); }", [api])
        self.fit()

    def node(self, kind: str) -> int:
        """The id of the only box of a kind."""
        (number,) = self.page.evaluate("k => app.graph._nodes.filter(n => n.type == k).map(n => n.id)", kind)
        return number

    def box(self, kind: str) -> Locator:
        """The box itself, in Nodes 2.0."""
        return self.page.locator(f'[data-node-id="{self.node(kind)}"]').first

    def missing(self) -> list[str]:
        """Kinds of boxes that ComfyUI does not know, and the loaders it marks red."""
        return self.page.evaluate(
            "app.graph._nodes.filter(n => n.has_errors || !LiteGraph.registered_node_types[n.type]).map(n => n.type)"
        )

    def type_number(self, kind: str, widget: str, value: float) -> None:
        """With mouse and keyboard."""
        if self.modern:
            field = self.box(kind).get_by_test_id("node-widget").filter(has_text=widget).locator("input")
            field.fill(f"{value:g}")
            field.press("Enter")
        else:
            place = self.page.wait_for_function(WHERE_A_WIDGET_IS, arg=[self.node(kind), widget]).json_value()
            self.page.mouse.click(*place)
            field = self.page.locator(".graphdialog input")
            field.fill(f"{value:g}")
            field.press("Enter")

    def value(self, kind: str, widget: str) -> Any:
        script = "([id, name]) => app.graph.getNodeById(id).widgets.find(w => w.name == name).value"
        return self.page.evaluate(script, [self.node(kind), widget])

    def choose(self, kind: str, widget: str, value: Any) -> None:
        """As its menu does."""
        script = """([id, name, value]) => { const widget = app.graph.getNodeById(id).widgets.find(w => w.name == name);
          widget.value = value; widget.callback(value, app.canvas, app.graph.getNodeById(id)); }"""
        self.page.evaluate(script, [self.node(kind), widget, value])

    def expect_widget(self, kind: str, widget: str, there: bool) -> None:
        """Whether a widget is on the box, for whoever looks at it in the classic renderer."""
        script = """([id, name]) => { const node = app.graph.getNodeById(id);
          return node.isWidgetVisible(node.widgets.find(w => w.name == name)); }"""
        assert self.page.evaluate(script, [self.node(kind), widget]) is there

    def socket_colours(self, kind: str, names: tuple[str, ...]) -> list[str]:
        """As they are drawn."""
        types = "([id, names]) => names.map(n => app.graph.getNodeById(id).inputs.find(i => i.name == n).type)"
        drawn = """types => types.map(type => { const dot = document.createElement("i"); document.body.append(dot);
          dot.style.color = MODERN ? `var(--color-datatype-${type}, #AAA)`
            : app.canvas.default_connection_color_byType[type] ?? "#AAA";
          const colour = getComputedStyle(dot).color; dot.remove(); return colour; })"""
        found = self.page.evaluate(types, [self.node(kind), list(names)])
        return self.page.evaluate(drawn.replace("MODERN", "true" if self.modern else "false"), found)

    def run(self) -> None:
        self.page.evaluate("window.told = []")
        self.page.get_by_test_id("queue-button").click()

    def cancel(self) -> None:
        self.page.get_by_label("Cancel current run").click()

    def wait(self, event: str) -> None:
        """Until the page is told of an event; a run that ends otherwise, or is not even begun, fails at once."""
        name, what = self.page.wait_for_function(ENDED, arg=event).json_value()
        assert name == event, f"waited for {event}, was told {name}: {what}"

    def events(self, event: str) -> list[Any]:
        return self.page.evaluate("name => window.told.filter(([n]) => n == name).map(([, what]) => what)", event)

    def shown_picture(self, kind: str) -> tuple[int, int]:
        """Width and height of the picture that a box shows."""
        if self.modern:
            image = self.box(kind).locator("img").first
            expect(image).to_be_visible()
        image = "document.querySelector(`[data-node-id='${id}'] img`)" if self.modern else PAINTED
        size = f"id => {{ const i = {image}; return i?.naturalWidth ? [i.naturalWidth, i.naturalHeight] : null; }}"
        width, height = self.page.wait_for_function(size, arg=self.node(kind)).json_value()
        return width, height

    def played_clip(self) -> tuple[int, int, float]:
        """Width, height and seconds of the only clip on the page, once it has played to its end."""
        return self.page.wait_for_function(PLAYED).json_value()

    def places(self, kind: str) -> list[list[float]]:
        """Where boxes of a kind are on the screen: left, top, right, low."""
        script = """kind => { const { scale, offset: [x, y] } = app.canvas.ds;
          const at = app.canvas.canvas.getBoundingClientRect();
          return app.graph._nodes.filter(n => n.type == kind).map(({ pos, size, flags }) => [
            (pos[0] + x) * scale + at.x, (pos[1] - 30 + y) * scale + at.y, (pos[0] + size[0] + x) * scale + at.x,
            (pos[1] + (flags.collapsed ? 0 : size[1]) + y) * scale + at.y]); }"""
        return self.page.evaluate(script, kind)

    def search_box(self, words: str) -> None:
        """The first find of the search that a double click opens, on an empty canvas."""
        self.page.evaluate("app.graph.clear()")
        self.page.mouse.dblclick(700, 450)
        self.page.keyboard.type(words)
        expect(self.page.get_by_text(words, exact=True).first).to_be_visible()
        self.page.wait_for_timeout(500)  # the list follows the typing
        self.page.keyboard.press("Enter")
        self.page.wait_for_function("app.graph._nodes.length == 1")
        self.page.wait_for_timeout(500)  # then it hangs on the pointer until it is put down
        while self.page.evaluate("app.canvas.state.ghostNodeId != null"):
            self.page.mouse.move(650, 400)
            self.page.mouse.click(650, 400)
            self.page.wait_for_timeout(200)

    def between(self, source: str, sink: str) -> None:
        """The only box, between a new one that gives a picture and a new one that shows its first output."""
        script = """([source, sink]) => { const [box] = app.graph._nodes;
          const [first, last] = [source, sink].map((kind, i) => { const node = LiteGraph.createNode(kind);
            node.pos = [i * 900 - 300, 100]; app.graph.add(node); return node; });
          first.connect(0, box, 0); box.connect(0, last, 0); }"""
        self.page.evaluate(script, [source, sink])

    def covered(self) -> list[list[str]]:
        """Titles of boxes that cover one another, as large as they have grown."""
        return self.page.evaluate(COVERED)

    def fit(self) -> None:
        """The whole workflow on the screen, and still: boxes that are outside can be neither seen nor clicked."""
        panel = self.page.get_by_label("Toggle properties panel")
        if panel.get_attribute("aria-pressed") == "true":
            panel.click()
        self.page.evaluate("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.page.wait_for_function(STILL)

    def turn_wheel_until(self, condition: str, value: Any) -> None:
        """One notch, where the mouse is, and a second one if the first was lost: on a busy machine one has been."""
        try:
            self.page.mouse.wheel(0, 120)
            self.page.wait_for_function(condition, arg=value, timeout=30_000)
        except PlaywrightTimeout:
            self.page.mouse.wheel(0, 120)
            self.page.wait_for_function(condition, arg=value, timeout=30_000)

    def slider_pictures(self) -> list[str]:
        """Addresses of the two pictures on the slider, when both are there."""
        pictures = self.page.locator("img[alt=before], img[alt=after]")
        expect(pictures).to_have_count(2)
        self.page.wait_for_function(
            "[...document.querySelectorAll('img[alt=before], img[alt=after]')].every(i => i.complete && i.naturalWidth)"
        )
        return pictures.evaluate_all("all => all.map(i => i.src)")

    def line_and_picture(self, share: int) -> tuple[dict[str, float], dict[str, float]]:
        """Where the slider's line and its picture are on the screen, drawn to that many percent."""
        self.page.get_by_label("before and after").fill(str(share))
        script = """image => [image.parentElement.querySelector("i"), image]
          .map(part => part.getBoundingClientRect().toJSON())"""
        places = self.page.locator("img[alt=after]").evaluate(script)
        return places[0], places[1]

    def away_and_back(self) -> None:
        """To another workflow's tab and back."""
        there = "app.extensionManager.workflow.activeWorkflow.path"
        here = self.page.evaluate(there)
        self.page.evaluate("app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        self.page.wait_for_function(f"here => {there} != here", arg=here)
        self.page.evaluate("app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
        self.page.wait_for_function(f"here => {there} == here", arg=here)

    def left_of_the_result(self, share: int) -> str:
        """How much of the result is cut off when the slider is drawn to that many percent."""
        slider = self.page.get_by_label("before and after")
        slider.fill(str(share))
        return self.page.locator("img[alt=after]").evaluate("i => i.style.clipPath.match(/[0-9]+%/)[0]")

    def expect_error(self, *texts: str) -> None:
        """The page says these words of the failure after 'View details': all that the server said is there first."""
        self.page.get_by_test_id("error-overlay-see-errors").click()
        panel = self.page.get_by_test_id("runtime-error-panel")
        expect(panel).to_contain_text(self.events("execution_error")[-1].strip())
        shown = " ".join(panel.inner_text().split())
        for text in texts:
            assert text in shown, f"{text!r} is not in {shown!r}"

    def help_page(self, kind: str) -> Locator:
        """The help panel, opened from the box's toolbar."""
        self.page.evaluate("id => app.canvas.selectNode(app.graph.getNodeById(id))", self.node(kind))
        self.page.get_by_test_id("info-button").click()
        panel = self.page.locator(".node-help-content")
        panel.wait_for()
        return panel

    def our_boxes(self) -> list[tuple[str, str]]:
        """(kind, title) of every box of the pack."""
        script = """() => Object.entries(LiteGraph.registered_node_types)
          .filter(([, n]) => n.category?.startsWith("ReversePersonalization")).map(([k, n]) => [k, n.title])"""
        return [(kind, title) for kind, title in self.page.evaluate(script)]

    def add(self, kind: str) -> None:
        """A box of that kind on an empty canvas, with a number of its own: Nodes 2.0 remembers what the last box of a
        number was set to."""
        script = """kind => { app.graph.clear(); const node = LiteGraph.createNode(kind); node.pos = [100, 100];
          window.boxes = (window.boxes ?? 1000) + 1; node.id = window.boxes;
          app.graph.add(node); app.canvas.ds.scale = 1; app.canvas.ds.offset = [100, 100];
          app.canvas.setDirty(true, true); }"""
        self.page.evaluate(script, kind)

    @contextmanager
    def app_mode(self) -> Iterator[Locator]:
        """The form of the workflow in ComfyUI's app mode; afterwards the canvas is back."""
        toggle = "app.extensionManager.command.execute('Comfy.ToggleLinear')"
        self.page.evaluate(toggle)
        try:
            form = self.page.get_by_test_id("linear-widgets").first
            form.wait_for()
            yield form
        finally:
            self.page.evaluate(toggle)
            self.page.get_by_test_id("linear-widgets").first.wait_for(state="hidden")

    def shown_values(self, kind: str) -> list[Any]:
        """Of the box's widgets, by their place."""
        return self.page.evaluate("k => app.graph._nodes.find(n => n.type == k).widgets?.map(w => w.value) ?? []", kind)

    def own_defaults(self, kind: str) -> list[Any]:
        """Of the widgets of a box that stands nowhere."""
        return self.page.evaluate("k => LiteGraph.createNode(k).widgets?.map(w => w.value) ?? []", kind)

    def reopen(self, values: list[Any] | None) -> None:
        """The workflow saved and opened again; with the only box's values replaced by these, unless None."""
        script = """async values => { const saved = app.graph.serialize();
          if (values) { saved.nodes[0].widgets_values = values; saved.nodes[0].inputs = []; }
          await app.loadGraphData(JSON.parse(JSON.stringify(saved))); }"""
        self.page.evaluate(script, values)

    def box_picture(self, kind: str) -> None:
        """A picture of the box for its help page (REVPERS_WRITE_PICTURES=1)."""
        if os.environ.get("REVPERS_WRITE_PICTURES"):
            folder = REPO / "web" / "docs" / kind
            folder.mkdir(exist_ok=True)
            self.page.wait_for_timeout(300)
            self.box(kind).screenshot(path=folder / "box.jpg", type="jpeg", quality=80)

    def picture(self, name: str) -> None:
        """A picture of the page for the docs (REVPERS_WRITE_PICTURES=1)."""
        if os.environ.get("REVPERS_WRITE_PICTURES"):
            PICTURES.mkdir(exist_ok=True)
            self.page.screenshot(
                path=PICTURES / f"{name}_{'modern' if self.modern else 'classic'}.jpg", type="jpeg", quality=70
            )

// The slider of "Before and After": one DOM widget, the same in the classic renderer and in Nodes 2.0.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const FILL = "position:absolute; inset:0; width:100%; height:100%; margin:0;";
const WORD = "position:absolute; top:4px; padding:0 6px; border-radius:4px; background:#000a; color:#fff; pointer-events:none;";
const HTML = `
  <div style="position:relative; width:min(100cqw, 100cqh * var(--ratio)); aspect-ratio:var(--ratio)">
    <img alt="before" style="${FILL} object-fit:contain">
    <img alt="after" style="${FILL} object-fit:contain">
    <i style="position:absolute; top:0; bottom:0; width:2px; margin-left:-1px; background:#fff; pointer-events:none"></i>
    <span style="${WORD} left:4px">before</span>
    <span style="${WORD} right:4px">after</span>
    <input type="range" aria-label="before and after" min="0" max="100" value="50" style="${FILL} opacity:0; cursor:ew-resize">
  </div>
  <div style="position:absolute; right:4px; bottom:4px; display:flex; gap:4px; padding:0 4px; border-radius:4px;
    background:#000a; color:#fff">
    <button style="cursor:pointer" aria-label="previous picture">&#9664;</button>
    <span></span>
    <button style="cursor:pointer" aria-label="next picture">&#9654;</button>
  </div>`;
const EVERY = 300; // ms

// In the classic renderer the slider lies above the canvas: zooming, moving and menus are the canvas's all the same.
function letThrough(box) {
  const pass = (event) => {
    if (LiteGraph.vueNodesMode) return;
    event.preventDefault();
    event.stopPropagation();
    app.canvas.canvas.dispatchEvent(new event.constructor(event.type, event));
  };
  box.addEventListener("wheel", pass, { passive: false });
  for (const name of ["pointerdown", "pointermove", "pointerup"])
    box.addEventListener(name, (event) => (name === "pointermove" ? event.buttons & 6 : event.button) && pass(event));
  box.addEventListener("contextmenu", (event) => LiteGraph.vueNodesMode || event.preventDefault());
}

function slider() {
  const box = document.createElement("div");
  box.style.cssText = "position:relative; width:100%; height:100%; min-height:220px; overflow:hidden; display:flex;" +
    "align-items:center; justify-content:center; container-type:size; --ratio:1";
  box.innerHTML = HTML;
  const [stage, turn] = box.children, [before, after, line, , , range] = stage.children;
  const [previous, place, next] = turn.children;
  const address = ({ filename, subfolder, type }) =>
    api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}${app.getRandParam()}`);
  let pairs = [], shown = 0;

  const cut = () => {
    after.style.clipPath = `inset(0 0 0 ${range.value}%)`;
    line.style.left = `${range.value}%`;
  };
  const show = (index) => {
    shown = (index + pairs.length) % pairs.length;
    [before.src, after.src] = pairs[shown].map(address);
    place.textContent = `${shown + 1} of ${pairs.length}`;
  };
  before.onload = () => box.style.setProperty("--ratio", before.naturalWidth / before.naturalHeight);
  range.oninput = cut;
  previous.onclick = () => show(shown - 1);
  next.onclick = () => show(shown + 1);
  letThrough(box);
  const told = (output) => {
    pairs = (output?.before ?? []).map((one, i) => [one, output.after[Math.min(i, output.after.length - 1)]]);
    stage.style.display = pairs.length ? "" : "none";
    turn.style.display = pairs.length > 1 ? "flex" : "none";
    if (pairs.length) show(0);
  };
  cut();
  told();
  return { box, told };
}

app.registerExtension({
  name: "revpers.beforeAfter",
  nodeCreated(node) {
    if (node.comfyClass !== "RevPersBeforeAfter") return;
    const { box, told } = slider();
    node.addDOMWidget("slider", "before_after", box, { serialize: false, getMinHeight: () => 220, hideOnZoom: false });
    node.setSize([Math.max(node.size[0], 320), Math.max(node.size[1], 320)]);
    // What the page remembers of the workflow's last run is there some time after the box is, and is another
    // workflow's until then: whatever it is, the box shows it.
    let known;
    const look = () => {
      const key = node.graph && node.graph !== app.rootGraph && node.graph !== app.graph ? `${node.graph.id}:${node.id}` : node.id;
      const output = app.nodeOutputs?.[key], files = JSON.stringify([output?.before, output?.after]);
      if (files !== known) told(output);
      known = files;
    };
    const timer = setInterval(look, EVERY), removed = node.onRemoved, executed = node.onExecuted;
    node.onRemoved = function () {
      clearInterval(timer);
      removed?.apply(this, arguments);
    };
    node.onExecuted = function () {
      executed?.apply(this, arguments);
      look();
    };
  },
});

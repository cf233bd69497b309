// The slider of "Before and After": one DOM widget, the same in the classic renderer and in Nodes 2.0.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const FILL = "position:absolute; inset:0; width:100%; height:100%; margin:0;";
const HTML = `
  <img alt="before" style="${FILL} object-fit:contain">
  <img alt="after" style="${FILL} object-fit:contain">
  <i style="position:absolute; top:0; bottom:0; width:2px; background:#fff; pointer-events:none"></i>
  <input type="range" aria-label="before and after" value="50" style="${FILL} opacity:0; cursor:ew-resize">
  <button style="position:absolute; right:4px; bottom:4px; cursor:pointer" title="the next picture"></button>`;

function slider() {
  const box = document.createElement("div");
  box.style.cssText = "position:relative; width:100%; height:100%; min-height:220px; overflow:hidden";
  box.innerHTML = HTML;
  const [before, after, line, range, next] = box.children;
  const address = ({ filename, subfolder, type }) =>
    api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}${app.getRandParam()}`);
  let pairs = [], shown = 0;

  const cut = () => {
    after.style.clipPath = `inset(0 0 0 ${range.value}%)`;
    line.style.left = `${range.value}%`;
  };
  const show = (index) => {
    shown = index % pairs.length;
    [before.src, after.src] = pairs[shown].map(address);
    next.textContent = `${shown + 1} of ${pairs.length}`;
  };
  const visible = () => {
    for (const part of box.children) part.hidden = !pairs.length;
    next.hidden = pairs.length < 2;
  };
  range.oninput = cut;
  next.onclick = () => show(shown + 1);
  cut();
  visible();
  return { box, told: (output) => {
    pairs = output.before.map((one, i) => [one, output.after[Math.min(i, output.after.length - 1)]]);
    visible();
    show(0);
  } };
}

app.registerExtension({
  name: "revpers.beforeAfter",
  nodeCreated(node) {
    if (node.comfyClass !== "RevPersBeforeAfter") return;
    const { box, told } = slider();
    node.addDOMWidget("slider", "before_after", box, { serialize: false, getMinHeight: () => 220, hideOnZoom: false });
    node.setSize([Math.max(node.size[0], 320), Math.max(node.size[1], 320)]);
    const executed = node.onExecuted;
    node.onExecuted = function (output) {
      executed?.apply(this, arguments);
      if (output?.before?.length) told(output);
    };
  },
  loadedGraphNode(node) {
    const output = app.nodeOutputs?.[node.id];
    if (node.comfyClass === "RevPersBeforeAfter" && output) node.onExecuted(output);
  },
});

// Which files a workflow lacks, in one place and before Run: name, folder, size and link. The server looks into its
// folders; nothing is fetched from anywhere, links are for people.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const PANEL = "position:fixed; right:12px; top:96px; z-index:1001; width:360px; max-height:62vh; overflow:auto;" +
  "box-sizing:border-box; padding:10px 14px;" +
  "border:1px solid #b8860b; border-radius:8px; background:var(--comfy-menu-bg, #222); color:var(--fg-color, #ddd);" +
  "font:12px/1.4 sans-serif; box-shadow:0 4px 24px #000a";
const BUTTON = "padding:2px 10px; border:1px solid #888; border-radius:4px; background:none; color:inherit; cursor:pointer";
const EVERY = 400; // ms
const LOADERS = /^(RevPersLoad\w+|CheckpointLoaderSimple|ControlNetLoader|CLIPVisionLoader)$/;
const ASLEEP = [2, 4]; // muted, bypassed

// The boxes of the workflow that work, those inside subgraphs too.
function awake(graph) {
  return (graph?.nodes ?? graph?._nodes ?? [])
    .filter((node) => !ASLEEP.includes(node.mode))
    .flatMap((node) => (node.isSubgraphNode?.() ? awake(node.subgraph) : [node]));
}

// What its loaders are set to; none where nothing of ours is in the workflow.
function loaders() {
  const nodes = awake(app.rootGraph ?? app.graph), kind = (node) => node.comfyClass ?? node.type ?? "";
  if (!nodes.some((node) => node.constructor.nodeData?.category?.startsWith("ReversePersonalization"))) return [];
  return nodes.filter((node) => LOADERS.test(kind(node))).map((node) => {
    const words = (node.widgets ?? []).filter(({ value }) => typeof value === "string");
    return { kind: kind(node), values: Object.fromEntries(words.map(({ name, value }) => [name, value])) };
  });
}

const part = (name, text, style = "") => Object.assign(document.createElement(name), { textContent: text, style });

// A sentence whose addresses can be clicked.
function linked(text) {
  const out = document.createElement("span");
  for (const [i, piece] of text.split(/(https:\/\/[^\s,]+)/).entries())
    out.append(i % 2 ? Object.assign(part("a", piece.slice(8), "color:#7ab8ff; overflow-wrap:anywhere"), { href: piece, target: "_blank", rel: "noopener noreferrer" }) : piece);
  return out;
}

function line({ name, folder, size, link, note }) {
  const row = part("li", "", "margin:4px 0");
  const where = folder ? ` into ComfyUI/models/${folder}` : "";
  row.append(part("b", name), linked(`${size && ` (${size})`}${where}${link && `: ${link}`} ${note}`));
  return row;
}

function panel() {
  const box = part("section", "", PANEL);
  box.setAttribute("aria-label", "missing files");
  box.hidden = true;
  const title = part("b", ""), list = part("ul", "", "margin:6px 0; padding-left:18px; user-select:text");
  const again = part("button", "Look again", BUTTON), close = part("button", "Close", `${BUTTON}; margin-left:8px`);
  again.onclick = () => app.refreshComboInNodes();
  close.onclick = () => (box.hidden = true);
  box.append(title, list, again, close);
  document.body.append(box);
  setInterval(() => place(box), EVERY);
  return (files) => {
    box.hidden = !files.length;
    title.textContent = `${files.length === 1 ? "1 file is" : `${files.length} files are`} missing (nothing is downloaded by itself)`;
    list.replaceChildren(...files.map(line));
  };
}

// Under ComfyUI's own list of errors, which names a loader's missing file without folder and size; beside its panel.
function place(box) {
  if (box.hidden) return;
  const shown = document.querySelector('[data-testid="error-overlay"]')?.getBoundingClientRect();
  const aside = document.querySelector('[data-testid="properties-panel"]')?.getBoundingClientRect();
  box.style.right = `${12 + (aside?.width ? innerWidth - aside.left : 0)}px`;
  box.style.top = `${Math.max(96, (shown?.height ? shown.bottom : 0) + 8)}px`;
}

let show, known;

// Asked anew whenever the loaders are others: opened, dropped, added, set or taken away.
async function look() {
  const boxes = loaders(), asked = JSON.stringify(boxes);
  if (asked === known) return;
  known = asked;
  let files = [];
  if (boxes.length) {
    const answer = await api.fetchApi("/revpers/missing", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: asked,
    });
    if (answer.ok) files = await answer.json();
  }
  if (asked === known && (files.length || show)) (show ??= panel())(files); // else they changed meanwhile
}

app.registerExtension({
  name: "ReversePersonalization.missingFiles",
  setup: () => void setInterval(look, EVERY),
  refreshComboInNodes: () => (known = undefined), // files may have come
});

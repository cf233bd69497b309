// Old workflows give what they gave. One from before 'who' knows nobody who comes instead.
// 'steps' and 'skip' count for the preset 'custom' only, so they are on the box only then; Nodes 2.0 follows when it
// draws the box anew.
import { app } from "../../../scripts/app.js";

const OWN = ["steps", "skip"];

function follow(node) {
  const preset = node.widgets?.find((widget) => widget.name === "preset");
  if (!preset || !OWN.every((name) => node.widgets.some((widget) => widget.name === name))) return;
  const show = () => {
    for (const widget of node.widgets.filter((one) => OWN.includes(one.name))) {
      widget.hidden = preset.value !== "custom";
      widget.options.hidden = widget.hidden;
    }
    node.setSize([node.size[0], Math.max(node.computeSize()[1], node.size[1])]);
    app.graph?.setDirtyCanvas(true, true);
  };
  const before = preset.callback;
  preset.callback = function (...values) {
    const result = before?.apply(this, values);
    show();
    return result;
  };
  const configure = node.onConfigure;
  node.onConfigure = function (...values) {
    configure?.apply(this, values);
    show();
  };
  show();
}

// A saved workflow holds its widgets' values by place. What older versions saved, in the order of today's box.
const moved = (values, from, to) => {
  const out = [...values];
  out.splice(to, 0, ...out.splice(from, 1));
  return out;
};

// 'preset' stood below the dials that it rules; a workflow from before it took its own steps and skip.
function presetAbove(values, dial, from) {
  if (typeof values[dial] !== "number") return values;
  if (values.length > from) return moved(values, from, dial);
  return [...values.slice(0, dial), "custom", ...values.slice(dial)];
}

// 'guidance' stood before 'strength', and the two were multiplied.
function strengthFirst([guidance, strength, ...rest], saved) {
  const slots = (saved.inputs ?? []).map(({ name }) => name);
  const [at, then] = [slots.indexOf("guidance"), slots.indexOf("strength")];
  const old = at >= 0 && then >= 0 ? at < then : guidance < 0 || guidance > 3 || typeof strength !== "number";
  if (!old) return [guidance, strength, ...rest];
  if (typeof strength !== "number") return [1, guidance, ...(strength === undefined ? [] : [strength]), ...rest];
  return guidance === -10 || strength === 1 ? [strength, guidance, ...rest] : [1, guidance * strength, ...rest];
}

const TODAY = {
  NullIDInvertDPMPP: (values) => presetAbove(values, 0, 4),
  NegativeIDGuidanceSampler: strengthFirst,
  RevPersAnonymizeFaces: (values) => presetAbove(values, 2, 7),
  RevPersAnonymizeVideo: (values) => presetAbove(values, 2, 7),
};

function nobodyInOldWorkflows(node) {
  const configure = node.onConfigure;
  node.onConfigure = function (saved, ...rest) {
    configure?.call(this, saved, ...rest);
    const place = this.widgets?.findIndex((widget) => widget.name === "who") ?? -1;
    if (place >= 0 && Array.isArray(saved?.widgets_values) && saved.widgets_values.length <= place)
      this.widgets[place].value = "nobody";
  };
}

app.registerExtension({
  name: "ReversePersonalization.presets",
  beforeRegisterNodeDef(nodeType, { name }) {
    const today = TODAY[name], configure = nodeType.prototype.configure;
    if (!today) return;
    nodeType.prototype.configure = function (saved, ...rest) {
      const values = saved?.widgets_values;
      return configure.call(this, Array.isArray(values) ? { ...saved, widgets_values: today(values, saved) } : saved, ...rest);
    };
  },
  nodeCreated(node) {
    if (["NegativeIDGuidanceSampler", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo"].includes(node.constructor.comfyClass))
      nobodyInOldWorkflows(node);
    if (["NullIDInvertDPMPP", "RevPersAnonymizeFaces", "RevPersAnonymizeVideo"].includes(node.constructor.comfyClass)) follow(node);
  },
});

// A workflow from before 'who' knows nobody who comes instead: it gives what it gave.
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
  nodeCreated(node) {
    if (["NegativeIDGuidanceSampler", "RevPersAnonymizeFaces"].includes(node.constructor.comfyClass))
      nobodyInOldWorkflows(node);
    if (["NullIDInvertDPMPP", "RevPersAnonymizeFaces"].includes(node.constructor.comfyClass)) follow(node);
  },
});

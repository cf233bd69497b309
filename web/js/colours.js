// Our sockets' own colours, in both renderers. ComfyUI's page drops what is set before a graph is there.
import { app } from "../../../scripts/app.js";

const COLOURS = {
  REVPERS_ADAPTER: "#c792ea",
  REVPERS_FACE_MODEL: "#f0a35e",
  REVPERS_IDENTITY: "#e8637a",
  REVPERS_DETECTOR: "#7fc8a9",
  REVPERS_JUDGE: "#d9c65a",
  REVPERS_FACES: "#5fb3b3",
  REVPERS_CROPS: "#8fa1d8",
  REVPERS_TRAJECTORY: "#b98b6d",
};

function paint() {
  for (const [type, colour] of Object.entries(COLOURS)) {
    if (app.canvas) {
      app.canvas.default_connection_color_byType[type] = colour;
      LGraphCanvas.link_type_colors[type] = colour;
    }
    document.documentElement.style.setProperty(`--color-datatype-${type}`, colour);
  }
  app.graph?.setDirtyCanvas(true, true);
}

app.registerExtension({
  name: "ReversePersonalization.colours",
  setup: paint,
  afterConfigureGraph: paint,
  nodeCreated(node) {
    if (node.constructor.nodeData?.category?.startsWith("ReversePersonalization")) paint();
  },
});

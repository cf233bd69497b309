// Our templates in one order, "start here" first: ComfyUI lists a pack's files as the disk does.
import { api } from "../../../scripts/api.js";

const FIRST = "0_start_here";
const list = api.getWorkflowTemplates.bind(api);

api.getWorkflowTemplates = async (...values) => {
  const all = await list(...values);
  for (const names of Object.values(all)) if (names.includes(FIRST)) names.sort();
  return all;
};

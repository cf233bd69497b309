"""Our two boxes against the stock KSampler with as many evaluations, in the real ComfyUI, by its own interpreter.

python in_comfyui.py ROOT BASE STEPS REPEATS: the last line printed is the result as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
KSAMPLER = "stock KSampler (dpmpp_2m_sde)"
GUIDANCE = -5.0


def loaded(root: str, base: str) -> dict[str, Any]:
    """ComfyUI's nodes and ours, by id."""
    sys.path.insert(0, root)
    sys.path.append(str(HERE))
    sys.argv = ["main.py", "--cpu", "--base-directory", base]
    import comfy.options

    comfy.options.enable_args_parsing()
    import nodes

    pack = f"{base}/custom_nodes/ComfyUI-ReversePersonalization"
    if not asyncio.run(nodes.load_custom_node(pack, module_parent="custom_nodes")):
        raise RuntimeError("the pack does not load")
    return nodes.NODE_CLASS_MAPPINGS


def runs(nodes: dict[str, Any], steps: int) -> tuple[Any, dict[str, Callable[[], object]]]:
    """The network, and what to time by name; every run asks it ``4 * steps`` times but the last one."""
    pack = nodes["RevPersLoadPocket"].__module__.rsplit(".nodes", 1)[0]
    face = sys.modules[f"{pack}.revpers_core.media.gallery"].aligned_face(20, 0).permute(1, 2, 0)[None]
    model, clip, vae, adapter, face_model = nodes["RevPersLoadPocket"].execute().args
    (identity,) = nodes["FaceIDEmbed"].execute(face_model, face, 1.0).args
    positive, attribute = nodes["AttributePrompt"].execute(clip, "any", "any", "", "").args
    latent = {"samples": vae.encode(face)}
    invert, sample, stock = nodes["NullIDInvertDPMPP"], nodes["NegativeIDGuidanceSampler"], nodes["KSampler"]()

    def trajectory(at_once: int) -> Any:
        return invert.execute(model, adapter, positive, latent, steps, 0.7, 0, at_once).args[0]

    kept = trajectory(0)

    def sampled(path: Any) -> Any:
        return sample.execute(model, adapter, identity, path, attribute, GUIDANCE)

    def ksampler() -> Any:
        return stock.sample(model, 0, 2 * steps, 4.0, "dpmpp_2m_sde", "normal", positive, attribute, latent, 1.0)

    return model.model.diffusion_model, {
        KSAMPLER: ksampler,
        "our two boxes": lambda: sampled(trajectory(0)),
        "our two boxes, one step a call": lambda: sampled(trajectory(1)),
        "our sampler alone (another guidance)": lambda: sampled(kept),
    }


def main(root: str, base: str, steps: int, repeats: int) -> dict[str, Any]:
    nodes = loaded(root, base)
    import comfyui_version
    import torch
    from meter import cost, middle

    torch.set_num_threads(1)
    with torch.inference_mode():
        network, timed = runs(nodes, steps)
        timed[KSAMPLER]()
        rounds = [{name: cost(network, run) for name, run in timed.items()} for _ in range(repeats)]
    rows = {
        name: {
            **asdict(middle([one[name] for one in rounds])),
            "ratio": median(one[name].cpu / one[KSAMPLER].cpu for one in rounds),
        }
        for name in timed
    }
    return {"version": comfyui_version.__version__, "torch": torch.__version__, "rows": rows, "repeats": repeats}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))

"""The golden cases through the real ComfyUI host (its root in $REVPERS_COMFYUI, run by its own interpreter)."""

import os
import sys
from pathlib import Path
from typing import Any

from run import Case, Outcome

ROOT = os.environ["REVPERS_COMFYUI"]
sys.path.insert(0, ROOT)
sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: our folder `nodes` must not hide ComfyUI's module
sys.argv = [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_base  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.utils  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import Timestep  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from revpers_core.adapters import weights as faceid  # noqa: E402
from revpers_core.hosts.comfy import Run  # noqa: E402
from revpers_core.hosts.comfy_adapter import Adapter, adapt  # noqa: E402
from revpers_core.method.guidance import recorded_guidance  # noqa: E402
from revpers_core.method.schedule import sigmas  # noqa: E402
from revpers_core.method.trajectory import REFERENCE, alpha, noise_maps  # noqa: E402
from revpers_core.method.types import Identity  # noqa: E402

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1, 1, 1],
    "channel_mult": [1, 2, 2], "transformer_depth": [0, 1, 2], "transformer_depth_middle": 2,
    "transformer_depth_output": [0, 0, 1, 1, 2, 2], "use_linear_in_transformer": True, "context_dim": 64,
    "adm_in_channels": 80, "num_classes": "sequential", "use_temporal_attention": False, "legacy": False,
    "use_spatial_transformer": True,
}  # fmt: skip


class GoldenSDXL(comfy.supported_models.SDXL):
    unet_extra_config = {"num_heads": -1, "num_head_channels": 16}  # noqa: RUF012


def golden_model(golden: Path, prediction: str) -> Any:
    """The golden UNet as a ModelPatcher."""
    config = GoldenSDXL(UNET)
    config.set_inference_dtype(torch.float32, None)
    kind = comfy.model_base.ModelType.V_PREDICTION if prediction == "v_prediction" else comfy.model_base.ModelType.EPS
    model = comfy.model_base.SDXL(config, model_type=kind, device="cpu")
    model.embedder = Timestep(8)
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    expected = load_file(golden / "tiny_sdxl" / "unet" / "diffusion_pytorch_model.safetensors")
    state = {names[key]: value.float() for key, value in expected.items()}
    model.diffusion_model.load_state_dict(state, strict=True)
    return comfy.model_patcher.ModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


class ComfyUIHost:
    def __init__(self, golden: Path, dtype: str):
        self.golden = golden
        self.weights = faceid.load(golden / "faceid_adapter.safetensors")

    def __call__(self, case: Case) -> Outcome:
        with torch.inference_mode():
            return self.run(case)

    def run(self, case: Case) -> Outcome:
        settings = case.settings
        model = golden_model(self.golden, settings["pred"])
        adapter = Adapter.of(self.weights, settings["ip"])
        adapted = adapt(model, adapter)
        if not settings["lora"]:
            adapted.patches = {}
        scale = model.model.latent_format.scale_factor
        steps = case.tensors["timesteps"].tolist()
        sampling = model.get_model_object("model_sampling")
        run_sigmas = sigmas(steps, lambda t: float(sampling.sigma(torch.tensor([float(t)]))))
        x0 = case.golden("x0") / scale
        noise = list(case.tensors["noise"].flip(0)[:, None])
        inversion = Run(adapted, adapter, *self.conditionings(case, "inv"))
        path = inversion.invert(x0, run_sigmas, noise)
        generation = Run(adapted, adapter, *self.conditionings(case, "gen"))
        instead, identity = (Identity(row[None]) for row in case.identity("gen"))
        nobody = Identity(case.identity("inv")[1:])
        latent = {"samples": x0}
        return Outcome(
            init=path.state(0) * alpha(run_sigmas[0]),
            zs=torch.cat(list(noise_maps(path, recorded_guidance(settings["cfg"])))),
            final=generation.sample(path, latent, identity, settings["cfg"], REFERENCE, instead=instead) * scale,
            null_reset=inversion.sample(path, latent, nobody, settings["cfg"]) * scale,
        )

    def conditionings(self, case: Case, phase: str) -> tuple[list[Any], list[Any]]:
        """(positive, negative) as ComfyUI's nodes hand them on, with the case's sizes."""
        embeds, pooled = case.words(phase)
        names = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
        sizes = [{n: int(v) for n, v in zip(names, row, strict=True)} for row in case.time_ids(phase)]
        uncond, cond = ([[embeds[i : i + 1], {"pooled_output": pooled[i : i + 1], **sizes[i]}]] for i in range(2))
        return cond, uncond

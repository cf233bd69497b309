"""The two sizes that are measured: the pocket model, and SDXL as large as it is, with random weights."""

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LEditsPPPipelineStableDiffusionXL,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from reference import PROJECTIONS, Adapter, with_adapter
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from revpers_core import pocket
from revpers_core.adapters import weights as faceid
from revpers_core.faces import recognise
from revpers_core.hosts.diffusers import ReversePersonalizationPipeline
from revpers_core.hosts.diffusers_files import SDXL_CONFIG, pocket_sdxl, tokenizers
from revpers_core.media import gallery

RANK, TOKENS, HIDDEN = 128, 4, 1024
Config = dict[str, Any]


@dataclass(frozen=True)
class Contest:
    """The same weights four times. loop, merged: UNets with diffusers' own adapter, its LoRA apart and merged.

    image: (1, 3, S, S) in [0, 1].
    """

    name: str
    device: str
    ours: ReversePersonalizationPipeline
    loop: Any
    merged: Any
    ledits: LEditsPPPipelineStableDiffusionXL
    image: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.ours.sdxl.unet.dtype


def pocket_contest() -> Contest:
    """The shipped miniature, in float32 on the CPU."""
    flat = load_file(pocket.ADAPTER)
    adapter: Adapter = {
        part: {key.removeprefix(f"{part}."): value for key, value in flat.items() if key.startswith(f"{part}.")}
        for part in ("image_proj", "ip_adapter")
    }
    return Contest(
        "pocket",
        "cpu",
        ReversePersonalizationPipeline.from_pocket(),
        with_adapter(pocket_sdxl().unet, adapter),
        with_adapter(pocket_sdxl().unet, adapter, merge_lora=True),
        ledits_of(pocket_sdxl()),
        gallery.aligned_face(20, 0)[None],
    )


def random_contest(configs: dict[str, Config], device: str, dtype: torch.dtype) -> Contest:
    """SDXL by configurations of its parts, weights random and made on the device; the pocket's recogniser looks on."""
    sdxl = random_sdxl(configs, device, dtype)
    state = sdxl.unet.state_dict()  # shared by all whose weights stay as they are
    adapter = random_adapter(sdxl.unet)

    def unet(weights: dict[str, Tensor]) -> Any:
        with torch.device("meta"):
            other = UNet2DConditionModel.from_config(configs["unet"])
        other.load_state_dict(weights, assign=True)
        return other.requires_grad_(False).eval()

    other_vae = deepcopy(sdxl.vae)  # LEDITS++ moves it between precisions
    ledits, loop = ledits_of(sdxl, unet=unet(state), vae=other_vae), with_adapter(unet(state), adapter)
    own = {key: value.clone() for key, value in state.items()}
    merged = with_adapter(unet(own), adapter, merge_lora=True)
    face_model = recognise.load(pocket.FACE_MODEL, min_norm=pocket.MIN_NORM)
    ours = ReversePersonalizationPipeline(sdxl, faceid.from_state(adapter), face_model)
    image = gallery.aligned_face(20, 0, ours.size)[None]
    return Contest("SDXL", device, ours, loop, merged, ledits, image)


def sdxl_configs(folder: Path = SDXL_CONFIG) -> dict[str, Config]:
    """SDXL base 1.0's own, by part."""
    parts = ("unet", "vae", "text_encoder", "text_encoder_2")
    configs = {part: json.loads((folder / part / "config.json").read_text()) for part in parts}
    return configs | {"scheduler": json.loads((folder / "scheduler" / "scheduler_config.json").read_text())}


def random_sdxl(configs: dict[str, Config], device: str, dtype: torch.dtype) -> StableDiffusionXLPipeline:
    """With the layers' own initial weights, made on the device: on "meta" at no cost."""
    torch.manual_seed(0)
    with torch.device(device):
        parts = {
            "unet": UNet2DConditionModel.from_config(configs["unet"]),
            "vae": AutoencoderKL.from_config(configs["vae"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"])),
        }
    for part in parts.values():
        part.to(dtype).requires_grad_(False).eval()
    scheduler = EulerDiscreteScheduler.from_config(configs["scheduler"])
    return StableDiffusionXLPipeline(**parts, **tokenizers(), scheduler=scheduler, add_watermarker=False)


def random_adapter(unet: Any) -> Adapter:
    """The two dicts of an IP-Adapter-FaceID file of that UNet's form, small random numbers where it is."""
    context, like = unet.config.cross_attention_dim, next(unet.parameters())

    def random(*shape: int) -> Tensor:
        return 0.02 * torch.randn(*shape, device=like.device, dtype=like.dtype)

    attentions: Iterable[Any] = [unet.get_submodule(n.removesuffix(".processor")) for n in unet.attn_processors]
    layers: dict[str, Tensor] = {}
    for number, attention in enumerate(attentions):
        for name, path in PROJECTIONS.items():
            width, inner = attention.get_submodule(path).weight.shape
            layers[f"{number}.{name}_lora.down.weight"] = random(RANK, inner)
            layers[f"{number}.{name}_lora.up.weight"] = random(width, RANK)
        if number % 2:
            for name in ("to_k_ip", "to_v_ip"):
                layers[f"{number}.{name}.weight"] = random(attention.to_q.weight.shape[0], context)
    projection = {
        "proj.0.weight": random(HIDDEN, 512),
        "proj.0.bias": random(HIDDEN),
        "proj.2.weight": random(TOKENS * context, HIDDEN),
        "proj.2.bias": random(TOKENS * context),
        "norm.weight": 1 + random(context),
        "norm.bias": random(context),
    }
    return {"image_proj": projection, "ip_adapter": layers}


def ledits_of(sdxl: StableDiffusionXLPipeline, **others: Any) -> LEditsPPPipelineStableDiffusionXL:
    """diffusers' own pipeline over the same parts but for ``others``, with its own solver."""
    scheduler = DPMSolverMultistepScheduler.from_config(
        sdxl.scheduler.config, algorithm_type="sde-dpmsolver++", solver_order=2
    )
    parts = {**sdxl.components, **others, "scheduler": scheduler}
    pipeline = LEditsPPPipelineStableDiffusionXL(**parts, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

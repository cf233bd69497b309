"""Which of ComfyUI's models the method runs on, and what an empty prompt is to them."""

from typing import Any

import comfy.model_base
import comfy.sd1_clip
import comfy.supported_models
import torch

Conditioning = list[Any]

COMMON = {"BaseModel": "SD 2 or a relative", "SDXLRefiner": "SDXL's refiner"}
"""What people call a class of ComfyUI's model_base whose name does not say it."""
SIZES = 6
"""Numbers that SDXL is told of sizes and crops, beside the pooled output."""
CHANNELS = {8: "an InstructPix2Pix", 9: "an inpainting"}


def is_sdxl(model: Any) -> bool:
    """Whether the ModelPatcher holds an SDXL network; what else ``check_backbone`` lets pass is SD 1.5."""
    return issubclass(type(model.model), comfy.model_base.SDXL)


def check_backbone(model: Any) -> None:
    """Raise ValueError unless the ModelPatcher holds SDXL or SD 1.5, neither of them for inpainting."""
    kind, config = type(model.model), model.model.model_config
    is_sd15 = kind is comfy.model_base.BaseModel and isinstance(config, comfy.supported_models.SD15)
    if not (is_sdxl(model) or is_sd15):
        raise ValueError(
            f"model: expected SDXL or SD 1.5, got {COMMON.get(kind.__name__, kind.__name__)}: load an SDXL checkpoint "
            "(such as sd_xl_base_1.0.safetensors); SD 2, SDXL's refiner, FLUX and others do not fit an identity adapter"
        )
    if (channels := config.unet_config.get("in_channels", 4)) != 4:
        raise ValueError(
            f"model: this is {CHANNELS.get(channels, 'another')} checkpoint (its UNet takes {channels} channels, not "
            "4): load the model it was made from"
        )


def zero_out(conditioning: Conditioning) -> Conditioning:
    """The same conditioning without a word: zero tensors, as SDXL takes an empty unconditional prompt."""
    return [[torch.zeros_like(embeds), {**rest, **_zero_pooled(rest)}] for embeds, rest in conditioning]


def _zero_pooled(rest: dict[str, Any]) -> dict[str, Any]:
    pooled = rest.get("pooled_output")
    return {} if pooled is None else {"pooled_output": torch.zeros_like(pooled)}


def check_pooled(model: Any, conditioning: Conditioning) -> None:
    """Raise ValueError where SDXL's conditioning lacks the pooled output that its UNet takes, or has another's."""
    if not is_sdxl(model):
        return
    sizes = SIZES * model.model.embedder(torch.zeros(1)).shape[-1]
    wanted = model.model.model_config.unet_config["adm_in_channels"] - sizes
    for _, rest in conditioning:
        pooled = rest.get("pooled_output")
        if pooled is None or pooled.shape[-1] != wanted:
            offered = "no pooled output" if pooled is None else f"a pooled output of width {pooled.shape[-1]}"
            raise ValueError(
                f"the prompt has {offered}, but the model takes one of width {wanted}: connect the clip of the same "
                "checkpoint to 'New Face Looks Like'"
            )


def unconditional(model: Any, positive: Conditioning) -> Conditioning:
    """The unconditional branch without a word. positive: encoded "", which SD 1.5 takes there too; SDXL zeros."""
    return zero_out(positive) if is_sdxl(model) else positive


def wordless(clip: Any, positive: Conditioning) -> Conditioning:
    """As ``unconditional``, for a model that is known by its text encoders alone."""
    return positive if isinstance(clip.cond_stage_model, comfy.sd1_clip.SD1ClipModel) else zero_out(positive)


def has_words(attribute: Conditioning, nothing: Conditioning) -> bool:
    """Whether a conditioning says anything. nothing: the unconditional branch without a word."""
    (words, _), (empty, _) = attribute[0], nothing[0]
    return words.shape != empty.shape or not torch.equal(words, empty)

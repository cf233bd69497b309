"""LoRA files added to a diffusers UNet's weights, whatever names their makers gave the layers."""

from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import convert_unet_state_dict_to_peft
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..adapters.lora import Lora

PAIRS = ((".lora_down.weight", ".lora_up.weight"), (".lora_A.weight", ".lora_B.weight"))
"""Names of a layer's two factors: kohya's, peft's."""


@torch.no_grad()
def add_lora(unet: Any, lora: Lora) -> None:
    """Add strength * (alpha / rank) * up @ down to the weights of an SDXL or SD 1.5 UNet, for good.

    Takes kohya's names (of the original layout's layers or of diffusers'), peft's and diffusers' own. Raises ValueError
    for other files: no LoRA, one of another form or for another model, one that changes text encoders too.
    """
    additions: list[tuple[Any, Tensor]] = []
    for name, (down, up) in _layers(lora, unet.config).items():
        try:
            layer = unet.get_submodule(name)
            delta = (up.float().flatten(1) @ down.float().flatten(1)).view_as(layer.weight)
        except (AttributeError, RuntimeError) as error:
            raise ValueError(f"{lora.path.name} is a LoRA for another model: its layer {name} does not fit") from error
        additions.append((layer, delta))
    for layer, delta in additions:  # none at all where one does not fit
        weight = layer.weight.float() + lora.strength * delta.to(layer.weight.device)
        layer.weight = torch.nn.Parameter(weight.to(layer.weight.dtype), requires_grad=False)


def _layers(lora: Lora, config: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """(down, up) by the UNet's layers, alpha in them."""
    name = lora.path.name
    try:
        state = _scaled(load_file(lora.path), name)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{name} cannot be read as safetensors, the one form of LoRA that is taken: {error}"
        ) from error
    text = [key for key in state if key.startswith(("lora_te", "text_encoder"))]
    if text:
        raise ValueError(
            f"{name} changes the text encoders too ({text[0]}, ...): only LoRAs of the UNet are taken here"
        )
    try:
        found, _ = StableDiffusionXLPipeline.lora_state_dict(state, unet_config=config)
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{name} is no LoRA that diffusers knows: {str(error).strip()[:200]}") from error
    found = convert_unet_state_dict_to_peft({key.removeprefix("unet."): value for key, value in found.items()})
    down, up = ({key.removesuffix(end): value for key, value in found.items() if key.endswith(end)} for end in PAIRS[1])
    if not down or down.keys() != up.keys() or len(down) + len(up) != len(found):
        strange = next((key for key in found if not key.endswith(PAIRS[1])), "half of a layer")
        raise ValueError(f"{name} is no plain LoRA, an up and a down for each layer of the UNet: it holds {strange}")
    return {key: (down[key], up[key]) for key in down}


def _scaled(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The factors with alpha / rank in the first, and no alphas."""
    alphas = {key.removesuffix(".alpha"): float(value) for key, value in state.items() if key.endswith(".alpha")}
    state = {key: value for key, value in state.items() if not key.endswith(".alpha")}
    for layer, alpha in alphas.items():
        keys = [layer + down for down, _ in PAIRS if layer + down in state]
        if not keys:
            raise ValueError(f"{name} is no plain LoRA, an up and a down for each layer: it holds {layer}.alpha alone")
        state[keys[0]] = state[keys[0]].float() * (alpha / len(state[keys[0]]))
    return state

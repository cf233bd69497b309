"""Face networks under ComfyUI's model management: loaded before they run, put off the device when room is needed."""

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from torch import nn

from ..faces.onnx_session import ONNXRUNTIME, Place


def place(provider: str = "auto") -> str | Place:
    """What a provider that is chosen on a node means here, for ``open_network``: "auto" is ComfyUI's own device, "cpu"
    and "cuda" are those, all under its management; "onnxruntime" stays what it is. Raises RuntimeError for "cuda" where
    ComfyUI runs on something else."""
    if provider == ONNXRUNTIME:
        return provider
    device = comfy.model_management.get_torch_device()
    if provider == "cuda" and device.type != "cuda":
        raise RuntimeError(
            f"provider cuda: this ComfyUI runs on {device.type}. Choose auto, which takes ComfyUI's own device, or cpu"
        )
    return Place(torch.device("cpu") if provider == "cpu" else device, _manager(provider))


def _manager(provider: str) -> Callable[[nn.Module], Callable[[], Any]] | None:
    """On the CPU there is nothing to manage."""
    if provider == "cpu":
        return None

    def manage(module: nn.Module) -> Callable[[], Any]:
        patcher = comfy.model_patcher.ModelPatcher(
            module,
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        # All of it: the network is small, and its operations do not fetch weights one by one.
        return lambda: comfy.model_management.load_models_gpu([patcher], force_full_load=True)

    return manage

"""Which weights a ComfyUI model has: the same after it was loaded again, another for another checkpoint or LoRA."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .comfy_adapter import Adapter

TAKEN = 32
"""Values that are looked at of each tensor, spread over it."""


def fingerprint(model: Any, adapter: Adapter) -> str:
    """Hexadecimal digest of a ModelPatcher's weights, its LoRAs with their strengths, how it is sampled, and an
    adapter. A few values of every tensor stand for it.

    ComfyUI's own ``patches_uuid`` is drawn anew whenever a checkpoint is loaded; trajectories may outlive that.
    """
    digest = hashlib.sha256()
    originals = {**model.hook_backup, **model.backup}  # what LoRAs that are loaded now have written over
    weights = dict(model.model.diffusion_model.named_parameters())
    for name in weights:
        held = originals.get(f"diffusion_model.{name}", weights[name])
        weights[name] = held if isinstance(held, Tensor) else held[0]
    _add(digest, weights)
    _add(digest, model.patches)
    _add(digest, _injected(model))
    sampling = model.get_model_object("model_sampling")
    _add(digest, [kind.__name__ for kind in type(sampling).__mro__])
    _add(digest, [float(sampling.sigma_min), float(sampling.sigma_max)])
    _add(digest, [adapter.weights.kind.name, adapter.strength, adapter.control_strength])
    _add(digest, [adapter.weights.image_proj, adapter.weights.ip_adapter])
    return digest.hexdigest()


def hooks_fingerprint(conditioning: list[Any]) -> str:
    """Hexadecimal digest of the LoRAs that travel with a conditioning: their weights, strengths and schedules."""
    digest = hashlib.sha256()
    for _, rest in conditioning:
        hooks = rest["hooks"].hooks if rest.get("hooks") else []
        for hook in sorted(hooks, key=lambda hook: type(hook).__name__):
            keyframes = [[frame.strength, frame.start_percent] for frame in hook.hook_keyframe.keyframes]
            strength = getattr(hook, "strength_model", None)
            _add(digest, [type(hook).__name__, strength, getattr(hook, "weights", None), keyframes])
    return digest.hexdigest()


def _injected(model: Any) -> dict[str, Any]:
    """The LoRAs that ComfyUI's bypass loader hangs into layers, where ``patches`` knows nothing of them: by layer, each
    with its strength. They are held by the function that injects them."""
    injections = [(name, each) for name, several in model.injections.items() for each in several]
    held = [
        (name, number, getattr(cell.cell_contents, "adapters", {}))
        for number, (name, each) in enumerate(injections)
        for cell in getattr(each.inject, "__closure__", None) or ()
    ]
    return {f"{name} {number} {layer}": lora for name, number, layers in held for layer, lora in layers.items()}


def _add(digest: Any, value: Any) -> None:
    """Feed a nest of tensors, numbers and names to the digest; what else patches hold (functions) is left out."""
    tensors: list[Tensor] = []
    for leaf in _leaves(value):
        if isinstance(leaf, Tensor):
            flat = leaf.detach().flatten()
            tensors.append(flat[:: max(1, len(flat) // TAKEN)].float())
            leaf = tuple(leaf.shape)
        digest.update(f"{leaf};".encode())
    for device in {tensor.device for tensor in tensors}:  # one transfer each, not one a tensor
        joined = torch.cat([tensor for tensor in tensors if tensor.device == device])
        digest.update(joined.cpu().numpy().tobytes())


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield str(name)
            yield from _leaves(value[name])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, (Tensor, str, int, float)):
        yield value
    elif hasattr(value, "weights"):  # ComfyUI's LoRA, LoHa, LoKr, OFT ...
        yield type(value).__name__
        yield from _leaves(value.weights)

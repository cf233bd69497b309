"""An identity adapter in ComfyUI: its LoRA and attention on a cloned model, keys and values made once a run."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.ops
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers.torch_compile import COMPILE_KEY, TORCH_COMPILE_KWARGS
from torch import Tensor

from ..adapters.attention import AdapterModules, add_identity, rows
from ..adapters.clip import FaceVision
from ..adapters.kinds import CLIP_FILE, CLIP_WIDTH, CONTROL_STRENGTH
from ..adapters.layout import Depths, Slot, slots
from ..adapters.weights import PROJECTIONS, AdapterWeights
from ..method.types import Identity
from .comfy_backbone import check_backbone
from .comfy_inversions import Inversions

IDENTITY_KV = "revpers_identities"
"""Where a call's identities travel: transformer_options[IDENTITY_KV] = (cond, uncond), each an IdentityKV."""

IdentityKV = tuple[tuple[Tensor, Tensor], ...]
"""An identity's keys and values by slot, each (B or 1, T, inner)."""


@dataclass(frozen=True)
class Adapter:
    """An identity adapter. It stays in the machine's memory: all that the network needs of it is made once a run.

    strength: weight of the identity's attention, 1 as in the paper. uuid: changes with the weights. vision: what
    adapters with CLIP look through. control_net: InstantID's, with its strength. inversions: of the last run.
    """

    weights: AdapterWeights
    modules: AdapterModules
    strength: float
    uuid: uuid.UUID
    vision: FaceVision | None = None
    control_net: Any = None
    control_strength: float = CONTROL_STRENGTH
    inversions: Inversions = field(default_factory=Inversions, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        weights: AdapterWeights,
        strength: float = 1.0,
        clip_vision: Any = None,
        control_net: Any = None,
        control_strength: float = CONTROL_STRENGTH,
    ) -> "Adapter":
        """clip_vision: ComfyUI's CLIP_VISION, for kinds that look through it. control_net: its CONTROL_NET, for kinds
        that were made with one. Raises ValueError where the first is missing or the second does not belong."""
        if control_net is not None and not weights.kind.control:
            raise ValueError(
                f"control_net: it belongs to InstantID, but this adapter is {weights.kind.name}: take it out"
            )
        if weights.kind.clip and clip_vision is None:
            raise ValueError(
                f"clip_vision: {weights.kind.name} looks at the face through CLIP ViT-H: connect 'Load CLIP Vision' "
                f"with {CLIP_FILE}"
            )
        vision = face_vision(clip_vision) if weights.kind.clip else None
        modules = AdapterModules(weights, comfy.ops.manual_cast)
        modules.load_state_dict(AdapterModules.state(weights), assign=True)
        return cls(
            weights, modules.eval().requires_grad_(False), strength, uuid.uuid4(), vision, control_net, control_strength
        )

    def identity_kv(self, identity: Identity, device: torch.device, dtype: torch.dtype) -> IdentityKV:
        """Keys and values for every slot: 3 MB a face for SDXL in float32; the weights take 1.4 GB."""
        tokens = self.modules.tokens(identity, torch.zeros(()), self.vision)
        projected = (kv(tokens) for kv in self.modules.kv)
        return tuple((keys.to(device, dtype), values.to(device, dtype)) for keys, values in projected)


def face_vision(clip_vision: Any) -> FaceVision:
    """ComfyUI's CLIP_VISION as adapters look through it: pixels as they are, where its own ``encode_image`` rounds them
    to 8 bits."""

    def encode(pixels: Tensor) -> Tensor:
        comfy.model_management.load_model_gpu(clip_vision.patcher)
        return (
            clip_vision.model(pixel_values=pixels.to(clip_vision.load_device), intermediate_output=-2)[1].float().cpu()
        )

    if (width := clip_vision.model.vision_model.embeddings.class_embedding.shape[-1]) != CLIP_WIDTH:
        raise ValueError(
            f"clip_vision: adapters look through CLIP ViT-H of width {CLIP_WIDTH}, not {width}: load {CLIP_FILE}"
        )
    return FaceVision(encode)


class IdentityAttention:
    """An attn2 patch: whatever attended here before, plus the adapter's attention to the call's identities."""

    def __init__(self, adapter: Adapter, slot: Slot, before: Callable[..., Tensor] | None):
        self.adapter, self.slot, self.before = adapter, slot, before

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict[str, Any]) -> Tensor:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return optimized_attention(
                q,
                k,
                v,
                extra_options["n_heads"],
                attn_precision=extra_options["attn_precision"],
                transformer_options=extra_options,
            )

        text = self.before(q, k, v, extra_options) if self.before else attend(q, k, v)
        branches = extra_options["cond_or_uncond"]
        each = [extra_options[IDENTITY_KV][branch][self.slot.number] for branch in branches]
        keys, values = (rows(branch_rows, len(q) // len(branches)).to(q) for branch_rows in zip(*each, strict=True))
        return add_identity(text, attend, q, (keys, values), self.adapter.strength)

    def models(self) -> list[Any]:
        """What another pack's patch in there wants loaded."""
        models = getattr(self.before, "models", None)
        return models() if models else []

    def to(self, device_or_dtype: Any) -> "IdentityAttention":
        """The same, another pack's patch in there moved."""
        move = getattr(self.before, "to", None)
        return IdentityAttention(self.adapter, self.slot, move(device_or_dtype)) if move else self


def unet_depths(config: dict[str, Any]) -> Depths:
    """Depths of a ComfyUI UNet config, which lists blocks flat: the down path forwards, the up path backwards."""
    residuals = config["num_res_blocks"]
    down, up = list(config["transformer_depth"]), list(config["transformer_depth_output"])
    return Depths(
        tuple(tuple(down.pop(0) for _ in range(n)) for n in residuals),
        config["transformer_depth_middle"],
        tuple(tuple(up.pop() for _ in range(n + 1)) for n in reversed(residuals)),
    )


def compute_dtype(model: Any) -> torch.dtype:
    """The dtype in which a ModelPatcher's network computes."""
    return model.model.manual_cast_dtype or model.model_dtype()


def is_plain(adapted: Any) -> bool:
    """Whether nothing but our adapter is patched into the network's calls; what else is there may look at the level."""
    transformer = dict(adapted.model_options["transformer_options"])
    replaced = transformer.pop("patches_replace", {})
    ours_only = all(
        isinstance(patch, IdentityAttention) and not patch.before for patch in replaced.get("attn2", {}).values()
    )
    return ours_only and set(replaced) <= {"attn2"} and not any(transformer.values()) and guides_plainly(adapted)


def guides_plainly(adapted: Any) -> bool:
    """Whether nothing but the formula makes one prediction of the two branches."""
    wrapped = (*adapted.wrappers.values(), adapted.hook_patches)
    return set(adapted.model_options) <= {"transformer_options"} and not any(wrapped)


def adapt(model: Any, adapter: Adapter) -> Any:
    """A clone of the ModelPatcher with the adapter's LoRA and identity attention; the given one stays untouched.

    Raises ValueError for other models than SDXL and SD 1.5, and where the adapter is made for another.
    """
    check_backbone(model)
    config = model.model.model_config.unet_config
    table = slots(unet_depths(config))
    adapter.weights.check_fits(len(table), config["context_dim"])
    adapted = uncompiled(model.clone())
    if adapter.weights.kind.lora:
        lora, keys = _lora(adapter.weights, table)
        adapted.add_patches(comfy.lora.load_lora(lora, keys), 1.0)
    # The same model, patches and adapter always are the same weights: ComfyUI need not load them again in between.
    adapted.patches_uuid = uuid.uuid5(model.patches_uuid, str(adapter.uuid))
    replacements = model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    for slot in table:
        before = replacements.get(slot.block, replacements.get(slot.block[:2]))
        adapted.set_model_attn2_replace(IdentityAttention(adapter, slot, before), *slot.block)
    return adapted


def uncompiled(adapted: Any) -> Any:
    """The ModelPatcher without TorchCompileModel's wrapper, in whose compiled blocks what transformer_options says is
    constant: one block's patches and the first call's identities would stand for all, and lead away from nobody."""
    compiled = adapted.get_wrappers(WrappersMP.APPLY_MODEL, COMPILE_KEY)
    if compiled:
        adapted.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, COMPILE_KEY)
        adapted.model_options.pop(TORCH_COMPILE_KWARGS, None)
        logging.warning("TorchCompileModel is left out: compiled, the model would not listen to identities")
    return adapted


def _lora(weights: AdapterWeights, table: tuple[Slot, ...]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The LoRA inside the file in the form that ComfyUI loads, and the model's keys it belongs to."""
    lora: dict[str, Tensor] = {}
    keys: dict[str, str] = {}
    for slot in table:
        for attention in (1, 2):
            for projection in PROJECTIONS:
                stem = f"{slot.ldm}.attn{attention}.{projection}"
                down, up = weights.lora(slot.number, attention, projection)
                lora |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
                layer = f"{stem}.0" if projection == "to_out" else stem
                keys[stem] = f"diffusion_model.{layer}.weight"
    return lora, keys

"""The UNet of SDXL or SD 1.5 as diffusers builds it, seen by the core: the adapter's attention, both branches, an x0
prediction."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ..adapters.attention import AdapterModules, KVProjection, add_identity, rows
from ..adapters.clip import FaceVision
from ..adapters.layout import Depths, Slot, slots
from ..adapters.weights import PROJECTIONS, AdapterWeights
from ..method.trajectory import Branches, Need, alpha, to_state
from ..method.types import Identity
from .diffusers_control import Control

KeysValues = tuple[Tensor, Tensor]


class BranchConditions:
    """What the cross-attentions read in a run: words and identities, by branch (uncond, cond).

    Their keys and values are the same at every step, so they are made when a slot first asks, where the UNet's weights
    are at that time, and kept until the run ends.
    """

    def __init__(self, context: Tensor, tokens: tuple[Tensor, Tensor]):
        """context: (2, 77, C). tokens: two of (B or 1, T, C)."""
        self.context, self.tokens = context.split(1), tokens
        self._keys_and_values: dict[Any, list[tuple[KeysValues, KeysValues]]] = {}

    def keys_and_values(self, slot: Any, make: Callable[[Tensor, Tensor], tuple[KeysValues, KeysValues]]) -> Any:
        """(words', identities') keys and values of a slot, for each branch."""
        if slot not in self._keys_and_values:
            self._keys_and_values[slot] = [make(*branch) for branch in zip(self.context, self.tokens, strict=True)]
        return self._keys_and_values[slot]


class UNetCall(NamedTuple):
    """A call of the UNet: for each of these branches ``batch`` rows."""

    conditions: BranchConditions
    branches: tuple[int, ...]
    batch: int


class FaceIDProcessor(nn.Module):
    """Attention with the adapter's LoRA and, in cross-attention, its identity tokens.

    Words and tokens travel with the call (``cross_attention_kwargs={"call": ...}``): the UNet keeps none.
    """

    def __init__(self, lora: dict[str, tuple[Tensor, Tensor]], kv: KVProjection | None, scale: float):
        super().__init__()
        self.lora = nn.ModuleDict({name: _Lora(*pair) for name, pair in lora.items()})
        self.kv, self.scale = kv, scale

    def __call__(
        self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, *,
        call: UNetCall | None = None,
    ):  # fmt: skip
        if attention_mask is not None:
            raise ValueError(
                "attention masks are not part of SDXL and not supported: call the UNet without encoder_attention_mask"
            )

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k, v = (t.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for t in (q, k, v))
            return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

        def words(context: Tensor) -> KeysValues:
            return self._project("to_k", attn.to_k, context), self._project("to_v", attn.to_v, context)

        q = self._project("to_q", attn.to_q, hidden_states)
        kv = self.kv
        if call is None or kv is None:
            out = attend(q, *words(hidden_states if encoder_hidden_states is None else encoder_hidden_states))
        else:
            keys_values = call.conditions.keys_and_values(self, lambda text, ids: (words(text.to(q)), kv(ids.to(q))))
            text, identity = zip(*(keys_values[branch] for branch in call.branches), strict=True)
            out = attend(q, *(rows(branch_rows, call.batch) for branch_rows in zip(*text, strict=True)))
            identity_kv = [rows(branch_rows, call.batch) for branch_rows in zip(*identity, strict=True)]
            out = add_identity(out, attend, q, (identity_kv[0], identity_kv[1]), self.scale)
        return self._project("to_out", attn.to_out[0], out)

    def _project(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x) + self.lora[name](x) if name in self.lora else layer(x)


class _Lora(nn.Module):
    def __init__(self, down: Tensor, up: Tensor):
        super().__init__()
        self.down, self.up = nn.Parameter(down, requires_grad=False), nn.Parameter(up, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.down.T @ self.up.T


def unet_slots(unet: Any) -> tuple[Slot, ...]:
    """The slot table of a diffusers UNet2DConditionModel."""
    config = unet.config
    levels = len(config.block_out_channels)
    layers = (
        config.layers_per_block if isinstance(config.layers_per_block, list) else [config.layers_per_block] * levels
    )
    depth = config.transformer_layers_per_block
    depth = list(depth) if isinstance(depth, (list, tuple)) else [depth] * levels
    down = tuple(
        (depth[i] if "CrossAttn" in kind else 0,) * layers[i] for i, kind in enumerate(config.down_block_types)
    )
    up = tuple(
        (depth[::-1][i] if "CrossAttn" in kind else 0,) * (layers[::-1][i] + 1)
        for i, kind in enumerate(config.up_block_types)
    )
    return slots(Depths(down, depth[-1], up))


@dataclass(frozen=True)
class Adapted:
    """A UNet with the adapter in it; ``eject`` gives the UNet back as it was. vision: what adapters with CLIP look
    through."""

    unet: Any
    modules: AdapterModules
    before: dict[str, Any]
    vision: FaceVision | None = None

    @classmethod
    def inject(
        cls, unet: Any, weights: AdapterWeights, scale: float = 1.0, lora: bool = True, vision: FaceVision | None = None
    ) -> "Adapted":
        """Give every attention of the UNet the adapter's processor. lora=False leaves the file's LoRA out (parity)."""
        if weights.kind.clip and vision is None:
            raise ValueError(
                f"adapter: {weights.kind.name} looks at the face through CLIP ViT-H: name its folder or file"
            )
        table = unet_slots(unet)
        weights.check_fits(len(table), unet.config.cross_attention_dim)
        before = dict(unet.attn_processors)
        with torch.device("meta"):  # else random weights would be made first, in float32
            modules = AdapterModules(weights)
        modules = modules.to(unet.dtype).to_empty(device=unet.device).requires_grad_(False)
        modules.load_state_dict(AdapterModules.state(weights))
        for slot in table:
            block = unet.get_submodule(slot.diffusers)
            for attention, kv in ((1, None), (2, modules.kv[slot.number])):
                pairs = (
                    {p: weights.lora(slot.number, attention, p) for p in PROJECTIONS}
                    if lora and weights.kind.lora
                    else {}
                )
                processor = FaceIDProcessor(pairs, kv, scale).to(unet.device, unet.dtype)
                getattr(block, f"attn{attention}").set_processor(processor)
        return cls(unet, modules, before, vision)

    def eject(self) -> Any:
        self.unet.set_attn_processor(self.before)
        return self.unet

    def tokens(self, identity: Identity) -> Tensor:
        """Identity tokens (B, T, C)."""
        return self.modules.tokens(identity, next(self.modules.parameters()), self.vision)


@dataclass(frozen=True)
class Conditions:
    """A UNet's conditioning, row 0 unconditional, row 1 conditional.

    embeds: (2, 77, C). pooled: (2, P). time_ids: (2, 6); both None for SD 1.5, which takes none. tokens: two of (B
    or 1, T, C).
    """

    embeds: Tensor
    pooled: Tensor | None
    time_ids: Tensor | None
    tokens: tuple[Tensor, Tensor]


BRANCHES = {Need.BOTH: (0, 1), Need.UNCOND: (0,), Need.COND: (1,)}


def unet_branches(
    unet: Any,
    conditions: Conditions,
    levels: list[float],
    v_prediction: bool = False,
    device: torch.device | None = None,
    control: Control | None = None,
) -> Branches:
    """The core's view of a UNet: both branches in one call. ``levels``: sigma of every training timestep. device: where
    it computes, if its weights lie elsewhere in between. control: a ControlNet that reads the identities' tokens.

    Predictions come in float32, or float64 where the network computes in it.
    """
    dtype, device = torch.promote_types(unet.dtype, torch.float32), device or unet.device
    branch_conditions = BranchConditions(conditions.embeds, conditions.tokens)
    embeds = conditions.embeds.to(device, unet.dtype)
    named = {"text_embeds": conditions.pooled, "time_ids": conditions.time_ids}
    added = {name: tensor.to(device, unet.dtype) for name, tensor in named.items() if tensor is not None}

    @torch.inference_mode()
    def branches(x: Tensor, sigma: float | Tensor, need: Need = Need.BOTH) -> tuple[Tensor, Tensor]:
        batch, needed = x.shape[0], BRANCHES[need]
        level = sigma[:, None, None, None].to(x.device, non_blocking=True) if isinstance(sigma, Tensor) else sigma
        fed = (x * alpha(level)).to(device, unet.dtype)

        def needed_rows(both: Tensor) -> Tensor:
            return both[needed[0] : needed[-1] + 1].repeat_interleave(batch, 0)

        fed, times = torch.cat([fed] * len(needed)), _timesteps(sigma, levels, batch, device).repeat(len(needed))
        added_conditions = {name: needed_rows(tensor) for name, tensor in added.items()}
        residuals = (
            control.residuals(fed, times, [branch_conditions.tokens[i] for i in needed], batch, added_conditions)
            if control
            else {}
        )
        raw = unet(
            fed,
            times,
            encoder_hidden_states=needed_rows(embeds),
            added_cond_kwargs=added_conditions,
            cross_attention_kwargs={"call": UNetCall(branch_conditions, needed, batch)},
            return_dict=False,
            **residuals,
        )[0]
        predictions = [
            x0_prediction(x, prediction, level, v_prediction).to(raw.device, dtype)
            for prediction in to_state(raw, x.device).chunk(len(needed))
        ]
        return predictions[0], predictions[-1]

    return branches


def x0_prediction(x: Tensor, raw: Tensor, sigma: float | Tensor, v_prediction: bool) -> Tensor:
    """The network's raw output (noise, or v: arXiv:2202.00512) as a prediction of x0, in sigma space."""
    return x * alpha(sigma) ** 2 - raw * (sigma * alpha(sigma)) if v_prediction else x - sigma * raw


def _timesteps(sigma: float | Tensor, levels: list[float], batch: int, device: torch.device) -> Tensor:
    """The training timesteps (B,) of the rows; made on the device, since a copy would wait for it."""
    if isinstance(sigma, Tensor):
        timesteps = torch.tensor([timestep_of(level, levels) for level in sigma.tolist()])
        return timesteps.to(device, non_blocking=True)
    return torch.full((batch,), timestep_of(sigma, levels), device=device)


def timestep_of(sigma: float, levels: list[float]) -> int:
    """The training timestep whose level is nearest to ``sigma``."""
    i = bisect_left(levels, sigma)
    return min((j for j in (i - 1, i) if 0 <= j < len(levels)), key=lambda j: abs(levels[j] - sigma))

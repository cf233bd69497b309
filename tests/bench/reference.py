"""A yardstick that shares no code with revpers_core: the paper's loop, plainly, over diffusers' UNet and adapter.

Written from docs/how_it_works.md and the papers, in variance-preserving coordinates x = a x0 + s n (ours has a
coordinate of its own). Two branches a step, 100 + 100 steps: 400 evaluations an image, as in the paper's code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TRAIN_STEPS = 1000
PROJECTIONS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
Adapter = Mapping[str, Mapping[str, Tensor]]
Network = Callable[[Tensor, int], Tensor]
"""(x, timestep) -> guided noise prediction; x is (1, 4, h, w)."""


@dataclass(frozen=True)
class Words:
    """Row 0 unconditional, row 1 conditional. embeds: (2, 77, C). pooled: (2, P). time_ids: (2, 6)."""

    embeds: Tensor
    pooled: Tensor
    time_ids: Tensor


@dataclass(frozen=True)
class Settings:
    """as_shipped: with the oddities of the paper's code (history kept from the inversion, a last step of first order in
    short runs)."""

    steps: int = 100
    skip: float = 0.7
    guidance: float = -10.0
    as_shipped: bool = True


class WithLora(nn.Module):
    """A layer and its low-rank change beside it, as PEFT computes it."""

    def __init__(self, layer: nn.Module, down: Tensor, up: Tensor):
        super().__init__()
        self.layer = layer
        self.down, self.up = nn.Parameter(down, requires_grad=False), nn.Parameter(up, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + nn.functional.linear(nn.functional.linear(x, self.down), self.up)


def with_adapter(unet: Any, adapter: Adapter, merge_lora: bool = False, scale: float = 1.0) -> Any:
    """The UNet with the adapter loaded by diffusers itself, and the file's LoRA, which diffusers leaves to PEFT."""
    owners = [name.removesuffix(".processor") for name in unet.attn_processors]
    unet._load_ip_adapter_weights([adapter], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]
    for number, owner in enumerate(owners):
        attention = unet.get_submodule(owner)
        for name, path in PROJECTIONS.items():
            layer = attention.get_submodule(path)
            down, up = (
                adapter["ip_adapter"][f"{number}.{name}_lora.{part}.weight"].to(layer.weight) for part in ("down", "up")
            )
            if merge_lora:
                layer.weight.data += up @ down
            else:
                attention.set_submodule(path, WithLora(layer, down, up))
    return unet


def network(unet: Any, words: Words, identity: Tensor, guidance: float) -> Network:
    """Both branches in one call; only the conditional one meets the identity (1, 512)."""
    embeddings = torch.cat([torch.zeros_like(identity), identity])[:, None].to(unet.device, unet.dtype)
    embeds, pooled, time_ids = (t.to(unet.device, unet.dtype) for t in (words.embeds, words.pooled, words.time_ids))

    def guided(x: Tensor, timestep: int) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": time_ids, "image_embeds": [embeddings]}
        fed = torch.cat([x, x]).to(unet.dtype)
        uncond, cond = unet(fed, timestep, embeds, added_cond_kwargs=added, return_dict=False)[0].to(x.dtype).chunk(2)
        return uncond + guidance * (cond - uncond)

    return guided


class Solver:
    """SDE-DPM-Solver++(2M), midpoint (arXiv:2211.01095), with the history that the paper's code keeps."""

    def __init__(self, timesteps: Sequence[int]):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
        kept = torch.cumprod(1 - betas, 0)[[*timesteps, 0]]
        self.a, self.s = kept.sqrt().tolist(), (1 - kept).sqrt().tolist()
        self.log_snr = (kept.log() / 2 - (1 - kept).log() / 2).tolist()
        self.history: list[tuple[Tensor, float]] = []

    def law(self, k: int, x: Tensor, noise: Tensor, first_order: bool = False) -> tuple[Tensor, float]:
        """Mean and spread of the state after step k, given the predicted noise in the state x."""
        x0 = (x - self.s[k] * noise) / self.a[k]
        h = torch.tensor(self.log_snr[k + 1] - self.log_snr[k], dtype=torch.float64)
        shrink, grow = float((-h).exp()), float(1 - (-2 * h).exp())
        mean = self.s[k + 1] / self.s[k] * shrink * x + self.a[k + 1] * grow * x0
        if self.history and not first_order:
            last, at = self.history[-1]
            mean = mean + 0.5 * self.a[k + 1] * grow * (x0 - last) * float(h) / (self.log_snr[k] - at)
        self.history = [(x0, self.log_snr[k])]
        return mean, self.s[k + 1] * grow**0.5


def timesteps(settings: Settings) -> list[int]:
    """Falling, evenly spread below the skipped part."""
    top = TRAIN_STEPS - TRAIN_STEPS * settings.skip - 1
    return torch.linspace(top, 1, settings.steps, dtype=torch.float64).trunc().int().tolist()


@torch.no_grad()
def run(inverting: Network, sampling: Network, x0: Tensor, noise: Sequence[Tensor], settings: Settings) -> Tensor:
    """Clean latents (1, 4, h, w) to those of somebody else. noise: one (1, 4, h, w) a step, in falling timesteps."""
    steps = timesteps(settings)
    solver = Solver(steps)
    states = [solver.a[k] * x0 + solver.s[k] * noise[k].to(x0) for k in range(settings.steps)] + [x0]
    maps = []
    for k, t in enumerate(steps):
        mean, spread = solver.law(k, states[k], inverting(states[k], t))
        maps.append((states[k + 1] - mean) / spread)
        states[k + 1] = mean + spread * maps[k]  # what the maps lead to, so that errors do not add up
    if not settings.as_shipped:
        solver.history = []
    x = states[0]
    for k, t in enumerate(steps):
        last = settings.as_shipped and settings.steps < 15 and k == settings.steps - 1
        mean, spread = solver.law(k, x, sampling(x, t), first_order=last)
        x = mean + spread * maps[k]
    return x

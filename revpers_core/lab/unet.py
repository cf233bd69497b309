"""SDXL's UNet in small, under the names that its single-file checkpoints use (LDM's), open to the FaceID adapter."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .adapter import Adapter, CrossPatch, Patch

GROUPS = 8
HEAD = 16  # channels a head
WIDTH = 32
MULT = (1, 2, 4)
DEPTHS = (0, 1, 1)  # transformer blocks after each residual block of a level
BLOCKS = 2
CONTEXT = 64
POOLED = 32
IDS = 256  # Fourier features of each of the six size numbers


def timestep_embedding(t: Tensor, dim: int) -> Tensor:
    """Fourier features (N, dim) of numbers (N,): cosines first, then sines, periods up to 10000 (DDPM's)."""
    frequencies = torch.exp(torch.arange(dim // 2, device=t.device) * (-math.log(10000) / (dim // 2)))
    angles = t[:, None].float() * frequencies
    return torch.cat((angles.cos(), angles.sin()), -1)


def label(pooled: Tensor, time_ids: Tensor) -> Tensor:
    """SDXL's vector condition (B, POOLED + 6 * IDS): pooled text (B, POOLED), then the Fourier features of
    (height, width, crop top, crop left, target height, target width), (B, 6) pixels."""
    return torch.cat((pooled, timestep_embedding(time_ids.flatten(), IDS).view(len(time_ids), -1)), 1)


class ResBlock(nn.Module):
    def __init__(self, entry: int, exit: int, embedding: int):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(GROUPS, entry), nn.SiLU(), nn.Conv2d(entry, exit, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, exit))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, exit), nn.SiLU(), nn.Identity(), _zero(nn.Conv2d(exit, exit, 3, padding=1))
        )
        self.skip_connection = nn.Conv2d(entry, exit, 1) if entry != exit else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    """Multi-head attention of x (B, N, C) to context (B, M, C'), with the adapter's patch of its projections."""

    def __init__(self, width: int, context: int):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x: Tensor, context: Tensor, patch: Patch | None = None, tokens: Tensor | None = None) -> Tensor:
        def project(name: str, x: Tensor) -> Tensor:
            layer = self.get_submodule("to_out.0" if name == "to_out" else name)
            assert isinstance(layer, nn.Linear)
            return F.linear(x, layer.weight if patch is None else layer.weight + patch.delta(name), layer.bias)

        q = project("to_q", x)
        out = _attend(q, project("to_k", context), project("to_v", context))
        if isinstance(patch, CrossPatch) and tokens is not None:
            out = out + _attend(q, patch.to_k_ip(tokens), patch.to_v_ip(tokens))
        return project("to_out", out)


class GEGLU(nn.Module):
    def __init__(self, entry: int, exit: int):
        super().__init__()
        self.proj = nn.Linear(entry, 2 * exit)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attn1 = Attention(width, width)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, CONTEXT)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.slot = -1  # numbered by the UNet, in the adapter's order

    def forward(self, x: Tensor, context: Tensor, adapter: Adapter | None, tokens: Tensor | None) -> Tensor:
        own, cross = (None, None) if adapter is None else adapter.pair(self.slot)
        y = self.norm1(x)
        x = x + self.attn1(y, y, own)
        x = x + self.attn2(self.norm2(x), context, cross, tokens)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, width: int, depth: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList(TransformerBlock(width) for _ in range(depth))
        self.proj_out = _zero(nn.Linear(width, width))

    def forward(self, x: Tensor, context: Tensor, adapter: Adapter | None, tokens: Tensor | None) -> Tensor:
        h = self.proj_in(self.norm(x).flatten(2).mT)
        for block in self.transformer_blocks:
            h = block(h, context, adapter, tokens)
        return x + self.proj_out(h).mT.unflatten(2, x.shape[2:])


class Downsample(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """Predicts the noise in latents. Its state dict, under ``model.diffusion_model.``, is a checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        embedding = 4 * WIDTH
        self.time_embed = nn.Sequential(nn.Linear(WIDTH, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        entry = POOLED + 6 * IDS
        self.label_emb = nn.Sequential(
            nn.Sequential(nn.Linear(entry, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        )
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Conv2d(4, WIDTH, 3, padding=1)])])
        width, skips = WIDTH, [WIDTH]
        for level, mult in enumerate(MULT):
            for _ in range(BLOCKS):
                self.input_blocks.append(_stage(width, mult * WIDTH, embedding, DEPTHS[level]))
                width = mult * WIDTH
                skips.append(width)
            if level < len(MULT) - 1:
                self.input_blocks.append(nn.ModuleList([Downsample(width)]))
                skips.append(width)
        self.middle_block = nn.ModuleList(
            [ResBlock(width, width, embedding), SpatialTransformer(width, 1), ResBlock(width, width, embedding)]
        )
        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(MULT))):
            for i in range(BLOCKS + 1):
                stage = _stage(width + skips.pop(), mult * WIDTH, embedding, DEPTHS[level])
                width = mult * WIDTH
                if level and i == BLOCKS:
                    stage.append(Upsample(width))
                self.output_blocks.append(stage)
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, WIDTH), nn.SiLU(), _zero(nn.Conv2d(WIDTH, 4, 3, padding=1)))
        for slot, block in enumerate(self.transformers()):
            block.slot = slot

    def transformers(self) -> list[TransformerBlock]:
        """Every transformer block in the adapter's order: down, up, then the middle."""
        parts = (self.input_blocks, self.output_blocks, self.middle_block)
        return [m for section in parts for m in section.modules() if isinstance(m, TransformerBlock)]

    def slots(self) -> list[int]:
        """Width of each transformer block, in the adapter's order."""
        return [block.norm1.normalized_shape[0] for block in self.transformers()]

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        y: Tensor,
        adapter: Adapter | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        """Noise (B, 4, H, W) in x (B, 4, H, W) at timesteps t (B,).

        context: (B, 77, CONTEXT) text; y: (B, POOLED + 6 * IDS) from `label`; tokens: (B, 4, CONTEXT) of the adapter.
        """
        emb = self.time_embed(timestep_embedding(t, WIDTH)) + self.label_emb(y)

        def run(stage: nn.Module, h: Tensor) -> Tensor:
            for layer in stage.children():
                if isinstance(layer, ResBlock):
                    h = layer(h, emb)
                elif isinstance(layer, SpatialTransformer):
                    h = layer(h, context, adapter, tokens)
                else:
                    h = layer(h)
            return h

        skips: list[Tensor] = []
        for stage in self.input_blocks:
            x = run(stage, x)
            skips.append(x)
        x = run(self.middle_block, x)
        for stage in self.output_blocks:
            x = run(stage, torch.cat((x, skips.pop()), 1))
        return self.out(x)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.unflatten(-1, (-1, HEAD)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _stage(entry: int, exit: int, embedding: int, depth: int) -> nn.ModuleList:
    layers: list[nn.Module] = [ResBlock(entry, exit, embedding)]
    return nn.ModuleList(layers + [SpatialTransformer(exit, depth)] * (depth > 0))


def _zero(module: nn.Module) -> nn.Module:
    for p in module.parameters():
        nn.init.zeros_(p)
    return module

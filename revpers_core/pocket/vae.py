"""SDXL's autoencoder in small (f = 8, 4 channels), under LDM's names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
WIDTH = 16
MULT = (1, 2, 4, 4)
CHANNELS = 4
SCALING = 0.13025  # SDXL's; `bake` fits the latents to it


class ResnetBlock(nn.Module):
    def __init__(self, entry: int, exit: int):
        super().__init__()
        self.norm1 = _norm(entry)
        self.conv1 = nn.Conv2d(entry, exit, 3, padding=1)
        self.norm2 = _norm(exit)
        self.conv2 = nn.Conv2d(exit, exit, 3, padding=1)
        if entry != exit:
            self.nin_shortcut = nn.Conv2d(entry, exit, 1)
        self.same = entry == exit

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self.same else self.nin_shortcut(x)) + h


class AttnBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).flatten(2).mT for layer in (self.q, self.k, self.v))
        return x + self.proj_out(F.scaled_dot_product_attention(q, k, v).mT.unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.block_1 = ResnetBlock(width, width)
        self.attn_1 = AttnBlock(width)
        self.block_2 = ResnetBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * m for m in MULT]
        self.conv_in = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.down = nn.ModuleList()
        for i, width in enumerate(widths):
            level = nn.Module()
            level.block = nn.ModuleList([ResnetBlock(widths[max(i - 1, 0)], width)])
            if i < len(widths) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            for child in level.children():
                for layer in child if isinstance(child, nn.ModuleList) else [child]:
                    x = layer(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * m for m in MULT]
        self.conv_in = nn.Conv2d(CHANNELS, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for i, width in enumerate(widths):
            level = nn.Module()
            above = widths[min(i + 1, len(widths) - 1)]
            level.block = nn.ModuleList([ResnetBlock(above, width), ResnetBlock(width, width)])
            if i:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = _norm(WIDTH)
        self.conv_out = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(list(self.up)):
            for child in level.children():
                for layer in child if isinstance(child, nn.ModuleList) else [child]:
                    x = layer(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class VAE(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] to latents (B, 4, H / 8, W / 8) and back. Latents are unscaled: times SCALING is
    what the UNet sees. Its state dict, under ``first_stage_model.``, is a checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.quant_conv = nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1)
        self.post_quant_conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, each as latents."""
        mean, logvar = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, x: Tensor) -> Tensor:
        """Latents at the posterior's mode."""
        return self.moments(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))


@torch.no_grad()
def bake(vae: VAE, mean: Tensor, std: Tensor) -> None:
    """Shift and scale the latents, in place, from per-channel mean and std (4,) to 0 and 1 / SCALING; decode agrees."""
    scale = std * SCALING
    weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
    assert bias is not None and vae.post_quant_conv.bias is not None
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    vae.post_quant_conv.weight *= scale[None, :, None, None]
    weight[:CHANNELS] /= scale[:, None, None, None]
    bias[:CHANNELS] = (bias[:CHANNELS] - mean) / scale
    bias[CHANNELS:] -= 2 * scale.log()


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width, eps=1e-6)

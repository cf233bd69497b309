"""The VAE's training: pixels, edges and features that weigh eyes and mouth, then a decoder against a critic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..pocket.vae import VAE
from . import data
from .augment import face_input
from .loop import Task, averaged
from .nets import shipped
from .recognisers import Recogniser
from .stages import packed, placed

EYES_AND_MOUTH = ((0.377, 0.469, 0.07), (0.623, 0.469, 0.07), (0.501, 0.718, 0.10))  # x, y, spread in the unit square
CROP = 64  # pixels, of the VAE's early batches
ADVERSITY = 0.1
"""How much the decoder listens to its critic, beside pixels and features."""


def _importance(size: int, device: torch.device) -> Tensor:
    """(1, 1, size, size) weights of pixels, 1 far from eyes and mouth."""
    a = (torch.arange(size, device=device) + 0.5) / size
    y, x = torch.meshgrid(a, a, indexing="ij")
    spots = [torch.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * s * s)) for u, v, s in EYES_AND_MOUTH]
    return (1 + 5 * torch.stack(spots).sum(0))[None, None]


def _crops(maps: Tensor, generator: torch.Generator) -> Tensor:
    """A CROP-sized window of each map (B, C, S, S), at random; three of four hold an eye or the mouth."""
    count, size = len(maps), maps.shape[-1]
    corner = torch.randint(size - CROP + 1, (count, 2), generator=generator)
    spot = torch.tensor(EYES_AND_MOUTH)[torch.randint(3, (count,), generator=generator), :2]
    near = (spot * size - CROP / 2 + 0.3 * CROP * (torch.rand(count, 2, generator=generator) * 2 - 1)).long()
    picked = torch.where(torch.rand(count, 1, generator=generator) < 0.75, near.clamp(0, size - CROP), corner)
    return torch.stack([m[:, y : y + CROP, x : x + CROP] for m, (x, y) in zip(maps, picked.tolist(), strict=True)])


def _pixel_loss(decoded: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1, squares and gradients, and the colours of whole 8 x 8 patches, which GroupNorm learns late."""
    miss = decoded - target
    edges = sum((weight * F.pad(miss.diff(dim=d), (0, d == 3, 0, d == 2)).abs()).mean() for d in (2, 3))
    patches = F.avg_pool2d(miss, 8).abs().mean()
    return (weight * (miss.abs() + 2 * miss.square())).mean() + 0.7 * edges + 2 * patches


def _perceiver(state_dir: Path, device: torch.device) -> Recogniser | None:
    """Recogniser A as far as it is trained."""
    if not (state_dir / "recogniser").exists():
        return None
    net = Recogniser().to(device)
    net.load_state_dict(averaged(state_dir, "recogniser")["net"])
    return net.eval().requires_grad_(False)


class _Reversed(torch.autograd.Function):
    """Gradients go back the other way, and weaker: whoever reads x learns against whoever made it (Ganin 2015)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return -ADVERSITY * gradients[0]


def _critic() -> nn.Module:
    """Tells photographs from what a decoder makes of them, patch by patch: (N, 3, S, S) to (N, 1, S / 8, S / 8)."""
    layers: list[nn.Module] = []
    for entry, exit in ((3, 32), (32, 64), (64, 96)):
        layers += [nn.Conv2d(entry, exit, 4, 2, 1), nn.GroupNorm(8, exit), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(96, 1, 3, padding=1))


def autoencoder(
    photos: data.Photos, state_dir: Path, device: torch.device, decoder_only: bool = False, fresh: bool = False
) -> Task:
    """Crops first, whole frames in the last part of the budget, then with recogniser A's features once it exists.

    decoder_only: go on with the averaged VAE as the stage "vae" left it, latents fixed, against a critic of patches
    (hinge loss, Lim and Ye 2017). fresh: begin with random
    weights instead of those that ship.
    """
    torch.manual_seed(4)
    vae = placed(VAE() if fresh or decoder_only else shipped()[1], device)
    if decoder_only:
        vae.load_state_dict(averaged(state_dir, "vae")["vae"])
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    critic = placed(_critic(), device)
    modules = {"vae": vae, "critic": critic} if decoder_only else {"vae": vae}
    weight = _importance(128, device)
    perceiver: list[Recogniser | None] = []

    def perceptual(decoded: Tensor, target: Tensor) -> Tensor:
        if not perceiver:
            perceiver.append(_perceiver(state_dir, device))
        if (net := perceiver[0]) is None:
            return decoded.new_zeros(())
        a, b = (net.features(face_input(x / 2 + 0.5)) for x in (decoded, target))
        return 0.2 * torch.stack([(p - q).abs().mean() / q.abs().mean() for p, q in zip(a, b, strict=True)]).mean()

    def loss(generator: torch.Generator, spent: float) -> Mapping[str, Tensor]:
        full_frames = decoder_only or spent > 0.55
        x = photos[torch.randint(len(photos), (4 if full_frames else 12,), generator=generator)].to(device) * 2 - 1
        x = torch.where(torch.rand(len(x), 1, 1, 1, generator=generator).to(device) < 0.5, x.flip(-1), x)
        w = weight.expand(len(x), -1, -1, -1)
        if not full_frames:
            x, w = _crops(torch.cat((x, w), 1), generator).split((3, 1), 1)
        x = packed(x)
        mean, logvar = vae.moments(x)
        noise = torch.randn(mean.shape, generator=generator).to(device)
        decoded = vae.decode(mean + noise * (logvar / 2).exp()).float()
        terms = {"pixels": _pixel_loss(decoded, x, w)}
        if not decoder_only:
            terms["kl"] = 1e-6 * (mean.square() + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
        if full_frames:
            terms["features"] = perceptual(decoded, x)
        if decoder_only:
            terms["critic"] = F.relu(1 - critic(x)).mean() + F.relu(1 + critic(_Reversed.apply(decoded))).mean()
        return terms

    return Task(
        "decoder" if decoder_only else "vae", modules, loss, rate=1e-3 if decoder_only else 2e-3, decay=1e-4,
        fast=True,
    )  # fmt: skip

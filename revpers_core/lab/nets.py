"""The pocket model whole: its nets, and its state dicts in the layouts of SDXL's and IP-Adapter-FaceID's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..pocket import ADAPTER, CHECKPOINT
from ..pocket.vae import CHANNELS, SCALING, VAE, bake
from ..pocket.vocabulary import TABLES, TEXT_G, TEXT_L, TOKEN_IDS
from .adapter import Adapter
from .text import TextEncoders, Vocabulary
from .unet import CONTEXT, UNet, label

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
SIZE = 128  # pixels, of every image
STEPS = 1000
BETAS = (0.00085, 0.012)


def alphas_cumprod() -> Tensor:
    """(STEPS,) float32, SDXL's scaled-linear schedule."""
    betas = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


@dataclass(frozen=True)
class Prompts:
    """Encoded text: context (B, 77, CONTEXT) and pooled (B, POOLED)."""

    context: Tensor
    pooled: Tensor


class Denoiser(nn.Module):
    """All that is trained together: the UNet, both text encoders and the FaceID adapter."""

    def __init__(self, vocabulary: Vocabulary | None = None):
        super().__init__()
        self.vocabulary = vocabulary or Vocabulary()
        self.unet = UNet()
        self.text = TextEncoders(len(self.vocabulary.ids) + 1)
        self.adapter = Adapter(self.unet.slots(), CONTEXT)

    def encode(self, rows: Tensor, end: Tensor) -> Prompts:
        """Text from compact table rows (B, 77) with END first at positions end (B,)."""
        return Prompts(*self.text(rows, end, int(self.vocabulary.rows[0])))

    def prompts(self, texts: list[str]) -> Prompts:
        tokens = self.vocabulary.tokens(texts)
        device = next(self.parameters()).device
        end = (tokens == tokens[0, -1]).int().argmax(1)
        return self.encode(self.vocabulary.rows[tokens].to(device), end.to(device))

    def forward(self, x: Tensor, t: Tensor, text: Prompts, identity: Tensor) -> Tensor:
        """Noise in latents x (B, 4, H, W) at timesteps t (B,), given text and identities (B, 512), zero for nobody."""
        ids = torch.tensor([[SIZE, SIZE, 0, 0, SIZE, SIZE]], device=x.device).expand(len(x), -1)
        return self.unet(x, t, text.context, label(text.pooled, ids), self.adapter, self.adapter(identity))


@dataclass(frozen=True)
class _Part:
    prefix: str
    module: nn.Module = field(repr=False)


def _parts(model: Denoiser, vae: VAE) -> list[_Part]:
    return [
        _Part(UNET, model.unet), _Part(FIRST_STAGE, vae), _Part(TEXT_L, model.text.l), _Part(TEXT_G, model.text.g),
    ]  # fmt: skip


def sdxl_state(model: Denoiser, vae: VAE) -> dict[str, Tensor]:
    """The SDXL single file: half precision, compact token tables, and their ids (int32) under TOKEN_IDS."""
    state = {
        p.prefix + k: v.detach().half().contiguous()
        for p in _parts(model, vae)
        for k, v in p.module.state_dict().items()
    }
    return state | {TOKEN_IDS: torch.tensor(model.vocabulary.ids, dtype=torch.int32)}


def load_denoiser(sdxl: Mapping[str, Tensor], faceid: Mapping[str, Tensor]) -> tuple[Denoiser, VAE]:
    """The nets, in float32, from the tensors of the two files. Words that the file does not know yet begin as its row
    for unknown ones."""
    model, vae = Denoiser(), VAE()
    state = dict(sdxl)
    old, ids = sdxl[TOKEN_IDS].tolist(), model.vocabulary.ids
    rows = [old.index(token) if token in old else len(old) for token in ids] + [len(old)]
    state |= {key: sdxl[key][rows] for key in TABLES}
    for section in _parts(model, vae):
        section.module.load_state_dict(
            {k.removeprefix(section.prefix): v.float() for k, v in state.items() if k.startswith(section.prefix)}
        )
    model.adapter.load_state_dict({k: v.float() for k, v in faceid.items()})
    return model.eval(), vae.eval()


def shipped() -> tuple[Denoiser, VAE]:
    """The nets of the files that ship, the VAE's latents at about spread 1: where training may go on from."""
    model, vae = load_denoiser(load_file(CHECKPOINT), load_file(ADAPTER))
    bake(vae, torch.zeros(CHANNELS), torch.full((CHANNELS,), SCALING**-2))
    return model.train(), vae.train()

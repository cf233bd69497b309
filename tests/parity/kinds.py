"""Every kind of adapter in a small SDXL: both branches' predictions, as the diffusers host makes them.

``python tests/parity/kinds.py`` writes kinds.safetensors anew, against which the ComfyUI host is tested.
"""

from pathlib import Path
from typing import Any

import torch
from adapter_files import adapter
from torch import Tensor

HERE = Path(__file__).resolve().parent
GOLDEN, MADE = HERE / "golden", HERE / "kinds.safetensors"
WIDTHS = [64] * 11
"""Of the golden UNet's transformer blocks."""
TIMESTEP, SIDE = 200, 16


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def words() -> tuple[Tensor, Tensor]:
    """(embeds (2, 77, 64), pooled (2, 32)), row 0 unconditional."""
    return random(2, 77, 64, seed=1), random(2, 32, seed=2)


def latent() -> Tensor:
    """The state (1, 4, 16, 16) that the network meets, in k-diffusion's coordinates."""
    return random(1, 4, SIDE, SIDE, seed=4)


def identity_fields() -> dict[str, Tensor]:
    """What an Identity is made of."""
    features = random(1, 512, seed=5)
    length = features.norm(dim=-1)
    picture = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(6))
    return {"embedding": features / length[:, None], "length": length, "face": picture}


def see(pixels: Tensor) -> Tensor:
    """A stand-in for CLIP: features (B, 257, 1280) that depend on the picture."""
    return pixels.flatten(1)[:, :257, None] * random(1, 257, 1280, seed=7) + pixels.mean((1, 2, 3))[:, None, None]


def file(kind: str) -> Any:
    """The two dicts of the kind's file."""
    return adapter(kind, WIDTHS)


def predictions(kind: str) -> Tensor:
    """(2, 4, 16, 16): uncond under nobody, cond under the person."""
    from diffusers import UNet2DConditionModel

    from revpers_core.adapters import weights
    from revpers_core.adapters.clip import FaceVision
    from revpers_core.hosts.diffusers_unet import Adapted, Conditions, unet_branches
    from revpers_core.method.schedule import sdxl_sigmas
    from revpers_core.method.types import Identity

    unet = UNet2DConditionModel.from_pretrained(GOLDEN / "tiny_sdxl" / "unet")
    identity, levels = Identity(**identity_fields()), sdxl_sigmas()
    adapted = Adapted.inject(unet, weights.from_state(file(kind), kind), vision=FaceVision(see))
    ids = torch.tensor([[SIDE * 8.0, SIDE * 8, 0, 0, SIDE * 8, SIDE * 8]] * 2)
    tokens = adapted.tokens(identity.null), adapted.tokens(identity)
    branches = unet_branches(unet, Conditions(*words(), ids, tokens), levels)
    return torch.cat(branches(latent(), levels[TIMESTEP]))


if __name__ == "__main__":
    import sys

    sys.path.append(str(HERE.parents[1]))
    from safetensors.torch import save_file

    from revpers_core.adapters.kinds import KINDS

    save_file({kind: predictions(kind).float().contiguous() for kind in KINDS}, MADE)
